import { waitForShared } from '../../postgres/pools/waiter.ts'
import type { Asked } from '../run/time-limit.ts'
import { keyInUse, tooManyWait } from './key.ts'

/**
 * Keys whose calls this gateway is running. Another request with such a key waits here, without a
 * connection. A request on another gateway waits in PostgreSQL, in its claim.
 */
export class KeysInUse {
  readonly #waitMs: () => number
  readonly #maxWaiting: () => number
  readonly #running = new Map<string, { ended: Promise<void>; waiting: number }>()

  /**
   * @param waitMs maximum wait of a request in milliseconds
   * @param maxWaiting maximum number of requests that wait for one key
   */
  constructor(waitMs: () => number, maxWaiting: () => number) {
    this.#waitMs = waitMs
    this.#maxWaiting = maxWaiting
  }

  /**
   * Waits until no request with the key runs in the database, then runs `work`.
   * @throws {GatewayError} query_timeout; pool_exhausted if the client has gone or too many wait;
   *   errors of `work`
   */
  async alone<T>(asked: Asked, key: string, work: () => Promise<T>): Promise<T> {
    const { client, database, limit } = asked
    const id = `${database}\0${key}`
    const deadline = Math.min(limit?.deadline ?? Infinity, performance.now() + this.#waitMs())
    for (;;) {
      const other = this.#running.get(id)
      if (!other) break
      if (other.waiting >= this.#maxWaiting()) throw tooManyWait(database, other.waiting)
      other.waiting++
      await waitForShared(other.ended, database, { client, deadline }, keyInUse).finally(() => {
        other.waiting--
      })
    }
    let end!: () => void
    const ended = new Promise<void>((resolve) => (end = resolve))
    this.#running.set(id, { ended, waiting: 0 })
    try {
      return await work()
    } finally {
      this.#running.delete(id)
      end()
    }
  }
}
