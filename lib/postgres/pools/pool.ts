import type { Credentials } from '../hosts/server.ts'
import type { Budget } from './budget.ts'
import type { Connection } from './connection.ts'
import { Lease, type LeaseEnd } from './lease.ts'
import type { PoolCounters } from './pool-counters.ts'
import type { Waiter } from './waiter.ts'

/** The connections to one database, and those who wait for one. */
export interface Pool {
  database: string
  /** Whose database it is, where that is known. */
  platform: string | undefined
  /** The role that its next connection logs in as, where it is not the server's own. */
  credentials: () => Credentials | undefined
  /** What its connections count for: the narrowest first. */
  budgets: Budget<Pool>[]
  connections: Set<Connection>
  /** Last in, first out: the rest grow old and go. */
  idle: Connection[]
  /** Those that quick calls share just now. */
  shared: Connection[]
  waiters: Set<Waiter>
  counters: PoolCounters
  /** Set while its database is being dropped: nothing is kept. */
  closing: boolean
  leaseEnd: LeaseEnd
}

/** While others are in need, a database goes on with a connection for so long and gives way then. */
const TURN_MS = 50

/** The most that the quick calls on one connection may come to: how long the last of them waits. */
const SHARED_QUEUE_MS = 1

/** Milliseconds: a shared connection that answered nothing for so long has met a call that is not quick today. */
export const STUCK_MS = 10

/** A lease of the connection; of a quick call, beside those that it has already. */
export function grant(pool: Pool, connection: Connection, expectedMs?: number): Lease {
  if (expectedMs !== undefined) {
    if (connection.sharers === 0) {
      pool.shared.push(connection)
      connection.answeredAt = performance.now()
    }
    connection.sharers++
    connection.expectedMs += expectedMs
  }
  return new Lease(connection, pool.leaseEnd, expectedMs)
}

/** Takes a call off a shared connection; true when it was the last one there. */
export function leave(pool: Pool, connection: Connection, expectedMs: number): boolean {
  connection.answeredAt = performance.now()
  connection.expectedMs -= expectedMs
  connection.sharers--
  if (connection.sharers > 0) return false
  connection.expectedMs = 0
  pool.shared.splice(pool.shared.indexOf(connection), 1)
  return true
}

/** An idle connection that speaks so: the one that was used last. */
export function takeIdle(pool: Pool, speaks: Connection['speaks']): Connection | undefined {
  const at = pool.idle.findLastIndex(
    (connection) => connection.speaks === speaks && !connection.closed,
  )
  return at < 0 ? undefined : pool.idle.splice(at, 1)[0]
}

/** The first in the queue that this connection can serve. */
export function firstFor(pool: Pool, { speaks }: Connection): Waiter | undefined {
  for (const waiter of pool.waiters) if (waiter.speaks === speaks) return waiter
  return undefined
}

/** A shared connection on which another quick call would not have to wait for long. */
export function findSharable(pool: Pool, expectedMs: number): Connection | undefined {
  if (pool.shared.length === 0) return undefined
  const now = performance.now()
  const isContended = pool.budgets.some((budget) => budget.starving.size > 0)
  return pool.shared.find(
    (connection) =>
      connection.expectedMs + expectedMs <= SHARED_QUEUE_MS &&
      connection.answeredAt > now - STUCK_MS &&
      connection.expiresAt > now &&
      !(isContended && hasHadItsTurn(connection, now)) &&
      !connection.isSpent &&
      !connection.closed,
  )
}

/** It has been in use without a break for so long that it is somebody else's turn. */
export function hasHadItsTurn(connection: Connection, now: number): boolean {
  return now - connection.busySince > TURN_MS
}

/** `performance.now()` when the first of those who wait began to; Infinity where nobody does. */
export function waitingSince(pool: Pool): number {
  for (const waiter of pool.waiters) return waiter.since
  return Number.POSITIVE_INFINITY
}
