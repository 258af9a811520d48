import { GatewayError } from '../../errors.ts'
import { type Client, clientGone, waitLimit } from '../../postgres/pools/waiter.ts'

export interface StreamLimits {
  /** Streams of one database that run at once. */
  maxPerDatabase: number
  /** Streams of all databases that run at once. */
  maxTotal: () => number
  /** Streams of one database that wait. */
  maxWaiting: number
  /** Milliseconds that a stream waits for its turn. */
  waitMs: number
}

interface Waiter {
  database: string
  grant: () => void
}

/**
 * How many streams run at once: a stream holds its connection for as long as its client takes to
 * read, and leaves half of the connections to calls. The others wait in order.
 */
export class StreamSlots {
  readonly #limits: StreamLimits
  /** By database; those that have none are not in it. */
  readonly #held = new Map<string, number>()
  #total = 0
  /** In the order of their arrival. Each waits for its database, or for all. */
  readonly #waiters = new Set<Waiter>()

  constructor(limits: StreamLimits) {
    this.#limits = limits
  }

  /**
   * A slot for a stream of the database, in its turn; call the function that it resolves with when
   * the stream has ended.
   * @throws {GatewayError} pool_exhausted when none becomes free within `waitMs`, where too many
   *   wait, and where the client goes away; query_timeout at the deadline (`performance.now()`)
   */
  async take(database: string, client: Client, deadline?: number): Promise<() => void> {
    if (this.#isFree(database)) this.#grant(database)
    else await this.#wait(database, client, deadline)
    let isHeld = true
    return () => {
      if (isHeld) this.#release(database)
      isHeld = false
    }
  }

  #isFree(database: string): boolean {
    const { maxPerDatabase, maxTotal } = this.#limits
    return this.#total < maxTotal() && (this.#held.get(database) ?? 0) < maxPerDatabase
  }

  #grant(database: string): void {
    this.#total++
    this.#held.set(database, (this.#held.get(database) ?? 0) + 1)
  }

  #release(database: string): void {
    this.#total--
    const held = this.#held.get(database)! - 1
    if (held > 0) this.#held.set(database, held)
    else this.#held.delete(database)
    for (const waiter of this.#waiters) {
      if (!this.#isFree(waiter.database)) continue
      this.#grant(waiter.database)
      waiter.grant()
    }
  }

  #wait(database: string, client: Client, deadline: number | undefined): Promise<void> {
    let waiting = 0
    for (const waiter of this.#waiters) if (waiter.database === database) waiting++
    if (waiting >= this.#limits.maxWaiting) {
      const message = `${waiting} streams wait for a connection to ${database} already`
      return Promise.reject(new GatewayError('pool_exhausted', message, { database }))
    }
    const { ms, error } = waitLimit(
      { waitMs: this.#limits.waitMs, deadline },
      database,
      (limit) =>
        `No connection to ${database} became free for a stream within ${limit}; streams get half of them`,
    )
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer)
        client.onGone = undefined
        this.#waiters.delete(waiter)
      }
      const waiter: Waiter = {
        database,
        grant: () => {
          settle()
          resolve()
        },
      }
      const leave = (reason: GatewayError) => {
        settle()
        reject(reason)
      }
      const timer = setTimeout(() => leave(error()), ms)
      client.onGone = () => leave(clientGone(database))
      this.#waiters.add(waiter)
    })
  }
}
