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

/** SQLSTATE of what stands behind a statement that failed in its transaction. */
const IN_FAILED_TRANSACTION = '25P02'

/**
 * Has PostgreSQL cancel what an exclusive session runs when the call's time is up or its client has
 * gone away. The connection is closed then: a cancel that comes late hits what runs next. It is cut
 * where no answer comes even so: the network is gone, the function handles the cancel, or the answer
 * waits for room.
 */
export class CallLimits {
  readonly #asked: Asked
  readonly #connection: Connection
  #timer: NodeJS.Timeout | undefined
  #isEnded = false
  /** The call's own time is up. */
  isTimeUp = false
  /** What the transaction is of, if it is in one, for the words that tell its end. */
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

  /** Its time is up or its client has gone: nothing more is to be started. */
  get isOver(): boolean {
    return isOver(this.#asked)
  }

  /** As `checkMayBegin`: to be called before each piece of the work is sent. */
  check(): void {
    checkMayBegin(this.#asked)
  }

  /**
   * What the caller is told of an error, which may be of the limits' own making. `left`: what may be left
   * of the work. `nothing`: it was not sent; `uncommitted`: nothing, without its commit.
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

  /** As `checkMayGoOn`: the same behind the beginning of a transaction, which is rolled back then. */
  checkGoesOn(): void {
    checkMayGoOn(this.#asked, this.transactionOf)
  }

  /** To be called when there is nothing left to cancel. */
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
  return Object.assign(new Error('The cancel was not answered'), { code: 'ETIMEDOUT' })
}

/** The cancel may have hit a `begin` or a `commit`, too, and with it the transaction behind. */
function isCancelled(error: unknown): boolean {
  const isBehind = isPostgresError(error) && error.code === IN_FAILED_TRANSACTION
  return isBehind || isQueryCanceled(error)
}
