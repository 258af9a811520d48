import type { Connection, Sql } from './connection.ts'
import type { Pool } from './pool.ts'
import type { ConnectionSupply } from './supply.ts'

/**
 * Runs `look` on a permanent connection and closes it, but keeps its permits: another program opens
 * a connection in its place.
 * @returns a function that gives the permits back
 * @throws what `look` throws; the permits are given back then
 */
export async function keepPermits(
  supply: ConnectionSupply,
  pool: Pool,
  connection: Connection,
  look: (sql: Sql) => Promise<void>,
): Promise<() => void> {
  try {
    await look(connection.sql)
  } catch (error) {
    await connection.close().catch(() => {})
    throw error
  }
  const { budgets } = pool
  pool.budgets = []
  await connection.close().catch(() => {})
  return () => {
    for (const budget of budgets) budget.permits.release()
    if (!supply.isEnded) for (const budget of budgets) supply.feed(budget)
  }
}
