/**
 * Lets one piece of work at a time through for each key, and so many at once altogether; the rest
 * wait in order. Waiting costs no connection.
 */
export class KeyedQueue {
  #concurrency: number
  readonly #tails = new Map<string, Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** `concurrency`: how many run at once, of all keys. */
  constructor(concurrency: number) {
    this.#concurrency = concurrency
  }

  /** Runs `work` when those of the same key that came before have ended. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key)
    const mine = (async () => {
      await before?.catch(() => {})
      await this.#enter()
      try {
        return await work()
      } finally {
        this.#leave()
      }
    })()
    this.#tails.set(key, mine)
    try {
      return await mine
    } finally {
      if (this.#tails.get(key) === mine) this.#tails.delete(key)
    }
  }

  /** From now on so many run at once; those that run already go on. */
  setConcurrency(concurrency: number): void {
    this.#concurrency = concurrency
    while (this.#running < this.#concurrency && this.#waiting.length > 0) {
      this.#running++
      this.#waiting.shift()?.()
    }
  }

  /** Resolves when nothing runs and nothing waits. */
  async drained(): Promise<void> {
    while (this.#tails.size > 0) await Promise.allSettled(this.#tails.values())
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running++
      return
    }
    // The one who leaves hands over the place.
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #leave(): void {
    const next = this.#running > this.#concurrency ? undefined : this.#waiting.shift()
    if (next) next()
    else this.#running--
  }
}
