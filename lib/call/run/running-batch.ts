import { GatewayError } from '../../errors.ts'
import type { Client } from '../../postgres/pools/waiter.ts'
import type { HeldTime } from '../../usage/counters.ts'
import type { BatchCall } from '../batch-request.ts'
import { bindCall } from '../bind/parameters.ts'
import type { SessionSettings } from '../request.ts'
import type { AnswerBudget } from './answer-budget.ts'
import type { Kept, Timing } from './attempt.ts'
import type { CallParts } from './call-to-run.ts'
import type { CallToBind } from './current.ts'
import type { ExclusiveSession } from './exclusive-session.ts'
import type { Rows } from './result.ts'
import type { Restrictions, TimeLimit } from './time-limit.ts'

/** A batch of calls to run in order. */
export interface BatchToRun {
  client: Client
  database: string
  calls: BatchCall[]
  /** True: all calls run in one transaction. False: each call has a transaction of its own. */
  isTransaction: boolean
  /** Custom settings that every call reads with current_setting. */
  settings: SessionSettings | undefined
  /** True: numeric and bigint in all results become JSON strings. */
  numbersAsText: boolean
  limit: TimeLimit | undefined
  /** Undefined: the tenant has no limits. */
  restrictions: Restrictions | undefined
  budget?: AnswerBudget | undefined
  /** Counts for how long sessions were held. */
  held?: HeldTime | undefined
  /** Undefined for a batch without an Idempotency-Key. */
  keeping?: Keeping
  /** Bytes left for this batch and other transactions together; undefined for a batch of its own. */
  bytes?: BytesLeft
}

/** Beginning and end of a transaction that keeps its answers; see `KeptAnswers`. */
export interface Keeping {
  begin(exclusive: ExclusiveSession, budget: AnswerBudget | undefined): Promise<Rows[] | undefined>
  keep(exclusive: ExclusiveSession, answers: Rows[]): Promise<void>
}

/** A batch and the session in which it runs. */
export interface RunningBatch extends BatchToRun {
  parts: CallParts
  exclusive: ExclusiveSession
}

/** Returns the call at this place, ready to be bound. */
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

/** Maximum bytes of a row beside its JSON. */
const ROW_OVERHEAD = 128
/**
 * Maximum number of columns of a row (PostgreSQL source, htup_details.h: MaxTupleAttributeNumber).
 */
const MAX_COLUMNS = 1664
const NULL_BYTES = 4

/** Bytes that the results of a batch may still take, in total. */
export class BytesLeft {
  readonly #maxBytes: number
  readonly #isTransaction: boolean
  readonly #overhead: number
  #left: number
  /** Bytes left, less those of results being read. */
  #unread: number
  #hasRefused = false

  constructor(maxBytes: number, { isTransaction, numbersAsText }: BatchToRun) {
    this.#maxBytes = maxBytes
    this.#isTransaction = isTransaction
    this.#overhead = ROW_OVERHEAD + (numbersAsText ? MAX_COLUMNS * NULL_BYTES : 0)
    this.#left = maxBytes
    this.#unread = maxBytes
  }

  /** Bytes of the results taken so far. */
  get taken(): number {
    return this.#maxBytes - this.#left
  }

  /** Counts only results from now on: earlier reads were dropped. */
  restart(): void {
    this.#unread = this.#left
  }

  /**
   * Returns the memory budget of one call. Refuses a result that certainly exceeds the limit, and
   * results of a transaction that will be rolled back for that.
   */
  budgetIn(budget: AnswerBudget | undefined): AnswerBudget {
    // A procedure's texts are read first, then their JSON: only the last counts.
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

  /**
   * Counts a result.
   * @throws {GatewayError} result_too_large
   */
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

/** Results of the calls, in order. */
export interface BatchResult extends Timing {
  results: (Rows | GatewayError)[]
  /** Undefined unless all results are kept under an Idempotency-Key. */
  kept?: Kept
}
