/** Time of the process that some kind of work may take in each second. */
export class TimeBudget {
  readonly #msPerSecond: number
  #second = 0
  #spentMs = 0

  constructor(msPerSecond: number) {
    this.#msPerSecond = msPerSecond
  }

  /** Does the work while there is time left in this second, else what costs next to nothing. */
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
