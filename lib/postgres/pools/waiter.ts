import { GatewayError } from '../../errors.ts'
import type { PlanSink } from '../session/plans.ts'
import type { Speaks } from './connection.ts'
import type { Lease } from './lease.ts'

/** The HTTP client that a connection is for. */
export interface Client extends PlanSink {
  /** Whether it has disconnected: nothing more is sent to PostgreSQL for it. */
  readonly isGone: boolean
  /** Whether it seems to have disconnected because an operator has cancelled its call. */
  readonly isCancelled?: boolean
  /** Called once when it disconnects. One owner at a time sets it, and clears it at the end. */
  onGone: (() => void) | undefined
  /** Names its request in logs. */
  readonly requestId?: string
  /** `performance.now()` of the last request for a session to run the call, and of its lease. */
  askedAt?: number | undefined
  leasedAt?: number | undefined
  /** When it began to wait for a connection that was being opened. */
  openingAt?: number | undefined
}

/** The waiters for connections to one database. */
interface Queue {
  database: string
  waiters: Set<Waiter>
}

/** A waiter for a connection of a pool. */
export interface Waiter {
  /** `performance.now()` at which it began to wait. */
  since: number
  /** Kind of connection that it needs. */
  speaks: Speaks
  /** Expected time of a quick call, which may share a connection; undefined: it needs its own. */
  expectedMs: number | undefined
  resolve: (lease: Lease) => void
  reject: (error: Error) => void
}

export interface WaiterOptions {
  waitMs: number
  speaks: Speaks
  /** `performance.now()` at which the call's own time is up (`timeout_ms`). */
  deadline?: number | undefined
  client: Client | undefined
  expectedMs: number | undefined
  /** Called when it leaves the queue without a connection: time is up, or the client is gone. */
  onLeft: (isTimeUp: boolean) => void
}

/**
 * Puts a waiter at the end of the pool's queue.
 * @throws {GatewayError} pool_exhausted after `waitMs` or when its client disconnects;
 *   query_timeout at its deadline
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

/** Returns the error of a client that disconnected while it waited for a connection. */
export function clientGone(database: string): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    'The client disconnected while waiting for a connection',
    {
      database,
    },
  )
}

/**
 * Waits for a promise that several callers share, within this caller's own limits.
 * @throws {GatewayError} pool_exhausted when its client disconnects; query_timeout (`timeUp`) at
 *   its deadline; the error of `shared`
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
    // Clears `onGone` before the caller continues, because the caller may set it again.
    shared.finally(settle).then(resolve, reject)
  })
}

function notKnownYet(database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The functions of ${database} could not be read within the call's own time (timeout_ms)`,
    { database, may_have_run: false },
  )
}

/** Returns the error of a call whose time ended while an idle connection was being checked. */
export function notAliveYet(database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `No connection to ${database} answered within the call's own time (timeout_ms)`,
    { database, may_have_run: false },
  )
}

/** Returns the error of a client that finds the queue full. */
export function queueFull({ database, waiters }: Queue): GatewayError {
  return new GatewayError(
    'pool_exhausted',
    `${waiters.size} calls are already waiting for a connection to ${database}`,
    { database },
  )
}

/** Limit of a wait, and the error when it is reached. */
export interface WaitLimit {
  /** Milliseconds from now. */
  ms: number
  error: () => GatewayError
}

/**
 * Returns the limit of a wait: `waitMs`, or the call's own deadline if that is sooner. The error is
 * pool_exhausted (503) for the former and query_timeout (504) for the latter. `tell` returns its
 * message for a limit, such as `5 s`.
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
