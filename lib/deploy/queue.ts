/**
 * Lets one piece of work at a time through for each key, and so many at once altogether; the rest
 * wait in order. Waiting costs no connection.
 */
export class KeyedQueue {
  readonly #concurrency: () => number
  readonly #tails = new Map<string, Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  /** `concurrency`: how many may run at once just now, of all keys; at least one always may. */
  constructor(concurrency: () => number) {
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

  /** Resolves when nothing runs and nothing waits. */
  async drained(): Promise<void> {
    while (this.#tails.size > 0) await Promise.allSettled(this.#tails.values())
  }

  async #enter(): Promise<void> {
    if (this.#hasRoom) this.#running++
    // The one who lets it in counts it.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  #leave(): void {
    this.#running--
    while (this.#waiting.length > 0 && this.#hasRoom) {
      this.#running++
      this.#waiting.shift()?.()
    }
  }

  get #hasRoom(): boolean {
    return this.#running < Math.max(1, this.#concurrency())
  }
}
