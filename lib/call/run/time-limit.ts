import { GatewayError } from '../../errors.ts'
import { type Client, clientGone } from '../../postgres/pools/waiter.ts'

/** How long PostgreSQL may take to answer what it was told to cancel. */
export const CANCEL_GRACE_MS = 1000

/** How long after its time is up a call is answered at the latest. */
const LAST_MS = CANCEL_GRACE_MS + 100

/** What waits for something tells that itself at the deadline: only later is it told in general. */
const TOLD_BY_WAIT_MS = 20

/** The longest time of a timer of Node. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** The time that a call may take, from its request on. */
export interface TimeLimit {
  /** As the caller gave it, `timeout_ms`. */
  readonly timeoutMs: number
  /** `performance.now()` */
  readonly deadline: number
  /** Something of the call was sent to PostgreSQL, or is about to be. */
  hasBegun: boolean
  /** Nothing more is sent, whatever the clock says: a timer comes up to 1 ms early. */
  isOver: boolean
}

/** For whom something is done, and until when. */
export interface Asked {
  client: Client
  database: string
  limit: TimeLimit | undefined
}

/** The limit of a request that came at `startedAt` and asks for `timeoutMs`; undefined: none. */
export function timeLimit(timeoutMs: number | undefined, startedAt: number): TimeLimit | undefined {
  if (timeoutMs === undefined) return undefined
  return { timeoutMs, deadline: startedAt + timeoutMs, hasBegun: false, isOver: false }
}

/** Whether nothing more is to be started: the time is up, or the client has gone. */
export function isOver({ client, limit }: Pick<Asked, 'client' | 'limit'>): boolean {
  return client.isGone || (limit !== undefined && isUp(limit))
}

/**
 * The look right before anything of a call is sent, whatever it has waited for. No way of a call to
 * PostgreSQL goes past it.
 * @throws {GatewayError} pool_exhausted where the client has gone; query_timeout where the time is up
 */
export function checkMayBegin({ client, database, limit }: Asked): void {
  if (client.isGone) throw clientGone(database)
  if (!limit) return
  if (isUp(limit)) throw timeUpBefore(limit, database)
  limit.hasBegun = true
}

/**
 * The same within a transaction, whose beginning has been sent: it is rolled back instead.
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

/** The error of a call that did not end within its own time. */
export function timeIsUp({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function was cancelled after ${timeoutMs} ms (timeout_ms)`,
    { database },
  )
}

/** That of one whose time was up before it was sent. */
export function timeUpBefore({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function could not begin within ${timeoutMs} ms (timeout_ms); it has not run`,
    { database, may_have_run: false },
  )
}

/** A transaction is one function's, or that of the calls of a batch. */
export type TransactionOf = 'function' | 'calls'

/** That of a transaction that was not committed by then. */
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

/** That of one that did not even answer the cancel. */
export function notCancelled({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function did not end within ${timeoutMs} ms (timeout_ms), nor when it was cancelled; it may have run`,
    { database, may_have_run: true },
  )
}

/**
 * Waits for work that has a limit, whatever it waits for: until its time is up where nothing of it was
 * sent by then, which nothing is any more; else for as long as its cancel may take, but for a stream,
 * whose rows are on their way. The work ends by itself.
 * @throws {GatewayError} query_timeout; what the work rejects with
 */
export async function withinLimit<T>(
  limit: TimeLimit | undefined,
  database: string,
  work: () => Promise<T>,
  kind: 'call' | 'stream' = 'call',
): Promise<T> {
  if (!limit) return work()
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
