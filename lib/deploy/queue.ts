import { GatewayError } from '../errors.ts'

export interface QueueOptions {
  /** How many may run at once just now, of all keys; at least one always may. */
  concurrency: () => number
  /** How many may wait. */
  maxWaiting: number
  /** Whether work that failed so is done once more, when nothing else runs. */
  isWorthAlone?: (error: unknown) => boolean
}

/** One that waits for its turn. */
interface Waiter {
  isAlone: boolean
  start: () => void
}

/**
 * Lets one piece of work at a time through for each key, and so many at once altogether; the rest
 * wait in order. Waiting costs no connection.
 */
export class KeyedQueue {
  readonly #options: QueueOptions
  readonly #tails = new Map<string, Promise<unknown>>()
  readonly #waiting: Waiter[] = []
  #running = 0
  /** The one that runs wants nothing beside it. */
  #isAlone = false
  /** Those that run and those that wait. */
  #all = 0

  constructor(options: QueueOptions) {
    this.#options = options
  }

  /**
   * Runs `work` when those of the same key that came before have ended; where it fails for want of
   * something that others use, once more behind those who wait, alone. `work` is told whether another
   * one of the same key has ended since this was called, or it runs once more.
   * @throws {GatewayError} pool_exhausted at once, where it would have to wait and too many do
   */
  async run<T>(key: string, work: (isBehind: boolean) => Promise<T>): Promise<T> {
    const { maxWaiting, isWorthAlone } = this.#options
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

  /** Starts those whose turn it is, in order: nobody overtakes one that waits to be alone. */
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
