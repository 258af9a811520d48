import { endsConnection, isPostgresError, isQueryCanceled } from '../../postgres/errors.ts'
import type { Connection } from '../../postgres/pools/connection.ts'
import {
  type Asked,
  CANCEL_GRACE_MS,
  checkMayBegin,
  checkMayGoOn,
  isOver,
  notCancelled,
  type TransactionOf,
  timeIsUp,
  timeUpBefore,
  timeUpWithin,
} from './time-limit.ts'

/** SQLSTATE of a statement after the failed one in its transaction. */
const IN_FAILED_TRANSACTION = '25P02'

/**
 * Cancels what an exclusive session runs when the call's time is up or its client has disconnected.
 * The connection is closed afterwards, because a late cancel would hit the next statement. It is
 * destroyed if the cancel has no effect within CANCEL_GRACE_MS: the network is down, the function
 * handles the cancel, or the answer waits for its memory budget.
 */
export class CallLimits {
  readonly #asked: Asked
  readonly #connection: Connection
  #timer: NodeJS.Timeout | undefined
  #isEnded = false
  /** True: the call's own time limit has passed. */
  isTimeUp = false
  /** Content of the transaction, for the wording of errors. */
  transactionOf: TransactionOf = 'calls'

  constructor(asked: Asked, connection: Connection) {
    const { client, limit } = asked
    this.#asked = asked
    this.#connection = connection
    client.onGone = () => this.#cancel()
    if (!limit) return
    const leftMs = Math.max(0, limit.deadline - performance.now())
    this.#timer = setTimeout(() => {
      this.isTimeUp = true
      limit.isOver = true
      this.#cancel()
    }, leftMs)
  }

  /** True: the time is up or the client has disconnected. Nothing more must be started. */
  get isOver(): boolean {
    return isOver(this.#asked)
  }

  /** Checks as `checkMayBegin`. Call it before each piece of work is sent. */
  check(): void {
    checkMayBegin(this.#asked)
  }

  /**
   * Returns the error that the caller gets. It differs from `error` if the limits caused `error`.
   * @param left which part of the work may have taken effect. `nothing`: the work was not sent.
   *   `uncommitted`: its transaction has not been committed.
   */
  explain(error: unknown, left: 'anything' | 'nothing' | 'uncommitted' = 'anything'): unknown {
    const { limit, database } = this.#asked
    if (!this.isTimeUp || !limit) return error
    const wasCancelled = isCancelled(error)
    if (!wasCancelled && !endsConnection(error)) return error
    if (left === 'nothing') return timeUpBefore(limit, database)
    if (wasCancelled) return timeIsUp(limit, database)
    return left === 'uncommitted'
      ? timeUpWithin(limit, database, this.transactionOf)
      : notCancelled(limit, database)
  }

  /**
   * Checks as `checkMayGoOn`, after `begin` has been sent: the error says that the transaction was
   * rolled back.
   */
  checkGoesOn(): void {
    checkMayGoOn(this.#asked, this.transactionOf)
  }

  /** Stops watching. Call it when there is nothing left to cancel. */
  end(): void {
    this.#isEnded = true
    this.#asked.client.onGone = undefined
    clearTimeout(this.#timer)
  }

  #cancel(): void {
    this.#connection.cancelUntil(() => this.#isEnded)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#connection.destroy(noAnswer()), CANCEL_GRACE_MS)
  }
}

function noAnswer(): Error {
  return Object.assign(new Error('PostgreSQL did not respond to the cancel request'), {
    code: 'ETIMEDOUT',
  })
}

/** The cancel may have hit `begin` or `commit`, and with it the transaction. */
function isCancelled(error: unknown): boolean {
  const isBehind = isPostgresError(error) && error.code === IN_FAILED_TRANSACTION
  return isBehind || isQueryCanceled(error)
}
