import { GatewayError } from '../../errors.ts'
import { type Client, clientGone } from '../../postgres/pools/waiter.ts'
import type { TenantLimits } from '../../tenancy/limits/tenant-limits.ts'
import type { HeldTime } from '../../usage/counters.ts'

/** Milliseconds within which PostgreSQL must respond to a cancel request. */
export const CANCEL_GRACE_MS = 1000

/** Milliseconds after the deadline by which every call is answered. */
const LAST_MS = CANCEL_GRACE_MS + 100

/**
 * Milliseconds that a wait has to report the deadline with its specific error. Then the general
 * error is reported.
 */
const TOLD_BY_WAIT_MS = 20

/** Longest delay of a Node.js timer, in milliseconds. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** Time limit of a call, from the arrival of its request. */
export interface TimeLimit {
  /** Milliseconds that the caller gave as `timeout_ms`. */
  readonly timeoutMs: number
  /** `performance.now()` when the time is up. */
  readonly deadline: number
  /** True: part of the call was sent to PostgreSQL, or is about to be. */
  hasBegun: boolean
  /**
   * True: nothing more is sent, even before the deadline, since a timer may fire up to 1 ms early.
   */
  isOver: boolean
}

/** What the limits of a tenant change in the run of its calls. */
export type Restrictions = Pick<TenantLimits, 'isReadOnly' | 'statementTimeoutMs'>

/** Client, database and time limit of a piece of work. */
export interface Asked {
  client: Client
  database: string
  limit: TimeLimit | undefined
  /** Undefined: the tenant has no limits. */
  restrictions?: Restrictions | undefined
  /** Counts for how long a session was held; undefined: not counted. */
  held?: HeldTime | undefined
}

/**
 * Returns the limit of a request that arrived at `startedAt` (`performance.now()`) and asks for
 * `timeoutMs`; undefined without a limit.
 */
export function timeLimit(timeoutMs: number | undefined, startedAt: number): TimeLimit | undefined {
  if (timeoutMs === undefined) return undefined
  return { timeoutMs, deadline: startedAt + timeoutMs, hasBegun: false, isOver: false }
}

/** Returns whether nothing more may be started: the time is up, or the client has disconnected. */
export function isOver({ client, limit }: Pick<Asked, 'client' | 'limit'>): boolean {
  return client.isGone || (limit !== undefined && isUp(limit))
}

/**
 * Checks that the client is connected and the time is not up, and marks the call as begun. Every
 * path of a call to PostgreSQL passes this check right before it sends, however long it has waited.
 * @throws {GatewayError} pool_exhausted if the client has disconnected; query_timeout if the time
 *   is up
 */
export function checkMayBegin({ client, database, limit }: Asked): void {
  if (client.isGone) throw clientGone(database)
  if (!limit) return
  if (isUp(limit)) throw timeUpBefore(limit, database)
  limit.hasBegun = true
}

/**
 * Checks as `checkMayBegin` does, within a transaction that has begun: the error says that it was
 * rolled back.
 * @throws {GatewayError} as `checkMayBegin`
 */
export function checkMayGoOn(asked: Asked, of: TransactionOf): void {
  const { client, database, limit } = asked
  if (limit && !client.isGone && isUp(limit)) throw timeUpWithin(limit, database, of)
  checkMayBegin(asked)
}

function isUp({ isOver, deadline }: TimeLimit): boolean {
  return isOver || performance.now() >= deadline
}

/** Returns the error for a function that was cancelled at the deadline. */
export function timeIsUp({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function was cancelled after ${timeoutMs} ms (timeout_ms)`,
    { database },
  )
}

/** Returns the error for a call whose time was up before it was sent. */
export function timeUpBefore({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function could not begin within ${timeoutMs} ms (timeout_ms); it has not run`,
    { database, may_have_run: false },
  )
}

/** Content of a transaction: one function, or the calls of a batch. */
export type TransactionOf = 'function' | 'calls'

/** Returns the error for a transaction that was not committed in time. */
export function timeUpWithin(
  { timeoutMs }: TimeLimit,
  database: string,
  of: TransactionOf,
): GatewayError {
  const rolledBack = of === 'function' ? 'it was rolled back' : 'they were rolled back'
  return new GatewayError(
    'query_timeout',
    `The ${of} did not end within ${timeoutMs} ms (timeout_ms); ${rolledBack}`,
    { database, may_have_run: false },
  )
}

/** Returns the error for a function that did not respond to its cancellation. */
export function notCancelled({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function did not end within ${timeoutMs} ms (timeout_ms) and did not respond to the cancel request; it may have run`,
    { database, may_have_run: true },
  )
}

/**
 * Waits for work within its time limit. If nothing of the work was sent by the deadline, nothing of
 * it is sent afterwards, and the wait ends. Otherwise the wait ends when a cancel must have taken
 * effect, except for a stream, whose rows are being sent. The work itself ends on its own.
 * @throws {GatewayError} query_timeout; what the work rejects with
 */
export function withinLimit<T>(
  limit: TimeLimit | undefined,
  database: string,
  work: () => Promise<T>,
  kind: 'call' | 'stream' = 'call',
): Promise<T> {
  return limit ? withinTime(limit, database, work, kind) : work()
}

async function withinTime<T>(
  limit: TimeLimit,
  database: string,
  work: () => Promise<T>,
  kind: 'call' | 'stream',
): Promise<T> {
  if (isUp(limit)) throw timeUpBefore(limit, database)
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<never>((_, reject) => {
    const at = (afterMs: number, then: () => void) => {
      const ms = limit.deadline + afterMs - performance.now()
      timer = setTimeout(then, Math.min(ms, MAX_TIMER_MS))
    }
    at(TOLD_BY_WAIT_MS, () => {
      limit.isOver = true
      if (!limit.hasBegun) reject(timeUpBefore(limit, database))
      else if (kind === 'call') at(LAST_MS, () => reject(notCancelled(limit, database)))
    })
  })
  try {
    return await Promise.race([work(), timeUp])
  } finally {
    clearTimeout(timer)
  }
}
