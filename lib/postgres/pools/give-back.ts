import { endsConnection, isPostgresError } from '../errors.ts'
import type { Budget } from './budget.ts'
import type { Connection, Sql } from './connection.ts'
import type { Lease } from './lease.ts'
import { findSharable, firstFor, grant, hasHadItsTurn, leave, type Pool } from './pool.ts'
import type { PoolCounters } from './pool-counters.ts'
import { resetSession } from './reset.ts'
import { endUse, mustGiveWay, noteServed } from './turns.ts'

/** Part of `ConnectionSupply` that releasing a connection needs. */
export interface Supply {
  /** Whether the gateway is stopping; released connections are closed then. */
  readonly isEnded: boolean
  /** Whether more connections are open than allowed. */
  readonly isOverdrawn: boolean
  /** Whether the pool has more connections for calls than its database may have. */
  hasTooMany(pool: Pool): boolean
  /** Counts a want of a connection of the pool that is in use now. */
  noteWant(pool: Pool): void
  /** Records that PostgreSQL answered at this `performance.now()`. */
  noteAnswer(now: number): void
  count(pool: Pool, what: keyof PoolCounters): void
  /** Closes a connection that has no lease. */
  retire(connection: Connection): Promise<void>
  /** Closes the idle connection that is wanted least if others need its permit. */
  evict(budget: Budget<Pool>): void
}

/** Ends a lease: the connection goes to the next waiter, becomes idle or is closed. */
export function endLease(
  supply: Supply,
  pool: Pool,
  { connection, expectedMs }: Lease,
  error: unknown,
): void {
  const now = performance.now()
  const isFree = expectedMs === undefined || leave(pool, connection, expectedMs, now)
  if (isFree) endUse(pool, connection, now)
  // After a FATAL error the server closes the connection, which frees the permit.
  if (isPostgresError(error) && endsConnection(error)) supply.retire(connection)
  else if (endsConnection(error)) connection.destroy()
  else if (isFree) {
    if (error !== undefined && connection.speaks === 'sql') forgetRows(connection.sql)
    release(supply, pool, connection, now)
  } else if (pool.waiters.size > 0) admit(supply, pool)
}

/**
 * Has postgres.js forget the rows of a query that failed after some of them: it counts on, and the next
 * result would begin with as many holes. The end of any query sets the count to 0.
 */
function forgetRows(sql: Sql): void {
  sql
    .unsafe('select where false')
    .execute()
    .catch(() => {})
}

/** Ends a lease and closes the connection, once nobody else uses it. */
export async function discardLease(
  supply: Supply,
  pool: Pool,
  { connection, expectedMs }: Lease,
): Promise<void> {
  connection.isSpent = true
  const isFree = expectedMs === undefined || leave(pool, connection, expectedMs, performance.now())
  if (isFree) await supply.retire(connection)
}

/** Serves calls at the head of the queue on shared connections that have time left for them. */
export function admit(_supply: Supply, pool: Pool): void {
  for (const { expectedMs } of pool.waiters) {
    const connection = expectedMs === undefined ? undefined : findSharable(pool, expectedMs)
    if (!connection) return
    serve(pool, connection)
  }
}

/** Resets, hands over, keeps idle or closes a connection whose last lease has ended. */
export function release(
  supply: Supply,
  pool: Pool,
  connection: Connection,
  now = performance.now(),
): void {
  if (connection.closed) return
  supply.noteAnswer(now)
  const isSpent = connection.isSpent || connection.isUnfit
  const isSurplus = connection.speaks === 'wire' && supply.hasTooMany(pool)
  const isOver = isSpent || connection.expiresAt <= now || supply.isOverdrawn || isSurplus
  if (supply.isEnded || pool.closing || isOver) {
    supply.retire(connection)
  } else if (connection.needsReset) {
    reset(supply, pool, connection)
  } else if (mustGiveWay(pool, connection, now)) {
    supply.count(pool, 'evicted')
    supply.retire(connection)
  } else if (serve(pool, connection)) {
    supply.noteWant(pool)
    // Nothing goes first, so another turn begins.
    if (hasHadItsTurn(connection, now)) connection.busySince = now
    admit(supply, pool)
  } else if (pool.waiters.size > 0) {
    // The waiters need a connection of the other kind.
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

/** Resets the session before reuse; closes the connection if the reset fails. */
async function reset(supply: Supply, pool: Pool, connection: Connection): Promise<void> {
  if (!(await resetSession(connection))) connection.destroy()
  release(supply, pool, connection)
}

/** Hands the connection to the first waiter that it can serve; returns false if there is none. */
export function serve(pool: Pool, connection: Connection): boolean {
  const waiter = firstFor(pool, connection)
  if (!waiter) return false
  pool.waiters.delete(waiter)
  noteServed(pool)
  waiter.resolve(grant(pool, connection, waiter.expectedMs))
  if (pool.waiters.size === 0) stopStarving(pool)
  return true
}

/** Removes the pool from the lists of pools that need a permit. */
export function stopStarving(pool: Pool): void {
  for (const budget of pool.budgets) budget.starving.delete(pool)
}
