import { GatewayError } from '../errors.ts'
import type { Lease } from './lease.ts'
import type { Pool } from './pool.ts'

/** The client that a connection is for. */
export interface Client {
  /** It has gone away: nothing more is sent to PostgreSQL for it. */
  readonly isGone: boolean
  /** Called once when it goes away; for one at a time, who takes it back at the end. */
  onGone: (() => void) | undefined
}

/** Someone who waits for a connection of a pool. */
export interface Waiter {
  /** `performance.now()` */
  since: number
  /** Of a quick call, which may share; undefined: it waits for a connection of its own. */
  expectedMs: number | undefined
  resolve: (lease: Lease) => void
  reject: (error: Error) => void
}

export interface WaiterOptions {
  waitMs: number
  client: Client | undefined
  expectedMs: number | undefined
  /** It has left the queue with nothing, since its time was up or its client has gone. */
  onLeft: (isTimeUp: boolean) => void
}

/**
 * Puts one more into the pool's queue, behind all others.
 * @throws {GatewayError} pool_exhausted when its time is up, or its client goes away
 */
export function enqueue(pool: Pool, options: WaiterOptions): Promise<Lease> {
  const { waitMs, client, expectedMs, onLeft } = options
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer)
      if (client) client.onGone = undefined
    }
    const waiter: Waiter = {
      since: performance.now(),
      expectedMs,
      resolve: (lease) => {
        settle()
        resolve(lease)
      },
      reject: (error) => {
        settle()
        reject(error)
      },
    }
    const leave = (isTimeUp: boolean, error: GatewayError) => {
      pool.waiters.delete(waiter)
      onLeft(isTimeUp)
      waiter.reject(error)
    }
    const timer = setTimeout(() => leave(true, exhausted(pool.database, waitMs)), waitMs)
    if (client) client.onGone = () => leave(false, clientGone(pool.database))
    pool.waiters.add(waiter)
  })
}

/** Its client has gone away before there was a connection. */
export function clientGone(database: string): GatewayError {
  return new GatewayError('pool_exhausted', 'The client did not wait for a connection', {
    database,
  })
}

/** More calls wait than may. */
export function queueFull({ database, waiters }: Pool): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `${waiters.size} calls wait for a connection to ${database} already`,
    { database },
  )
}

function exhausted(database: string, waitMs: number): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `No connection to ${database} became free within ${waitMs / 1000} s`,
    { database },
  )
}
