import { GatewayError } from '../errors.ts'

export interface QueueOptions {
  /** Returns how many may run at once at this moment, over all keys; values below 1 count as 1. */
  concurrency: () => number
  /** Returns the maximum number of waiting entries. */
  maxWaiting: () => number
  /** Whether work that failed with this error is worth one retry with nothing else running. */
  isWorthAlone?: (error: unknown) => boolean
}

/** An entry that waits for its turn. */
interface Waiter {
  isAlone: boolean
  start: () => void
}

/**
 * Runs one piece of work at a time for each key and a limited number in all; the rest wait in
 * order. A waiting entry holds no connection.
 */
export class KeyedQueue {
  readonly #options: QueueOptions
  readonly #tails = new Map<string, Promise<unknown>>()
  readonly #waiting: Waiter[] = []
  #running = 0
  /** Whether the running entry must run alone. */
  #isAlone = false
  /** Number of running and waiting entries. */
  #all = 0

  constructor(options: QueueOptions) {
    this.#options = options
  }

  /**
   * Runs `work` after all earlier work of the same key. If `work` fails with an error that
   * `isWorthAlone` accepts, it runs once more: behind the waiting entries, with nothing else
   * running. `isBehind` is true if `work` waited for earlier work of the same key, and in the
   * second run.
   * @throws {GatewayError} pool_exhausted, immediately, if `work` would have to wait and
   *   `maxWaiting` entries wait already
   */
  async run<T>(key: string, work: (isBehind: boolean) => Promise<T>): Promise<T> {
    const { isWorthAlone } = this.#options
    const maxWaiting = this.#options.maxWaiting()
    const mustWait = this.#tails.has(key) || this.#waiting.length > 0 || !this.#hasRoom
    if (mustWait && this.#all - this.#running >= maxWaiting) {
      const most = `${maxWaiting} deploys wait for their turn (MAX_WAITING_DEPLOYS)`
      throw new GatewayError('pool_exhausted', most)
    }
    this.#all++
    const before = this.#tails.get(key)
    const mine = (async () => {
      if (before) await before.catch(() => {})
      try {
        return await this.#turn(() => work(before !== undefined), false)
      } catch (error) {
        if (!isWorthAlone?.(error)) throw error
        return this.#turn(() => work(true), true)
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

  /** Number of entries that run. */
  get running(): number {
    return this.#running
  }

  /** Number of entries that wait, also for earlier work of their key. */
  get waiting(): number {
    return this.#all - this.#running
  }

  /** Resolves when nothing runs and nothing waits. */
  async drained(): Promise<void> {
    while (this.#tails.size > 0) await Promise.allSettled(this.#tails.values())
  }

  async #turn<T>(work: () => Promise<T>, isAlone: boolean): Promise<T> {
    await new Promise<void>((start) => {
      this.#waiting.push({ isAlone, start })
      this.#admit()
    })
    try {
      return await work()
    } finally {
      this.#running--
      this.#isAlone = false
      this.#admit()
    }
  }

  /** Starts waiting entries in order. An entry that must run alone is never overtaken. */
  #admit(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      if (first.isAlone ? this.#running > 0 : !this.#hasRoom) return
      this.#waiting.shift()
      this.#running++
      this.#isAlone = first.isAlone
      first.start()
    }
  }

  get #hasRoom(): boolean {
    return !this.#isAlone && this.#running < Math.max(1, this.#options.concurrency())
  }
}
