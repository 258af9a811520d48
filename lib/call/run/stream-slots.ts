import { GatewayError } from '../../errors.ts'
import { type Client, clientGone, waitLimit } from '../../postgres/pools/waiter.ts'

export interface StreamLimits {
  /** Maximum number of running streams of a database. */
  maxPerDatabase: (database: string) => number
  /** Maximum number of running streams of all databases. */
  maxTotal: () => number
  /** Maximum number of waiting streams of one database. */
  maxWaiting: number
  /** Milliseconds that a stream waits for a slot. */
  waitMs: number
}

interface Waiter {
  database: string
  grant: () => void
}

/**
 * Limits the number of running streams. A stream holds its connection while its client reads, so
 * streams leave half of the connections to other calls. Further streams wait in order.
 */
export class StreamSlots {
  readonly #limits: StreamLimits
  /** Number of running streams by database; databases without streams have no entry. */
  readonly #held = new Map<string, number>()
  #total = 0
  /**
   * Waiting streams in order of arrival. Each waits for a slot of its database, or for one of all.
   */
  readonly #waiters = new Set<Waiter>()

  constructor(limits: StreamLimits) {
    this.#limits = limits
  }

  /**
   * Waits for a stream slot of the database.
   * @param deadline `performance.now()` when the call's time is up
   * @returns the function that releases the slot
   * @throws {GatewayError} pool_exhausted if no slot becomes free within `waitMs`, if too many
   *   streams wait, or if the client disconnects; query_timeout at the deadline
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
    return this.#total < maxTotal() && (this.#held.get(database) ?? 0) < maxPerDatabase(database)
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
      const message = `${waiting} streams are already waiting for a connection to ${database}`
      return Promise.reject(new GatewayError('pool_exhausted', message, { database }))
    }
    const { ms, error } = waitLimit(
      { waitMs: this.#limits.waitMs, deadline },
      database,
      (limit) =>
        `No connection to ${database} became free for a stream within ${limit}; streams may use half of the connections`,
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

/** Returns half of the connections, at least one. */
export function half(connections: number): number {
  return Math.max(1, Math.floor(connections / 2))
}
