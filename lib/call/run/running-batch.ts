import { GatewayError } from '../../errors.ts'
import type { Client } from '../../postgres/pools/waiter.ts'
import type { BatchCall } from '../batch-request.ts'
import { bindCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { AnswerBudget } from './answer-budget.ts'
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
  budget?: AnswerBudget | undefined
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

/** What a row of a call has beside its JSON, at most, in bytes. */
const ROW_OVERHEAD = 128
/** A row has as many columns at most (PostgreSQL source, htup_details.h: MaxTupleAttributeNumber). */
const MAX_COLUMNS = 1664
const NULL_BYTES = 4

/** How much the results of a batch may still come to, together. */
export class BytesLeft {
  readonly #maxBytes: number
  readonly #isTransaction: boolean
  readonly #overhead: number
  #left: number
  /** The same, with what is being read. */
  #unread: number
  #hasRefused = false

  constructor(maxBytes: number, { isTransaction, numbersAsText }: BatchToRun) {
    this.#maxBytes = maxBytes
    this.#isTransaction = isTransaction
    this.#overhead = ROW_OVERHEAD + (numbersAsText ? MAX_COLUMNS * NULL_BYTES : 0)
    this.#left = maxBytes
    this.#unread = maxBytes
  }

  /** Of the results that were taken. */
  get taken(): number {
    return this.#maxBytes - this.#left
  }

  /** What is read from now on is all that comes. */
  restart(): void {
    this.#unread = this.#left
  }

  /** The room of one call: what is certainly too much is not read, nor what is rolled back for that. */
  budgetIn(budget: AnswerBudget | undefined): AnswerBudget {
    // Of a procedure come its texts, and then their JSON.
    let last = 0
    return {
      admitsEach: true,
      admit: (bytes) => {
        const counted = Math.max(0, bytes - this.#overhead)
        const mustFail = this.#hasRefused && this.#isTransaction
        if (mustFail || counted > this.#unread + last) return this.#refuse()
        this.#unread += last - counted
        last = counted
        return budget?.admit(bytes) ?? true
      },
      take: (bytes) => budget?.take(bytes),
      drop: (bytes) => budget?.drop(bytes),
      restart: (kept) => budget?.restart(kept),
    }
  }

  /** @throws {GatewayError} result_too_large */
  take<T extends Rows>(result: T): T {
    if (result.rows.length > this.#left) throw this.#refuse()
    this.#left -= result.rows.length
    return result
  }

  #refuse(): GatewayError {
    this.#hasRefused = true
    return new GatewayError(
      'result_too_large',
      `The rows of the batch are larger than ${this.#maxBytes} bytes together (MAX_RESULT_BYTES): ` +
        'send fewer calls at once',
    )
  }
}

/** What each call gave, in their order. */
export interface BatchResult extends Timing {
  results: (Rows | GatewayError)[]
}
