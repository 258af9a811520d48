import type { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { TOO_MANY_CONNECTIONS } from '../../postgres/sqlstates.ts'
import type { DeployParts } from '../parts.ts'
import { findUnreachable } from './targets.ts'

/** Tells a database that cannot be reached from a PostgreSQL server that is down, or full. */
export async function whyUnreached(
  parts: DeployParts,
  database: string,
  error: GatewayError,
): Promise<{ isDown: boolean; isFull: boolean; error: GatewayError }> {
  try {
    return await parts.catalog.use(async (sql) => {
      const closed = await findUnreachable(sql, [database])
      const isFull = await isOfServer(sql, database, error)
      return { isDown: false, isFull, error: closed.get(database) ?? error }
    })
  } catch {
    return { isDown: true, isFull: false, error }
  }
}

/** Whether a server has no connection left, rather than a database within its own CONNECTION LIMIT. */
async function isOfServer(sql: Sql, database: string, { details }: GatewayError): Promise<boolean> {
  if (details.sqlstate !== TOO_MANY_CONNECTIONS) return false
  const limited =
    await sql`select from pg_database where datname = ${database} and datconnlimit >= 0`
  return limited.length === 0
}
