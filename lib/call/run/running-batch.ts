import { GatewayError } from '../../errors.ts'
import type { Client } from '../../postgres/pools/waiter.ts'
import type { BatchCall } from '../batch-request.ts'
import { bindCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { AnswerRoom } from './answer-room.ts'
import type { Timing } from './attempt.ts'
import type { CallParts } from './call-to-run.ts'
import type { CallToBind } from './current.ts'
import type { ExclusiveSession } from './exclusive-session.ts'
import type { Rows } from './result.ts'
import type { TimeLimit } from './time-limit.ts'

/** Calls that are to run one behind the other. */
export interface BatchToRun {
  client: Client
  database: string
  calls: BatchCall[]
  /** All or nothing; or each call by itself. */
  isTransaction: boolean
  /** Settings that every call finds. */
  settings: SessionSettings | undefined
  /** Of all results. */
  numbersAsText: boolean
  limit: TimeLimit | undefined
  room?: AnswerRoom | undefined
}

/** A batch in its session. */
export interface RunningBatch extends BatchToRun {
  parts: CallParts
  exclusive: ExclusiveSession
}

/** The call at this place, as it is to be bound. */
export function callAt(batch: BatchToRun, place: number): CallToBind {
  const { calls, client, database, limit, numbersAsText } = batch
  const { name, params } = calls[place]!
  return {
    client,
    database,
    limit,
    name,
    bind: (overloads) => bindCall(name, overloads, params),
    numbersAsText,
  }
}

/** How much the results of a batch may still come to, together. */
export class BytesLeft {
  readonly #maxBytes: number
  #left: number

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
    this.#left = maxBytes
  }

  /** Of the results that were taken. */
  get taken(): number {
    return this.#maxBytes - this.#left
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

/** What each call gave, in their order. */
export interface BatchResult extends Timing {
  results: (Rows | GatewayError)[]
}
