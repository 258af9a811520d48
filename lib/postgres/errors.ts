import postgres from 'postgres'
import { excerpt } from '../common/excerpt.ts'
import { type ErrorDetails, GatewayError } from '../errors.ts'
import { ServerError } from './session/server-error.ts'
import { INVALID_CATALOG_NAME } from './sqlstates.ts'

/** SQLSTATEs whose error is a client's, by their status; everything else is 500. */
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
const TOO_MANY_CONNECTIONS = '53300'

/**
 * The server ends or refuses the connection: it stops, starts, has none to give, or the database
 * allows none.
 */
const NO_CONNECTION = new Set(['57P01', '57P02', '57P03', '57P05', '53300', '55000'])

/** Of these, those that end a connection which is open: a shutdown, a crash, a dropped database. */
const ENDED = new Set(['57P01', '57P02', '57P05'])

/** Code of the error where a server answers, but is not the primary that is asked for. */
export const NOT_PRIMARY = 'NOT_PRIMARY'

/** An error of PostgreSQL, as the gateway's own sessions and as postgres.js give it. */
export type PostgresError = ServerError | postgres.PostgresError

/** Whether the error is PostgreSQL's answer, with an SQLSTATE as `code`. */
export function isPostgresError(error: unknown): error is PostgresError {
  return error instanceof ServerError || error instanceof postgres.PostgresError
}

/** Whether PostgreSQL cancelled a query: its time was up, or somebody asked for it. */
export function isQueryCanceled(error: unknown): boolean {
  return isPostgresError(error) && error.code === QUERY_CANCELED
}

/** Whether PostgreSQL, or the way to it, is gone: the work may be done once it is back. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof GatewayError) return error.code === 'connection_failed'
  if (isPostgresError(error)) {
    // Without endsConnection it is what a function raised: a log-in that fails may be a 28P01.
    return endsConnection(error) && (NO_CONNECTION.has(error.code) || /^(08|28)/.test(error.code))
  }
  return isNetworkError(error)
}

/**
 * Whether PostgreSQL was short of memory, disk or the like (class 53), which others use, too. That it
 * takes no connection is no reason to wait until others are done.
 */
export function isShortage(error: unknown): boolean {
  const sqlstate = error instanceof GatewayError ? error.details.sqlstate : undefined
  const code = sqlstate ?? (isPostgresError(error) ? error.code : '')
  return code.startsWith('53') && code !== TOO_MANY_CONNECTIONS
}

/** Whether the connection cannot be used any more after this error of a query on it. */
export function endsConnection(error: unknown): boolean {
  return isPostgresError(error)
    ? error.severity === 'FATAL' || error.severity === 'PANIC'
    : isNetworkError(error)
}

/**
 * Errors of sockets, TLS and postgres.js's connections have a code such as ECONNRESET; those of
 * Node's own argument checks begin with ERR_ and are bugs.
 */
function isNetworkError(error: unknown): boolean {
  if (error instanceof GatewayError || !(error instanceof Error)) return false
  const { code } = error as NodeJS.ErrnoException
  return typeof code === 'string' && (!code.startsWith('ERR_') || /^ERR_(SSL|TLS)_/.test(code))
}

/**
 * What a client is told of an error that came from a query in `database`. A GatewayError stays as
 * it is; so does an error that did not come from PostgreSQL or the network.
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
  return new GatewayError('query_failed', excerpt(error.message), details, status)
}

/**
 * What PostgreSQL said, by the names of the HTTP contract; each text is cut at 1,024 bytes. `cause`
 * has detail and hint behind the message, since clients classify by its words.
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

/** The names of what an error is about (PostgreSQL manual, "Error and Notice Message Fields"). */
function namesIn(error: PostgresError): Record<string, string | undefined> {
  if (error instanceof ServerError) {
    const { schema, table, column, datatype, constraint } = error
    return { schema, table, column, datatype, constraint }
  }
  return {
    schema: error.schema_name,
    table: error.table_name,
    column: error.column_name,
    // postgres.js writes its name with a space; its types do not.
    datatype: (error as { 'data type_name'?: string })['data type_name'],
    constraint: error.constraint_name,
  }
}

/** The status of an error that a function raised. */
export function sqlstateStatus(sqlstate: string): number {
  // PTxyz is status xyz: a convention of PostgREST ("Errors", "RAISE errors with HTTP status codes").
  // Other statuses would tell that it succeeded, or have no body.
  const chosen = /^PT([45]\d\d)$/.exec(sqlstate)
  if (chosen) return Number(chosen[1])
  return STATUS_BY_SQLSTATE[sqlstate] ?? STATUS_BY_CLASS[sqlstate.slice(0, 2)] ?? 500
}

/** Of a connection that PostgreSQL says something of: it ends one that is open, or takes none. */
export function whatBecame({ code }: PostgresError): string {
  return ENDED.has(code) ? 'PostgreSQL ended the connection' : 'PostgreSQL refuses the connection'
}

function connectionFailed(error: unknown, database: string): GatewayError {
  // Not the message: it tells the server's address, or the folder of its socket.
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
