import type { Query, Row } from '../../postgres/session/query.ts'
import type { AnswerBudget } from './answer-budget.ts'

/** Bytes that are read from PostgreSQL at once. Further rows wait in PostgreSQL. */
export const BATCH_BYTES = 128 * 1024

/**
 * Passes the rows of a stream from PostgreSQL to a writer. If a query returns more than
 * BATCH_BYTES, the rows read so far are written before more are read. A single longer row waits for
 * the memory budget, as an answer does. All bytes in memory are counted.
 */
export class RowFlow {
  readonly #budget: AnswerBudget | undefined
  readonly #write: (rows: Row[]) => Promise<void>
  #query: Query | undefined
  #held = 0
  #isHeldUp = false
  #isEnded = false
  #delivery: Promise<void> = Promise.resolve()
  /** Called when the flow waits for PostgreSQL again. */
  onResumed: (() => void) | undefined

  /** @param write resolves when it has taken the rows */
  constructor(budget: AnswerBudget | undefined, write: (rows: Row[]) => Promise<void>) {
    this.#budget = budget
    this.#write = write
  }

  /** True: rows wait for the client or for the memory budget, not for PostgreSQL. */
  get isHeldUp(): boolean {
    return this.#isHeldUp
  }

  /** Declares that further rows belong to this query. */
  follow(query: Query): void {
    this.#query = query
  }

  /**
   * Implements `Statement.admit`. Rejects with the errors of `write` and of `AnswerBudget.admit`.
   */
  admit(bytes: number): true | Promise<void> {
    if (this.#held + bytes <= BATCH_BYTES) return this.#hold(bytes)
    return this.#whenFree(bytes)
  }

  /** Writes the rows and releases all bytes held. */
  deliver(rows: Row[]): Promise<void> {
    this.#delivery = this.#deliver(rows)
    return this.#delivery
  }

  /** Stops reading. Resolves when the rows being written are out. */
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
