import type { Credentials } from '../hosts/server.ts'
import type { Budget } from './budget.ts'
import type { Connection } from './connection.ts'
import type { DatabaseSeconds, TenantAccount } from './database-seconds.ts'
import { Lease, type LeaseEnd } from './lease.ts'
import type { PoolCounters } from './pool-counters.ts'
import type { Waiter } from './waiter.ts'

/** Returns the platform that owns a database; undefined if unknown. */
export type PlatformOf = (database: string) => string | undefined

/**
 * Returns the role for connections to a database; undefined for the server's role.
 * @throws {GatewayError} if the owner of the database is unknown
 */
export type CredentialsOf = (database: string) => Credentials | undefined

/** The connections to one database and its waiters. */
export interface Pool {
  database: string
  /** Platform that owns the database; undefined if unknown. */
  platform: string | undefined
  /** Returns the role of the next connection; undefined for the server's role. */
  credentials: () => Credentials | undefined
  /** Budgets of its connections, the narrowest first. */
  budgets: Budget<Pool>[]
  connections: Set<Connection>
  /** Idle connections, the last used last. That one is used next, so that the others can expire. */
  idle: Connection[]
  /** Connections that quick calls share now. */
  shared: Connection[]
  waiters: Set<Waiter>
  counters: PoolCounters
  /** Database time that it has used lately. */
  account: TenantAccount
  /** Accounts that its use is charged to; undefined for a permanent connection. */
  seconds: DatabaseSeconds | undefined
  /** Whether the database is being dropped: no connection is kept. */
  closing: boolean
  leaseEnd: LeaseEnd
}

/** Under contention a database keeps a connection for at most 50 ms. */
const TURN_MS = 50

/** Maximum expected time of the quick calls that share a connection: the wait of the last one. */
const SHARED_QUEUE_MS = 1

/** Milliseconds. A shared connection without an answer for so long is blocked by a slow call. */
export const STUCK_MS = 10

/** Leases the connection: to a quick call if `expectedMs` is given, else exclusively. */
export function grant(pool: Pool, connection: Connection, expectedMs?: number): Lease {
  if (expectedMs !== undefined) {
    if (connection.sharers === 0) {
      pool.shared.push(connection)
      connection.answeredAt = performance.now()
      connection.usedSince = connection.answeredAt
    }
    connection.sharers++
    connection.expectedMs += expectedMs
  } else {
    connection.usedSince = performance.now()
  }
  return new Lease(connection, pool.leaseEnd, expectedMs)
}

/** Removes a call from a shared connection at `now`; returns true if it was the last one. */
export function leave(
  pool: Pool,
  connection: Connection,
  expectedMs: number,
  now: number,
): boolean {
  connection.answeredAt = now
  connection.expectedMs -= expectedMs
  connection.sharers--
  if (connection.sharers > 0) return false
  connection.expectedMs = 0
  pool.shared.splice(pool.shared.indexOf(connection), 1)
  return true
}

/** Takes the idle connection of this kind that was used last. */
export function takeIdle(pool: Pool, speaks: Connection['speaks']): Connection | undefined {
  const at = pool.idle.findLastIndex(
    (connection) => connection.speaks === speaks && !connection.closed,
  )
  return at < 0 ? undefined : pool.idle.splice(at, 1)[0]
}

/** Returns the number of connections that are in use, or are being opened or closed. */
export function inUse({ connections, idle }: Pool): number {
  return connections.size - idle.length
}

/** Returns the number of a pool's connections that are among those being closed. */
export function countClosing(
  { connections }: Pick<Pool, 'connections'>,
  closing: ReadonlySet<Connection>,
): number {
  let count = 0
  if (closing.size > 0) for (const one of connections) if (closing.has(one)) count++
  return count
}

/** Returns the first waiter that this connection can serve. */
export function firstFor(pool: Pool, { speaks }: Connection): Waiter | undefined {
  for (const waiter of pool.waiters) if (waiter.speaks === speaks) return waiter
  return undefined
}

/** Returns a shared connection on which another quick call would wait for at most 1 ms. */
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

/** Whether it has been in use without a break for longer than its turn. */
export function hasHadItsTurn(connection: Connection, now: number): boolean {
  return now - connection.busySince > TURN_MS
}

/** `performance.now()` at which the first waiter began to wait; Infinity if there is none. */
export function waitingSince(pool: Pool): number {
  for (const waiter of pool.waiters) return waiter.since
  return Number.POSITIVE_INFINITY
}
