import { excerpt } from './common/excerpt.ts'

/** The status of each error code of the HTTP contract. */
const STATUS_BY_CODE = {
  invalid_request: 400,
  schema_extraction_failed: 400,
  extension_not_available: 400,
  unauthorized: 403,
  platform_isolation_violation: 403,
  cross_site_refused: 403,
  database_not_found: 404,
  function_not_found: 404,
  not_found: 404,
  method_not_allowed: 405,
  database_already_exists: 409,
  name_conflict: 409,
  platform_already_registered: 409,
  migration_checksum_mismatch: 409,
  data_loss: 409,
  functions_missing: 409,
  revert_refused: 409,
  migration_running: 409,
  payload_too_large: 413,
  result_too_large: 413,
  unsupported_media_type: 415,
  migration_failed: 422,
  type_deploy_failed: 422,
  table_deploy_failed: 422,
  function_deploy_failed: 422,
  view_deploy_failed: 422,
  trigger_deploy_failed: 422,
  policy_deploy_failed: 422,
  schema_deploy_failed: 422,
  seeder_failed: 422,
  extension_install_failed: 422,
  new_tenants_fail: 422,
  database_name_collision: 422,
  too_many_schemas: 422,
  query_failed: 500,
  internal_error: 500,
  pool_exhausted: 503,
  connection_failed: 503,
  database_in_use: 503,
  query_timeout: 504,
} as const

/** A code of the HTTP contract, as it stands in an answer's `error`. */
export type ErrorCode = keyof typeof STATUS_BY_CODE

/** What an error answer may carry beside `error` and `message`. */
export interface ErrorDetails {
  database?: string
  cause?: string
  sqlstate?: string
  detail?: string
  hint?: string
  context?: string
  file?: string
  line?: number
  [field: string]: unknown
}

/**
 * The one error that reaches a client. `details` are answered, so nothing secret goes in; `status`
 * is the code's own unless the fourth argument says otherwise. It has no stack trace: taking one
 * makes it several times as expensive.
 */
export class GatewayError extends Error {
  override readonly name = 'GatewayError'
  readonly code: ErrorCode
  readonly details: ErrorDetails
  readonly status: number

  constructor(
    code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
    status: number = STATUS_BY_CODE[code],
  ) {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(message)
    Error.stackTraceLimit = stackTraceLimit
    this.code = code
    this.details = details
    this.status = status
  }

  /** The answer's body. A text of more than 1 KB is cut. */
  toJSON(): Record<string, unknown> {
    const body: Record<string, unknown> = { error: this.code, message: excerpt(this.message) }
    for (const name of Object.keys(this.details)) body[name] = cutTexts(this.details[name])
    return body
  }
}

/** An error of any kind, as a deployment has it. */
export function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof GatewayError) return error.toJSON()
  return { error: 'internal_error', message: String(error) }
}

/** A value of an answer without texts of more than 1 KB. */
export function cutTexts(value: unknown): unknown {
  if (typeof value === 'string') return excerpt(value)
  if (Array.isArray(value)) return value.map(cutTexts)
  if (value instanceof GatewayError) return value.toJSON()
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, cutTexts(one)]))
}

const RETRY_CODES = new Set<ErrorCode>(['pool_exhausted', 'connection_failed', 'database_in_use'])

/** The header Retry-After, in seconds, of an error that another attempt may not meet. */
export function retryAfter({ code }: GatewayError): string | undefined {
  return RETRY_CODES.has(code) ? '1' : undefined
}
