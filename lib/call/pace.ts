/** Quicker on average than this, and a call may share a connection with others. */
const QUICK_MS = 1

/** So many calls in a row have to be quick before the next may share. */
const PROBATION = 5

/** One call that takes so long, and the function is on probation again. */
const OUTLIER_MS = 20

/** What a query costs PostgreSQL beside the function itself. */
const OVERHEAD_MS = 0.03

/** How much the last call counts in the average. */
const WEIGHT = 1 / 16

/**
 * How long the calls of a function take, in PostgreSQL. One that has shown itself quick may share
 * a connection with others like it; a slow or unknown one may not, since they would wait for it.
 */
export class Pace {
  #meanMs = 0
  #calls = 0

  /** Milliseconds that the next call is expected to take; undefined where it must not share. */
  get expectedMs(): number | undefined {
    return this.#calls >= PROBATION && this.#meanMs < QUICK_MS ? this.#meanMs : undefined
  }

  /** Takes note of what a call took. */
  note(ms: number): void {
    const cost = ms + OVERHEAD_MS
    if (ms > OUTLIER_MS) this.#calls = 0
    else this.#calls++
    this.#meanMs = this.#calls <= 1 ? cost : this.#meanMs + (cost - this.#meanMs) * WEIGHT
  }
}
