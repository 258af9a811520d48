import type { Budget } from './budget.ts'
import type { Connection } from './connection.ts'
import type { Pool } from './pool.ts'
import type { Waiter } from './waiter.ts'

// A limit on the connections of one database that are for calls. The gateway's own SQL, such as that
// of a deploy, does not count: the calls of a tenant at its limit do not hold up its deploys.

/**
 * Returns the first waiter for which the pool may open another connection, apart from the limits of
 * all connections: a waiting call only if the pool has fewer than `most` for calls.
 */
export function firstToGrow(pool: Pool, most: number | undefined): Waiter | undefined {
  const isFull = most !== undefined && forCalls(pool) >= most
  for (const waiter of pool.waiters) if (!isFull || waiter.speaks === 'sql') return waiter
  return undefined
}

/** Returns whether a pool has more connections for calls than `most`, apart from those being closed. */
export function exceeds(
  pool: Pool,
  { closing }: Pick<Budget<Pool>, 'closing'>,
  most: number | undefined,
): boolean {
  return most !== undefined && forCalls(pool, closing) > most
}

/** Adapts a pool to a changed limit: closes idle connections for calls, or opens more for waiters. */
export function fit(supply: Fitting, pool: Pool): void {
  for (const connection of [...pool.idle]) {
    if (connection.speaks === 'wire' && supply.hasTooMany(pool)) supply.retire(connection)
  }
  supply.grow(pool)
}

/** Part of `ConnectionSupply` that `fit` needs. */
interface Fitting {
  hasTooMany(pool: Pool): boolean
  retire(connection: Connection): Promise<void>
  grow(pool: Pool): void
}

function forCalls(pool: Pool, except?: ReadonlySet<Connection>): number {
  let count = 0
  for (const connection of pool.connections) {
    if (connection.speaks === 'wire' && !except?.has(connection)) count++
  }
  return count
}
