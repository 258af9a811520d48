import { GatewayError } from '../../errors.ts'
import type { Connection } from '../../postgres/connection.ts'
import { isPostgresError, isQueryCanceled } from '../../postgres/errors.ts'
import type { Client } from '../../postgres/waiter.ts'

/** SQLSTATE of what stands behind a statement that failed in its transaction. */
const IN_FAILED_TRANSACTION = '25P02'

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
 * gone away. The connection is closed then: a cancel that comes late hits what runs next.
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

  /** What the caller is told of an error, which may be of the limits' own making. */
  explain(error: unknown): unknown {
    if (!this.isTimeUp || !isCancelled(error)) return error
    return timeIsUp(this.#limit!, this.#connection.database)
  }

  /** To be called when there is nothing left to cancel. */
  end(): void {
    this.#isEnded = true
    this.#client.onGone = undefined
    clearTimeout(this.#timer)
  }

  #cancel(): void {
    this.#connection.cancelUntil(() => this.#isEnded)
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

/** The cancel may have hit a `begin` or a `commit`, too, and with it the transaction behind. */
function isCancelled(error: unknown): boolean {
  const isBehind = isPostgresError(error) && error.code === IN_FAILED_TRANSACTION
  return isBehind || isQueryCanceled(error)
}
