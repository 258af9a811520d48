import { GatewayError } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { endsConnection, isPostgresError, isQueryCanceled } from '../../postgres/errors.ts'
import { type Client, clientGone } from '../../postgres/waiter.ts'

/** SQLSTATE of what stands behind a statement that failed in its transaction. */
const IN_FAILED_TRANSACTION = '25P02'

/** How long PostgreSQL may take to answer what it was told to cancel. */
const CANCEL_GRACE_MS = 1000

/** How long after its time is up a call is answered at the latest. */
const LAST_MS = CANCEL_GRACE_MS + 100

/** The longest time of a timer of Node. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** The time that a call may take, from its request on. */
export interface TimeLimit {
  /** As the caller gave it, `timeout_ms`. */
  timeoutMs: number
  /** `performance.now()` */
  deadline: number
}

/** The limit of a request that came at `startedAt` and asks for `timeoutMs`; undefined: none. */
export function timeLimit(timeoutMs: number | undefined, startedAt: number): TimeLimit | undefined {
  return timeoutMs === undefined ? undefined : { timeoutMs, deadline: startedAt + timeoutMs }
}

/**
 * Has PostgreSQL cancel what an exclusive session runs when the call's time is up or its client has
 * gone away. The connection is closed then: a cancel that comes late hits what runs next. It is cut
 * where no answer comes even so: the network is gone, the function handles the cancel, or the answer
 * waits for room.
 */
export class CallLimits {
  readonly #client: Client
  readonly #connection: Connection
  readonly #limit: TimeLimit | undefined
  #timer: NodeJS.Timeout | undefined
  #isEnded = false
  /** The call's own time is up. */
  isTimeUp = false

  constructor(client: Client, connection: Connection, limit: TimeLimit | undefined) {
    this.#client = client
    this.#connection = connection
    this.#limit = limit
    client.onGone = () => this.#cancel()
    if (!limit) return
    const leftMs = Math.max(0, limit.deadline - performance.now())
    this.#timer = setTimeout(() => {
      this.isTimeUp = true
      this.#cancel()
    }, leftMs)
  }

  /** Its time is up or its client has gone: nothing more is to be started. */
  get isOver(): boolean {
    return this.isTimeUp || this.#client.isGone
  }

  /** @throws {GatewayError} where nothing more is to be started */
  check(): void {
    const { database } = this.#connection
    if (this.#client.isGone) throw clientGone(database)
    if (this.isTimeUp) throw timeIsUp(this.#limit!, database)
  }

  /** What the caller is told of an error, which may be of the limits' own making. */
  explain(error: unknown): unknown {
    if (!this.isTimeUp) return error
    const { database } = this.#connection
    if (isCancelled(error)) return timeIsUp(this.#limit!, database)
    return endsConnection(error) ? notCancelled(this.#limit!, database) : error
  }

  /** To be called when there is nothing left to cancel. */
  end(): void {
    this.#isEnded = true
    this.#client.onGone = undefined
    clearTimeout(this.#timer)
  }

  #cancel(): void {
    this.#connection.cancelUntil(() => this.#isEnded)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#connection.destroy(noAnswer()), CANCEL_GRACE_MS)
  }
}

/** The error of a call that did not end within its own time. */
export function timeIsUp({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function was cancelled after ${timeoutMs} ms (timeout_ms)`,
    { database },
  )
}

/** That of one whose time was up before its session was open. */
export function timeUpBefore({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function could not begin within ${timeoutMs} ms (timeout_ms); it has not run`,
    { database, may_have_run: false },
  )
}

/** That of one that did not even answer the cancel. */
function notCancelled({ timeoutMs }: TimeLimit, database: string): GatewayError {
  return new GatewayError(
    'query_timeout',
    `The function did not end within ${timeoutMs} ms (timeout_ms), nor when it was cancelled; it may have run`,
    { database, may_have_run: true },
  )
}

function noAnswer(): Error {
  return Object.assign(new Error('The cancel was not answered'), { code: 'ETIMEDOUT' })
}

/**
 * Waits for work that has a limit, no longer than the time that its cancel may take as well: the
 * answer comes then, whatever the work waits for. That ends by itself.
 * @throws {GatewayError} query_timeout; what the work rejects with
 */
export async function withinLimit<T>(
  limit: TimeLimit | undefined,
  database: string,
  work: Promise<T>,
): Promise<T> {
  if (!limit) return work
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<never>((_, reject) => {
    const ms = limit.deadline + LAST_MS - performance.now()
    timer = setTimeout(() => reject(notCancelled(limit, database)), Math.min(ms, MAX_TIMER_MS))
  })
  try {
    return await Promise.race([work, timeUp])
  } finally {
    clearTimeout(timer)
  }
}

/** The cancel may have hit a `begin` or a `commit`, too, and with it the transaction behind. */
function isCancelled(error: unknown): boolean {
  const isBehind = isPostgresError(error) && error.code === IN_FAILED_TRANSACTION
  return isBehind || isQueryCanceled(error)
}
