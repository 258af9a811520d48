import type { Query, Row } from '../../postgres/session/query.ts'
import type { AnswerBudget } from './answer-budget.ts'

/** So many bytes at once are read of PostgreSQL: what is behind them waits there. */
export const BATCH_BYTES = 128 * 1024

/**
 * The rows of a stream on their way from PostgreSQL to who takes them. Where a query has more than
 * BATCH_BYTES, those that have come are delivered before more are read; one row that is longer waits
 * for room, as an answer does. All that is held is counted.
 */
export class RowFlow {
  readonly #budget: AnswerBudget | undefined
  readonly #write: (rows: Row[]) => Promise<void>
  #query: Query | undefined
  #held = 0
  #isHeldUp = false
  #isEnded = false
  #delivery: Promise<void> = Promise.resolve()
  /** Called when PostgreSQL is waited for again. */
  onResumed: (() => void) | undefined

  /** `write` resolves when it has taken the rows. */
  constructor(budget: AnswerBudget | undefined, write: (rows: Row[]) => Promise<void>) {
    this.#budget = budget
    this.#write = write
  }

  /** Rows wait for the client or for room, rather than for PostgreSQL. */
  get isHeldUp(): boolean {
    return this.#isHeldUp
  }

  /** The rows that come from now on are of this query. */
  follow(query: Query): void {
    this.#query = query
  }

  /** See `Statement.admit`; rejects with what `write` does, and as `AnswerBudget.admit`. */
  admit(bytes: number): true | Promise<void> {
    if (this.#held + bytes <= BATCH_BYTES) return this.#hold(bytes)
    return this.#whenFree(bytes)
  }

  /** Hands rows on, and holds nothing any more. */
  deliver(rows: Row[]): Promise<void> {
    this.#delivery = this.#deliver(rows)
    return this.#delivery
  }

  /** Nothing more is read; resolves when the rows on their way are out. */
  async end(): Promise<void> {
    this.#isEnded = true
    await this.#delivery.catch(() => {})
  }

  async #deliver(rows: Row[]): Promise<void> {
    if (rows.length > 0) await this.#write(rows)
    this.#budget?.drop(this.#held)
    this.#held = 0
  }

  #hold(bytes: number): true {
    this.#held += bytes
    this.#budget?.take(bytes)
    return true
  }

  async #whenFree(bytes: number): Promise<void> {
    this.#isHeldUp = true
    if (this.#held > 0) await this.deliver(this.#query?.takeRows() ?? [])
    if (this.#isEnded) throw new Error('The stream has ended')
    if (bytes <= BATCH_BYTES) {
      this.#hold(bytes)
    } else {
      const leave = this.#budget?.admit(bytes) ?? true
      if (leave instanceof Error) throw leave
      this.#held += bytes
      if (leave !== true) await leave
    }
    this.#isHeldUp = false
    this.onResumed?.()
  }
}
