import postgres from 'postgres'
import { excerpt } from '../common/excerpt.ts'
import { type ErrorDetails, GatewayError } from '../errors.ts'
import { ServerError } from './session/server-error.ts'
import { INVALID_CATALOG_NAME, TOO_MANY_CONNECTIONS } from './sqlstates.ts'

/** HTTP status by SQLSTATE, for errors that the client caused; others are by class, or 500. */
const STATUS_BY_SQLSTATE: Record<string, number> = {
  P0001: 400,
  '23502': 400,
  '23514': 400,
  '23505': 409,
  '23503': 409,
  '23P01': 409,
  '40001': 409,
  '40P01': 409,
  '42501': 403,
}

const STATUS_BY_CLASS: Record<string, number> = { '22': 400, '53': 503 }

const QUERY_CANCELED = '57014'

/**
 * SQLSTATEs of a FATAL error that ends or refuses a connection: the server shuts down, starts up or
 * has no free connection, or the database allows no connections.
 */
const NO_CONNECTION = new Set(['57P01', '57P02', '57P03', '57P05', TOO_MANY_CONNECTIONS, '55000'])

/** Those of NO_CONNECTION that end an open connection: shutdown, crash, dropped database. */
const ENDED = new Set(['57P01', '57P02', '57P05'])

/** Error code where a server answers but is not the primary. */
export const NOT_PRIMARY = 'NOT_PRIMARY'

/** An error reported by PostgreSQL, from the gateway's own sessions or from postgres.js. */
export type PostgresError = ServerError | postgres.PostgresError

/** Whether the error is an ErrorResponse of PostgreSQL, with its SQLSTATE as `code`. */
export function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof ServerError || error instanceof postgres.PostgresError
}

/** Whether PostgreSQL refused a statement, and the session goes on. */
export function isRefusal(error: unknown): error is PostgresError {
  return isPostgresError(error) && !endsConnection(error)
}

/** Whether PostgreSQL cancelled a query: statement_timeout expired, or a cancel request arrived. */
export function isQueryCanceled(error: unknown): boolean {
  return isPostgresError(error) && error.code === QUERY_CANCELED
}

/**
 * Whether another session changed the same row of a system catalog at the same time, as two sessions do
 * that change the owner and the privileges of a database at once: PostgreSQL ends one of them with XX000,
 * "tuple concurrently updated" (simple_heap_update in heapam.c). A retry succeeds.
 */
export function isCatalogConflict(error: unknown): boolean {
  const from = error instanceof GatewayError ? error.cause : error
  return isPostgresError(from) && /^simple_heap_(update|delete)$/.test(from.routine ?? '')
}

/** Whether the connection to PostgreSQL was lost or refused, so that a retry may succeed. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof GatewayError) return error.code === 'connection_failed'
  if (isPostgresError(error)) {
    // A function can raise any SQLSTATE with severity ERROR; a failed log-in is a FATAL 28P01.
    return endsConnection(error) && (NO_CONNECTION.has(error.code) || /^(08|28)/.test(error.code))
  }
  return isNetworkError(error)
}

/**
 * Whether PostgreSQL lacked memory, disk space or another shared resource (class 53). A retry may
 * succeed when other statements have ended. Too many connections (53300) does not count.
 */
export function isShortage(error: unknown): boolean {
  const sqlstate = error instanceof GatewayError ? error.details.sqlstate : undefined
  const code = sqlstate ?? (isPostgresError(error) ? error.code : '')
  return code.startsWith('53') && code !== TOO_MANY_CONNECTIONS
}

/** Whether the connection is unusable after a query on it failed with this error. */
export function endsConnection(error: unknown): boolean {
  return isPostgresError(error)
    ? error.severity === 'FATAL' || error.severity === 'PANIC'
    : isNetworkError(error)
}

/**
 * Whether the error is of a socket, TLS or a postgres.js connection: these have a code such as
 * ECONNRESET. Codes that begin with ERR_ come from Node's argument checks and are bugs.
 */
function isNetworkError(error: unknown): boolean {
  if (error instanceof GatewayError || !(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' && (!code.startsWith('ERR_') || /^ERR_(SSL|TLS)_/.test(code))
}

/**
 * Converts an error of a query in `database` into the GatewayError for the client. Returns a
 * GatewayError, and an error that is from neither PostgreSQL nor the network, unchanged.
 */
export function fromPostgres(error: unknown, database: string): unknown {
  if (error instanceof GatewayError) return error
  if (isConnectionLost(error)) return connectionFailed(error, database)
  if (!isPostgresError(error)) return error
  if (error.code === INVALID_CATALOG_NAME && error.severity === 'FATAL') {
    return new GatewayError('database_not_found', `Database ${database} does not exist`, {
      database,
    })
  }
  const details = { database, ...postgresDetails(error) }
  if (error.code === QUERY_CANCELED) {
    return new GatewayError('query_timeout', excerpt(error.message), details)
  }
  const status = sqlstateStatus(error.code)
  const failed = new GatewayError('query_failed', excerpt(error.message), details, status)
  failed.cause = error
  return failed
}

/**
 * Returns PostgreSQL's error fields under their names in the HTTP contract, each text cut at 1,024
 * bytes. `cause` is the message followed by detail and hint, because clients match on its words.
 */
export function postgresDetails(error: PostgresError): ErrorDetails {
  const detail = error.detail && excerpt(error.detail)
  const hint = error.hint && excerpt(error.hint)
  let cause = excerpt(error.message)
  if (detail) cause += ` | DETAIL: ${detail}`
  if (hint) cause += ` | HINT: ${hint}`
  const details: ErrorDetails = { cause, sqlstate: error.code }
  if (detail) details.detail = detail
  if (hint) details.hint = hint
  if (error.where) details.context = excerpt(error.where)
  for (const [name, value] of Object.entries(namesIn(error))) if (value) details[name] = value
  return details
}

/** The objects that an error names (PostgreSQL manual, "Error and Notice Message Fields"). */
function namesIn(error: PostgresError): Record<string, string | undefined> {
  if (error instanceof ServerError) {
    const { schema, table, column, datatype, constraint } = error
    return { schema, table, column, datatype, constraint }
  }
  return {
    schema: error.schema_name,
    table: error.table_name,
    column: error.column_name,
    // postgres.js names this property with a space, and its types do not list it so.
    datatype: (error as { 'data type_name'?: string })['data type_name'],
    constraint: error.constraint_name,
  }
}

/** Returns the HTTP status for an SQLSTATE that a function raised. */
export function sqlstateStatus(sqlstate: string): number {
  // SQLSTATE PTxyz asks for status xyz, as in PostgREST ("Errors", "RAISE errors with HTTP status
  // codes"). Only 4xx and 5xx: others report success or allow no body.
  const chosen = /^PT([45]\d\d)$/.exec(sqlstate)
  if (chosen) return Number(chosen[1])
  return STATUS_BY_SQLSTATE[sqlstate] ?? STATUS_BY_CLASS[sqlstate.slice(0, 2)] ?? 500
}

/** Describes a FATAL error: PostgreSQL ended an open connection, or refused a new one. */
export function whatBecame({ code }: PostgresError): string {
  return ENDED.has(code) ? 'PostgreSQL ended the connection' : 'PostgreSQL refuses the connection'
}

function connectionFailed(error: unknown, database: string): GatewayError {
  // The message of a network error is left out: it tells the server's address or socket folder.
  const { code, message } = error as NodeJS.ErrnoException
  if (code === NOT_PRIMARY) {
    return new GatewayError('connection_failed', 'No PostgreSQL server takes writes', {
      database,
      cause: code,
    })
  }
  return isPostgresError(error)
    ? new GatewayError('connection_failed', whatBecame(error), {
        database,
        cause: message,
        sqlstate: error.code,
      })
    : new GatewayError('connection_failed', 'PostgreSQL does not answer', { database, cause: code })
}
