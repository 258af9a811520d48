import { excerpt } from './common/excerpt.ts'

/** An error code of the HTTP contract: its status, and what it means, for docs/errors.md. */
export const CODES = {
  invalid_request: [
    400,
    'The request is malformed: a field is missing, unknown, given twice or of the wrong type. 408: it took too long to arrive; 417: an `Expect` header; 431: its head is too large; 501: a `Transfer-Encoding` other than chunked.',
  ],
  schema_extraction_failed: [400, 'The archive cannot be read, or exceeds a limit.'],
  extension_not_available: [
    400,
    'The PostgreSQL server does not have an extension that the archive requires.',
  ],
  unauthorized: [
    403,
    "The client's address may not use this endpoint, or the platform's token is wrong. 401: a token is missing, or the admin token is wrong.",
  ],
  platform_isolation_violation: [
    403,
    "The client's address may not name the platform, or the database belongs to another platform.",
  ],
  cross_site_refused: [
    403,
    "A browser sends the request from another site, or for a host name that is not the gateway's.",
  ],
  database_not_found: [
    404,
    'The platform or the tenant has no database, or its database was dropped.',
  ],
  function_not_found: [404, 'The database has no function of that name that can be called.'],
  not_found: [404, 'The endpoint, the platform, the archive or the job does not exist.'],
  call_not_found: [
    404,
    '/admin/cancel-call: no call in flight has the `id`; it has ended, or its gateway has.',
  ],
  tenant_read_only: [
    403,
    'The function writes, and /admin/tenants has made the tenant read-only. What it did is rolled back.',
  ],
  method_not_allowed: [
    405,
    'The endpoint, or the function, does not take this HTTP method. `Allow` lists those that it takes.',
  ],
  database_already_exists: [409, 'The database exists already.'],
  name_conflict: [
    409,
    "The name of a database or a role is taken by something that is not the platform's.",
  ],
  platform_already_registered: [409, 'The platform is registered already.'],
  migration_checksum_mismatch: [409, 'A migration was edited after it was applied.'],
  data_loss: [409, 'The deploy would lose data, and `allow=data_loss` is not given.'],
  functions_missing: [
    409,
    'The archive lacks functions that its files made before, and `allow=functions_missing` is not given.',
  ],
  revert_refused: [409, 'The database has not had all of the archive that it is to go back to.'],
  tenant_busy: [
    409,
    'The tenant is being dropped, or cannot be renamed, copied or moved now: `sessions` use its database, or its copy would take `estimated_s`. Also: another request has made, changed or dropped its database for DEPLOY_TIMEOUT_SECS; `sessions` has the one that holds its lock.',
  ],
  move_refused: [
    409,
    'The tenant cannot be moved to another server: its database has what pg_dump and pg_restore cannot move, or the other server lacks something. `hint` says what to do.',
  ],
  migration_stopped: [
    409,
    'A request to /migrate/stop ended a /migrate or /admin/revert before all databases had their turn. `not_started` lists the others.',
  ],
  migration_running: [
    409,
    'A migration of all databases to this schema is in progress. `job_id` names it.',
  ],
  payload_too_large: [
    413,
    'The body is larger than MAX_BODY_BYTES, or the archive than MAX_ARCHIVE_BYTES.',
  ],
  result_too_large: [413, 'The rows are larger than MAX_RESULT_BYTES.'],
  unsupported_media_type: [
    415,
    'The `Content-Type` or the `Content-Encoding` is not one that the endpoint takes.',
  ],
  migration_failed: [422, 'A migration fails.'],
  type_deploy_failed: [422, 'A file of types/ fails.'],
  table_deploy_failed: [422, 'A file of tables/ fails.'],
  function_deploy_failed: [
    422,
    'A file of functions/ fails, or the body of a function is wrong. `failures` lists all of them.',
  ],
  view_deploy_failed: [422, 'A file of views/ fails.'],
  trigger_deploy_failed: [422, 'A file of triggers/ fails.'],
  policy_deploy_failed: [422, 'A file of policies/ fails.'],
  schema_deploy_failed: [422, 'A file of schemas/ fails.'],
  seeder_failed: [422, 'A seeder fails.'],
  extension_install_failed: [422, 'An extension cannot be created or updated.'],
  new_tenants_fail: [
    422,
    'No new tenant can be created with the archive, and `strict=true` is given.',
  ],
  database_name_collision: [
    422,
    "/admin/database/create: the name of the database is taken by something that is not the platform's.",
  ],
  too_many_schemas: [
    422,
    'The platform has STORED_SCHEMAS_PER_PLATFORM stored schemas, and this name is a new one.',
  ],
  idempotency_key_reused: [
    422,
    'Another request to this database has used the `Idempotency-Key`, with another body or at another endpoint.',
  ],
  import_failed: [
    422,
    "The dump cannot be restored, or is not one of the platform's. `cause` has the first error of pg_restore; no database is left. 500: the gateway's temporary folder cannot be written.",
  ],
  rate_limited: [
    429,
    'The tenant has made as many calls as `calls_per_second` of /admin/tenants allows. `Retry-After` says when to try again.',
  ],
  call_cancelled: [
    499,
    'An operator has cancelled the call by /admin/cancel-call. PostgreSQL rolls it back, unless `may_have_run` says that it may have run.',
  ],
  query_failed: [
    500,
    'The function raises an error. The status follows its SQLSTATE: 400, 403, 409, 503, or that of `PTxyz`.',
  ],
  dump_failed: [
    500,
    'pg_dump failed: the tenant was not dropped, or not exported. `cause` has what it said.',
  ],
  dump_not_available: [
    501,
    "The gateway's machine has no pg_dump, or no pg_restore, of the server's version or later: install it. Also an import with ISOLATION=shared.",
  ],
  internal_error: [500, 'The gateway has a fault. The log describes it under the request id.'],
  pool_exhausted: [
    503,
    'A limit of the gateway is reached: connections, waiting calls or deploys, buffered bytes. `Retry-After` says when to try again.',
  ],
  connection_failed: [
    503,
    'PostgreSQL cannot be reached, or the connection broke. `Retry-After` says when to try again, and `may_have_run` whether the call may have run.',
  ],
  database_in_use: [
    503,
    'Other sessions use the tables of the database. `sessions` lists them, and `Retry-After` says when to try again.',
  ],
  tenant_suspended: [
    503,
    'Calls of the tenant are suspended by /admin/suspend-tenant, or while it is renamed, copied or moved with `"hold": true`. `Retry-After` says when to try again.',
  ],
  query_timeout: [
    504,
    'The call or the deploy took longer than its limit. `may_have_run` says whether the call may have run.',
  ],
} as const satisfies Record<string, readonly [status: number, meaning: string]>

/** A code of the HTTP contract, as it stands in an answer's `error`. */
export type ErrorCode = keyof typeof CODES

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
  /** The header Retry-After, in seconds. */
  retry_after_s?: number
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
    status: number = CODES[code][0],
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
export function retryAfter({ code, details }: GatewayError): string | undefined {
  if (details.retry_after_s !== undefined) return String(details.retry_after_s)
  return RETRY_CODES.has(code) ? '1' : undefined
}
