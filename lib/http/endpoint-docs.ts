import type { ErrorCode } from '../errors.ts'

/** What a handler's meta tells of its requests and answers, for /openapi.json. */
export interface EndpointDocs {
  /** Names of the query parameters. */
  query?: readonly string[]
  /** Names of the members of the JSON body. */
  body?: readonly string[]
  /** Names of the fields of a multipart form. */
  form?: readonly string[]
  /** Media type of a body that has no members. */
  upload?: string
  /** Those of these names that a request must have. */
  required?: readonly string[]
  /** Example of a request: the members of its body, form or query by name. */
  request?: Record<string, unknown>
  /** Example of an answer: an object of JSON, or a text of another `type`. */
  answer?: Record<string, unknown> | string
  /** Status of the example; 200 by default. */
  status?: number
  /** Media types of answers beside that of the example. */
  types?: readonly string[]
  /** Errors beside those that any endpoint with this access may give. */
  errors?: readonly ErrorCode[]
}

/** Errors of an endpoint that runs functions. */
export const CALL_ERRORS = [
  'database_not_found',
  'function_not_found',
  'platform_isolation_violation',
  'result_too_large',
  'query_failed',
  'call_cancelled',
  'tenant_suspended',
  'pool_exhausted',
  'connection_failed',
  'query_timeout',
] as const satisfies ErrorCode[]

/** Errors of an endpoint that deploys an archive. */
export const DEPLOY_ERRORS = [
  'schema_extraction_failed',
  'extension_not_available',
  'database_not_found',
  'name_conflict',
  'migration_checksum_mismatch',
  'data_loss',
  'functions_missing',
  'payload_too_large',
  'unsupported_media_type',
  'migration_failed',
  'type_deploy_failed',
  'table_deploy_failed',
  'function_deploy_failed',
  'view_deploy_failed',
  'trigger_deploy_failed',
  'policy_deploy_failed',
  'schema_deploy_failed',
  'seeder_failed',
  'extension_install_failed',
  'new_tenants_fail',
  'pool_exhausted',
  'connection_failed',
  'query_timeout',
] as const satisfies ErrorCode[]
