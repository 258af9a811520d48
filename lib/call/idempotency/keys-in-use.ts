import { waitForShared } from '../../postgres/pools/waiter.ts'
import type { Asked } from '../run/time-limit.ts'
import { keyInUse } from './key.ts'

/**
 * Keys whose calls this gateway is running. Another request with such a key waits here, without a
 * connection. A request on another gateway waits in PostgreSQL, in its claim.
 */
export class KeysInUse {
  readonly #waitMs: number
  readonly #running = new Map<string, Promise<void>>()

  /** @param waitMs maximum wait of a request in milliseconds */
  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /**
   * Waits until no request with the key runs in the database, then runs `work`.
   * @throws {GatewayError} query_timeout; pool_exhausted if the client has gone; errors of `work`
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
