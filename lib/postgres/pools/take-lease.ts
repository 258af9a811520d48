import { GatewayError } from '../../errors.ts'
import type { Connection, Speaks } from './connection.ts'
import { release } from './give-back.ts'
import type { Lease } from './lease.ts'
import type { SupplyLimits } from './limits.ts'
import { findSharable, grant, type Pool, takeIdle } from './pool.ts'
import type { ConnectionSupply } from './supply.ts'
import { noteServed } from './turns.ts'
import {
  type Client,
  clientGone,
  enqueue,
  notAliveYet,
  queueFull,
  waitForShared,
} from './waiter.ts'

export interface PoolLimits extends SupplyLimits {
  /** Maximum number of clients that wait for a connection to one database. */
  maxQueuePerDatabase: number
}

export interface LeaseOptions {
  /** Maximum wait in milliseconds; default: POOL_WAIT_TIMEOUT_SECS. */
  waitMs?: number | undefined
  /** `performance.now()` at which the time limit of the whole work ends; also ends the wait. */
  deadline?: number | undefined
  /** Client that waits; undefined for the gateway's own work, which is exempt from queue limits. */
  client?: Client | undefined
  /** Whether to open a new connection: an idle one may be dead, as the last one was. */
  fresh?: boolean
}

/** An idle connection is checked before use if it was idle for more than 5 s. */
const FRESH_MS = 5000

/** A connection that does not answer the check within 2 s is closed. */
const CHECK_LIMIT_MS = 2000

/** The supply and the limits for taking leases. */
interface Taking {
  supply: ConnectionSupply
  limits: PoolLimits
}

/** Leases a connection for one caller alone. See `Pools.lease` and `Pools.leaseSession`. */
export function takeLease(
  taking: Taking,
  database: string,
  speaks: Speaks,
  options: LeaseOptions,
): Lease | Promise<Lease> {
  if (options.client?.isGone) throw clientGone(database)
  const pool = taking.supply.pool(database)
  const connection = takeIdleNow(taking, pool, speaks)
  if (!connection) return wait(taking, pool, speaks, options)
  if (options.fresh) {
    // Frees a permit for the new connection.
    taking.supply.retire(connection)
    return wait(taking, pool, speaks, options)
  }
  if (isFresh(connection, connection.busySince)) return grant(pool, connection)
  return check(taking, pool, connection, options)
}

/** Leases a connection that several short calls may share. See `Pools.share`. */
export function shareLease(
  taking: Taking,
  database: string,
  expectedMs: number,
  options: Omit<LeaseOptions, 'fresh'>,
): Lease | Promise<Lease> {
  if (options.client?.isGone) throw clientGone(database)
  const pool = taking.supply.pool(database)
  const mayJoin = pool.waiters.size === 0 && !taking.supply.all.isOverdrawn
  const shared = mayJoin ? findSharable(pool, expectedMs) : undefined
  if (shared) return grant(pool, shared, expectedMs)
  const connection = takeIdleNow(taking, pool, 'wire')
  if (!connection) return wait(taking, pool, 'wire', options, expectedMs)
  if (isFresh(connection, connection.busySince)) return grant(pool, connection, expectedMs)
  return check(taking, pool, connection, options, expectedMs)
}

function takeIdleNow({ supply }: Taking, pool: Pool, speaks: Speaks): Connection | undefined {
  const connection = takeIdle(pool, speaks)
  if (!connection) return undefined
  for (const budget of pool.budgets) budget.idle.delete(connection)
  supply.noteWant(pool)
  connection.busySince = performance.now()
  noteServed(pool)
  return connection
}

/**
 * Checks that a connection which was idle for more than 5 s is alive, then leases it. If it is
 * dead, waits for another connection.
 */
async function check(
  taking: Taking,
  pool: Pool,
  connection: Connection,
  options: LeaseOptions,
  expectedMs?: number,
): Promise<Lease> {
  const { client, deadline, waitMs = taking.limits.poolWaitTimeoutMs } = options
  const askedAt = performance.now()
  const asked = showsAlive(pool, connection)
  const isAlive = await waitForShared(asked, pool.database, options, notAliveYet).catch((error) => {
    // This caller gave up; the connection goes back to the pool if it turns out to be alive.
    asked.then((answers) => answers && release(taking.supply, pool, connection))
    throw error
  })
  if (isAlive) return grant(pool, connection, expectedMs)
  const left = waitMs - (performance.now() - askedAt)
  // The pool may have been removed with its last connection.
  const anew = taking.supply.pool(pool.database)
  const again = { client, deadline, waitMs: Math.max(0, left) }
  return wait(taking, anew, connection.speaks, again, expectedMs)
}

/**
 * Returns whether the connection answers. If not, closes it and, without a check, the pool's other
 * connections that have been idle for more than 5 s.
 */
async function showsAlive(pool: Pool, connection: Connection): Promise<boolean> {
  if (await connection.answers(CHECK_LIMIT_MS)) return true
  connection.destroy()
  for (const other of [...pool.idle]) if (!isFresh(other, performance.now())) other.destroy()
  return false
}

/**
 * Queues for a connection of a pool.
 * @throws {GatewayError} connection_failed if the gateway is stopping, or PostgreSQL is given up
 *   (`giveUpWhenSilent`); pool_exhausted if the queue is full; errors of `enqueue`
 */
export function wait(
  taking: Taking,
  pool: Pool,
  speaks: Speaks,
  options: LeaseOptions,
  expectedMs?: number,
): Promise<Lease> {
  const { client, deadline, waitMs = taking.limits.poolWaitTimeoutMs } = options
  if (taking.supply.isEnded) {
    return Promise.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
  }
  // Permanent connections are opened all the same: they find out whether PostgreSQL answers again.
  const { refusal, kept } = taking.supply
  if (refusal && !kept.has(pool)) {
    taking.supply.settle(pool)
    return Promise.reject(refusal())
  }
  if (client && pool.waiters.size >= taking.limits.maxQueuePerDatabase) {
    taking.supply.count(pool, 'exhausted')
    return Promise.reject(queueFull(pool))
  }
  const onLeft = (isTimeUp: boolean) => {
    if (isTimeUp) taking.supply.count(pool, 'exhausted')
    taking.supply.settle(pool)
  }
  const lease = enqueue(pool, { waitMs, deadline, speaks, client, expectedMs, onLeft })
  taking.supply.grow(pool)
  return lease
}

function isFresh({ idleSince }: Connection, now: number): boolean {
  return now - idleSince < FRESH_MS
}
