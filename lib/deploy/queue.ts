import { GatewayError } from '../errors.ts'

/**
 * Lets one piece of work at a time through for each key, and so many at once altogether; the rest
 * wait in order. Waiting costs no connection.
 */
export class KeyedQueue {
  readonly #concurrency: () => number
  readonly #tails = new Map<string, Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  readonly #maxWaiting: number
  #running = 0
  /** Those that run and those that wait. */
  #all = 0

  /**
   * `concurrency`: how many may run at once just now, of all keys; at least one always may.
   * `maxWaiting`: how many may wait.
   */
  constructor(concurrency: () => number, maxWaiting: number) {
    this.#concurrency = concurrency
    this.#maxWaiting = maxWaiting
  }

  /**
   * Runs `work` when those of the same key that came before have ended.
   * @throws {GatewayError} pool_exhausted at once, where it would have to wait and too many do
   */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const mustWait = this.#tails.has(key) || !this.#hasRoom
    if (mustWait && this.#all - this.#running >= this.#maxWaiting) {
      const most = `${this.#maxWaiting} deploys wait for their turn (MAX_WAITING_DEPLOYS)`
      throw new GatewayError('pool_exhausted', most)
    }
    this.#all++
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
      this.#all--
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
