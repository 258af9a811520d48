import { GatewayError } from '../../errors.ts'
import type { Connection, Speaks } from './connection.ts'
import { release } from './give-back.ts'
import type { Lease } from './lease.ts'
import { findSharable, grant, type Pool, takeIdle } from './pool.ts'
import type { ConnectionSupply, SupplyLimits } from './supply.ts'
import {
  type Client,
  clientGone,
  enqueue,
  notAliveYet,
  queueFull,
  waitForShared,
} from './waiter.ts'

export interface PoolLimits extends SupplyLimits {
  /** Clients that may wait for a connection to one database. */
  maxQueuePerDatabase: number
  poolWaitTimeoutMs: number
}

export interface LeaseOptions {
  /** How long to wait for a connection; POOL_WAIT_TIMEOUT_SECS where it is not given. */
  waitMs?: number | undefined
  /** `performance.now()` when the work's own time is up: it waits no longer than that either. */
  deadline?: number | undefined
  /** Undefined for work of the gateway's own, which waits however long the queue is. */
  client?: Client | undefined
  /** None that has been idle: it may have died unnoticed, as another one did. */
  fresh?: boolean
}

/** A connection that was idle for longer is asked first whether it is still there. */
const FRESH_MS = 5000

/** Who does not answer that in time is gone. */
const CHECK_LIMIT_MS = 2000

/** Where leases are taken from, and within which limits. */
interface Taking {
  supply: ConnectionSupply
  limits: PoolLimits
}

/** As `Pools.lease` and `leaseSession`. */
export function takeLease(
  taking: Taking,
  database: string,
  speaks: Speaks,
  options: LeaseOptions,
): Lease | Promise<Lease> {
  if (options.client?.isGone) throw clientGone(database)
  const pool = taking.supply.pool(database)
  const connection = takeIdleNow(pool, speaks)
  if (!connection) return wait(taking, pool, speaks, options)
  if (options.fresh) {
    // It makes room for one that is opened.
    taking.supply.retire(connection)
    return wait(taking, pool, speaks, options)
  }
  if (isFresh(connection, connection.busySince)) return grant(pool, connection)
  return check(taking, pool, connection, options)
}

/** As `Pools.share`. */
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
  const connection = takeIdleNow(pool, 'wire')
  if (!connection) return wait(taking, pool, 'wire', options, expectedMs)
  if (isFresh(connection, connection.busySince)) return grant(pool, connection, expectedMs)
  return check(taking, pool, connection, options, expectedMs)
}

function takeIdleNow(pool: Pool, speaks: Speaks): Connection | undefined {
  const connection = takeIdle(pool, speaks)
  if (!connection) return undefined
  for (const budget of pool.budgets) budget.idle.delete(connection)
  connection.busySince = performance.now()
  return connection
}

/**
 * Leases a connection that was idle for long, once it has shown that it is alive. Where it is
 * not, the others of its pool that are as old are not waited for, too.
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
    // The next one finds it alive.
    asked.then((answers) => answers && release(taking.supply, pool, connection))
    throw error
  })
  if (isAlive) return grant(pool, connection, expectedMs)
  const left = waitMs - (performance.now() - askedAt)
  // The pool has been let go if that was its last connection.
  const anew = taking.supply.pool(pool.database)
  const again = { client, deadline, waitMs: Math.max(0, left) }
  return wait(taking, anew, connection.speaks, again, expectedMs)
}

async function showsAlive(pool: Pool, connection: Connection): Promise<boolean> {
  if (await connection.answers(CHECK_LIMIT_MS)) return true
  connection.destroy()
  for (const other of [...pool.idle]) if (!isFresh(other, performance.now())) other.destroy()
  return false
}

/** Waits in the queue of a pool for a connection. */
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
