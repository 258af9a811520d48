import { GatewayError } from '../../errors.ts'
import type { Client } from '../../postgres/waiter.ts'
import type { BatchCall } from '../batch-request.ts'
import { type BoundCall, bindCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { AnswerRoom } from './answer-room.ts'
import type { Timing } from './attempt.ts'
import type { TimeLimit } from './call-limits.ts'
import type { CallParts } from './call-to-run.ts'
import { bindCurrent } from './current.ts'
import { eachByItself } from './each-by-itself.ts'
import { type ExclusiveSession, inExclusiveSession } from './exclusive-session.ts'
import { inOneTransaction } from './one-transaction.ts'
import type { Rows } from './result.ts'

/** Calls that are to run one behind the other. */
export interface BatchToRun {
  client: Client
  database: string
  calls: BatchCall[]
  /** All or nothing; or each call by itself. */
  isTransaction: boolean
  /** Settings that every call finds. */
  settings: SessionSettings | undefined
  limit: TimeLimit | undefined
  room?: AnswerRoom | undefined
}

/** What each call gave, in their order. */
export interface BatchResult extends Timing {
  results: (Rows | GatewayError)[]
}

/** A batch in its session. */
export interface RunningBatch extends BatchToRun {
  parts: CallParts
  exclusive: ExclusiveSession
  /** The call at this place, bound to its function as it is now. */
  bind(place: number): Promise<BoundCall>
}

/**
 * Runs calls in one session, sent one right behind the other: all or nothing, or each by itself.
 * @throws {GatewayError} pool_exhausted, connection_failed; of a transaction, as `runCall`
 */
export function runBatch(parts: CallParts, batch: BatchToRun): Promise<BatchResult> {
  const bind = (place: number) => {
    const { name, params } = batch.calls[place]!
    return bindCurrent(parts, {
      ...batch,
      name,
      bind: (overloads) => bindCall(name, overloads, params),
    })
  }
  return inExclusiveSession<{ results: (Rows | GatewayError)[] }>(
    parts.pools,
    batch,
    async (exclusive) => {
      const running: RunningBatch = { ...batch, parts, exclusive, bind }
      const run = batch.isTransaction ? inOneTransaction : eachByItself
      return { results: await run(running) }
    },
  )
}

/** How much the results of a batch may still come to, together. */
export class BytesLeft {
  readonly #maxBytes: number
  #left: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#left = maxBytes
  }

  /** @throws {GatewayError} result_too_large */
  take<T extends Rows>(result: T): T {
    if (result.rows.length > this.#left) {
      throw new GatewayError(
        'result_too_large',
        `The rows of the batch are larger than ${this.#maxBytes} bytes together (MAX_RESULT_BYTES): ` +
          'send fewer calls at once',
      )
    }
    this.#left -= result.rows.length
    return result
  }
}
