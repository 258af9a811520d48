/** How much WAL had been written by a moment of `performance.now()`. */
interface Mark {
  at: number
  written: bigint
}

/**
 * How far a server's WAL was, and when: it tells by what a replica has replayed how old that is, on
 * one clock and without any change that is made for it.
 */
export class WalHistory {
  readonly #keepMs: number
  /** In the order of time. */
  readonly #marks: Mark[] = []
  #since: number | undefined

  /** `keepMs`: how far back it goes. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** Notes that all that was written by the moment `at` ends at the position `written`. */
  note(at: number, written: bigint): void {
    this.#since ??= at
    const last = this.#marks.at(-1)
    if (last?.written === written) last.at = at
    else this.#marks.push({ at, written })
    while (this.#marks[0]!.at < at - this.#keepMs) this.#marks.shift()
  }

  /**
   * The newest moment of which everything is in the WAL up to `replayed`; undefined where that is
   * before all that is known.
   */
  currentAt(replayed: bigint): number | undefined {
    return this.#marks.findLast(({ written }) => written <= replayed)?.at
  }

  /** The moment of the first note. */
  get since(): number | undefined {
    return this.#since
  }
}
