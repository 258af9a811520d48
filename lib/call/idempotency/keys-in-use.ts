import { waitForShared } from '../../postgres/pools/waiter.ts'
import type { Asked } from '../run/time-limit.ts'
import { keyInUse } from './key.ts'

/**
 * The keys whose calls this gateway runs at the moment: a request with the same key waits here, not on
 * a connection. Between gateways, PostgreSQL has the claim wait.
 */
export class KeysInUse {
  readonly #waitMs: number
  readonly #running = new Map<string, Promise<void>>()

  /** `waitMs`: how long a request without a limit of its own waits. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /**
   * Does the work of a key when no other work of it is being done.
   * @throws {GatewayError} query_timeout, pool_exhausted where the client has gone; what `work` throws
   */
  async alone<T>(asked: Asked, key: string, work: () => Promise<T>): Promise<T> {
    const { client, database, limit } = asked
    const id = `${database}\0${key}`
    const deadline = Math.min(limit?.deadline ?? Infinity, performance.now() + this.#waitMs)
    for (;;) {
      const other = this.#running.get(id)
      if (!other) break
      await waitForShared(other, database, { client, deadline }, keyInUse)
    }
    let end!: () => void
    this.#running.set(id, new Promise((resolve) => (end = resolve)))
    try {
      return await work()
    } finally {
      this.#running.delete(id)
      end()
    }
  }
}
