import { type ErrorCode, GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { isPostgresError, type PostgresError, postgresDetails } from '../postgres/errors.ts'

/** A function or a view that no file makes any more. */
export interface Leftover {
  /** As SQL names it. */
  name: string
  /** The statement that drops it. */
  drop: string
  code: ErrorCode
  what: string
  /** The path of the file that made it. */
  file: string
}

const DEPENDENT_OBJECTS_STILL_EXIST = '2BP01'

/**
 * Drops leftovers, in whatever order they depend on each other.
 * @throws {GatewayError} with the leftover's code, naming what else depends on one
 */
export async function dropLeftovers(
  sql: Sql,
  database: string,
  leftovers: Leftover[],
): Promise<void> {
  let pending = leftovers
  while (pending.length > 0) {
    const blocked: Leftover[] = []
    let blocking: PostgresError | undefined
    for (const leftover of pending) {
      await sql.unsafe('savepoint leftover')
      try {
        await sql.unsafe(leftover.drop)
        await sql.unsafe('release savepoint leftover')
      } catch (error) {
        if (!isPostgresError(error)) throw error
        if (error.code !== DEPENDENT_OBJECTS_STILL_EXIST) throw failure(database, leftover, error)
        await sql.unsafe('rollback to savepoint leftover; release savepoint leftover')
        blocked.push(leftover)
        blocking ??= error
      }
    }
    if (blocked.length === pending.length) throw failure(database, blocked[0]!, blocking!)
    pending = blocked
  }
}

function failure(database: string, leftover: Leftover, error: PostgresError): GatewayError {
  const { name, code, what, file } = leftover
  return new GatewayError(code, `${what} ${name} cannot be dropped`, {
    database,
    ...postgresDetails(error),
    file,
  })
}
