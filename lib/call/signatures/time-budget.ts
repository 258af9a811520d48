/** Limits the time that one kind of work may take in each second. */
export class TimeBudget {
  readonly #msPerSecond: number
  #second = 0
  #spentMs = 0

  constructor(msPerSecond: number) {
    this.#msPerSecond = msPerSecond
  }

  /** Runs `work` while time is left in this second, else `instead`, which must be cheap. */
  spend<T>(work: () => T, instead: () => T): T {
    const startedAt = performance.now()
    const second = Math.floor(startedAt / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#spentMs = 0
    }
    if (this.#spentMs >= this.#msPerSecond) return instead()
    try {
      return work()
    } finally {
      this.#spentMs += performance.now() - startedAt
    }
  }
}
