import { GatewayError } from '../errors.ts'
import { isPostgresError } from './errors.ts'
import type { Sql } from './pools/connection.ts'

/** SQLSTATE in_failed_sql_transaction. */
const ABORTED = '25P02'

/** Why the open transaction of a session is aborted, where that was a query sent ahead. */
const failures = new WeakMap<Sql, unknown>()

/**
 * Notes that a query is sent ahead and awaited later, or never. If it fails, whatever is awaited first
 * fails with "current transaction is aborted": `causeOf` has the reason.
 */
export function sentAhead<T>(sql: Sql, query: Promise<T>): Promise<T> {
  query.catch((error) => {
    if (!failures.has(sql) && !isAborted(error)) failures.set(sql, error)
  })
  return query
}

/** Forgets why earlier transactions of the session were aborted. */
export function beginAhead(sql: Sql): void {
  failures.delete(sql)
}

/**
 * Returns the error for which the transaction is aborted, if `error` only says that it is.
 * @param reported the error of PostgreSQL, where `error` is made of it
 */
export function causeOf(sql: Sql, error: unknown, reported: unknown = error): unknown {
  return isAborted(reported) && failures.has(sql) ? failures.get(sql) : error
}

function isAborted(error: unknown): boolean {
  if (error instanceof GatewayError) return error.details.sqlstate === ABORTED
  return isPostgresError(error) && error.code === ABORTED
}
