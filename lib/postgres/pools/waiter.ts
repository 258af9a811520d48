import { GatewayError } from '../../errors.ts'
import type { Speaks } from './connection.ts'
import type { Lease } from './lease.ts'

/** The client that a connection is for. */
export interface Client {
  /** It has gone away: nothing more is sent to PostgreSQL for it. */
  readonly isGone: boolean
  /** Called once when it goes away; for one at a time, who takes it back at the end. */
  onGone: (() => void) | undefined
  /** `performance.now()` when a session was last asked for to run its call, and when it was there. */
  askedAt?: number | undefined
  leasedAt?: number | undefined
}

/** Those who wait for a connection to one database. */
interface Queue {
  database: string
  waiters: Set<Waiter>
}

/** Someone who waits for a connection of a pool. */
export interface Waiter {
  /** `performance.now()` */
  since: number
  /** What its connection has to speak. */
  speaks: Speaks
  /** Of a quick call, which may share; undefined: it waits for a connection of its own. */
  expectedMs: number | undefined
  resolve: (lease: Lease) => void
  reject: (error: Error) => void
}

export interface WaiterOptions {
  waitMs: number
  speaks: Speaks
  /** `performance.now()` when the call's own time is up (`timeout_ms`). */
  deadline?: number | undefined
  client: Client | undefined
  expectedMs: number | undefined
  /** It has left the queue with nothing, since its time was up or its client has gone. */
  onLeft: (isTimeUp: boolean) => void
}

/**
 * Puts one more into the pool's queue, behind all others.
 * @throws {GatewayError} pool_exhausted after `waitMs`, or when its client goes away; query_timeout
 *   at its deadline
 */
export function enqueue(pool: Queue, options: WaiterOptions): Promise<Lease> {
  const { speaks, client, expectedMs, onLeft } = options
  const { database } = pool
  const { ms, error } = waitLimit(
    options,
    database,
    (limit) => `No connection to ${database} became free within ${limit}`,
  )
  return new Promise((resolve, reject) => {
    const settle = () => {
      clearTimeout(timer)
      if (client) client.onGone = undefined
    }
    const waiter: Waiter = {
      since: performance.now(),
      speaks,
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
    const timer = setTimeout(() => leave(true, error()), ms)
    if (client) client.onGone = () => leave(false, clientGone(database))
    pool.waiters.add(waiter)
  })
}

/** Its client has gone away before there was a connection. */
export function clientGone(database: string): GatewayError {
  return new GatewayError('pool_exhausted', 'The client did not wait for a connection', {
    database,
  })
}

/**
 * Waits for what others wait for as well, no longer than this one may.
 * @throws {GatewayError} pool_exhausted when its client goes away; query_timeout `timeUp` at its deadline; what
 *   `shared` rejects with
 */
export function waitForShared<T>(
  shared: Promise<T>,
  database: string,
  { client, deadline }: Partial<Pick<WaiterOptions, 'client' | 'deadline'>>,
  timeUp: (database: string) => GatewayError = notKnownYet,
): Promise<T> {
  if (!client && deadline === undefined) return shared
  return new Promise((resolve, reject) => {
    const leave = (error: GatewayError) => {
      settle()
      reject(error)
    }
    let timer: NodeJS.Timeout | undefined
    const settle = () => {
      clearTimeout(timer)
      if (client) client.onGone = undefined
    }
    if (deadline !== undefined) {
      const ms = Math.max(0, deadline - performance.now())
      timer = setTimeout(() => leave(timeUp(database)), ms)
    }
    if (client) client.onGone = () => leave(clientGone(database))
    // Before who waits goes on, and has another `onGone`.
    shared.finally(settle).then(resolve, reject)
  })
}

function notKnownYet(database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `What ${database} has was not known within the call's own time (timeout_ms)`,
    { database, may_have_run: false },
  )
}

/** A connection that was idle for long did not show in time that it is alive. */
export function notAliveYet(database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `No connection to ${database} answered within the call's own time (timeout_ms)`,
    { database, may_have_run: false },
  )
}

/** More calls wait than may. */
export function queueFull({ database, waiters }: Queue): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `${waiters.size} calls wait for a connection to ${database} already`,
    { database },
  )
}

/** How long something is waited for, and the error when it has not come by then. */
export interface WaitLimit {
  /** Milliseconds from now on. */
  ms: number
  error: () => GatewayError
}

/**
 * The limit of a wait: `waitMs`, or the call's own deadline where that is sooner. The error is
 * pool_exhausted (503) for the one and query_timeout (504) for the other; `tell` makes its message
 * of the limit, such as `5 s`.
 */
export function waitLimit(
  { waitMs, deadline = Number.POSITIVE_INFINITY }: Pick<WaiterOptions, 'waitMs' | 'deadline'>,
  database: string,
  tell: (limit: string) => string,
): WaitLimit {
  const left = deadline - performance.now()
  if (left >= waitMs) {
    const message = tell(`${waitMs / 1000} s`)
    return { ms: waitMs, error: () => new GatewayError('pool_exhausted', message, { database }) }
  }
  const message = tell(`the call's own time (timeout_ms)`)
  const error = () => new GatewayError('query_timeout', message, { database, may_have_run: false })
  return { ms: Math.max(0, left), error }
}
