import { endsConnection, isPostgresError } from '../errors.ts'
import type { Budget } from './budget.ts'
import type { Connection } from './connection.ts'
import type { Lease } from './lease.ts'
import { findSharable, firstFor, grant, hasHadItsTurn, leave, type Pool } from './pool.ts'
import type { PoolCounters } from './pool-counters.ts'
import { resetSession } from './reset.ts'

/** What opens and closes the connections, as far as those that are given back are concerned. */
export interface Supply {
  /** Nothing is kept any more. */
  readonly isEnded: boolean
  /** More connections are open than may be. */
  readonly isOverdrawn: boolean
  /** PostgreSQL has answered, at this `performance.now()`. */
  noteAnswer(now: number): void
  count(pool: Pool, what: keyof PoolCounters): void
  /** Closes a connection that no lease holds. */
  retire(connection: Connection): Promise<void>
  /** Closes the connection that has been idle longest, where others need its permit. */
  evict(budget: Budget<Pool>): void
}

/** Ends a lease: the connection goes to the next waiter, becomes idle, or is closed. */
export function endLease(
  supply: Supply,
  pool: Pool,
  { connection, expectedMs }: Lease,
  error: unknown,
): void {
  const isFree = expectedMs === undefined || leave(pool, connection, expectedMs)
  // After its last word the server closes the connection itself; its permit comes back then.
  if (isPostgresError(error) && endsConnection(error)) supply.retire(connection)
  else if (endsConnection(error)) connection.destroy()
  else if (isFree) release(supply, pool, connection)
  else if (pool.waiters.size > 0) admit(supply, pool)
}

/** Lets the quick calls that are first in the queue in where there is room. */
export function admit(_supply: Supply, pool: Pool): void {
  for (const { expectedMs } of pool.waiters) {
    const connection = expectedMs === undefined ? undefined : findSharable(pool, expectedMs)
    if (!connection) return
    serve(pool, connection)
  }
}

/** Takes a connection back that no lease holds any more. */
export function release(supply: Supply, pool: Pool, connection: Connection): void {
  if (connection.closed) return
  const now = performance.now()
  supply.noteAnswer(now)
  const isSpent = connection.isSpent || connection.isUnfit
  const isOver = isSpent || connection.expiresAt <= now || supply.isOverdrawn
  if (supply.isEnded || pool.closing || isOver) {
    supply.retire(connection)
  } else if (connection.needsReset) {
    reset(supply, pool, connection)
  } else if (mustGiveWay(pool, connection, now)) {
    giveWay(supply, pool, connection)
  } else if (serve(pool, connection)) {
    admit(supply, pool)
  } else if (pool.waiters.size > 0) {
    // Those who wait need one that speaks otherwise.
    supply.retire(connection)
  } else {
    connection.idleSince = now
    pool.idle.push(connection)
    for (const budget of pool.budgets) {
      budget.idle.add(connection)
      if (budget.starving.size > 0) supply.evict(budget)
    }
  }
}

/** Nobody uses the connection before its session is what it was, or at all where that fails. */
async function reset(supply: Supply, pool: Pool, connection: Connection): Promise<void> {
  if (!(await resetSession(connection))) connection.destroy()
  release(supply, pool, connection)
}

/**
 * Whether a connection that `pool` gives back, and has work for, goes to another database: to one
 * that has fewer of them, or to one that has none where this one has had its turn.
 */
function mustGiveWay(pool: Pool, connection: Connection, now: number): boolean {
  if (pool.waiters.size === 0) return false
  return pool.budgets.some((budget) => {
    if (budget.starving.size === 0 || !budget.wantsMore) return false
    const needy = budget.neediest(pool)
    if (!needy) return false
    if (needy.connections.size + 1 < pool.connections.size) return true
    return needy.connections.size === 0 && hasHadItsTurn(connection, now)
  })
}

/** From now on the pool comes behind those that wait already. */
function giveWay(supply: Supply, pool: Pool, connection: Connection): void {
  for (const { starving } of pool.budgets) if (starving.delete(pool)) starving.add(pool)
  supply.count(pool, 'evicted')
  supply.retire(connection)
}

/** Hands the connection to the first in the queue that it can serve; false where there is none. */
export function serve(pool: Pool, connection: Connection): boolean {
  const waiter = firstFor(pool, connection)
  if (!waiter) return false
  pool.waiters.delete(waiter)
  waiter.resolve(grant(pool, connection, waiter.expectedMs))
  if (pool.waiters.size === 0) stopStarving(pool)
  return true
}

/** Takes the pool off the lists of those that wait for a permit. */
export function stopStarving(pool: Pool): void {
  for (const budget of pool.budgets) budget.starving.delete(pool)
}
