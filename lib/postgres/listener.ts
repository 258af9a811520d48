import type { Connection, Sql } from './pools/connection.ts'
import type { Pools } from './pools/pools.ts'
import { quoteIdentifier } from './quote.ts'

export interface ListenerOptions {
  database: string
  channel: string
  /** Prepares the session, each time one is opened. */
  prepare: (sql: Sql) => Promise<void>
  /** It is open again after it was lost: whatever was said meanwhile was missed. */
  onReturn: () => void
  onNotification: (payload: string) => void
  /** It is lost, and will be opened again. */
  onLost: () => void
}

/** Who does not answer in that time is gone. */
const ANSWER_LIMIT_MS = 5000

/** How long until a connection that was lost is opened again; each time twice as long. */
const RETRY_MS = 100
const LONGEST_RETRY_MS = 5000

/** One connection, kept for as long as the gateway runs, that listens: lost ones are opened again. */
export class Listener {
  readonly #pools: Pools
  readonly #options: ListenerOptions
  #connection: Connection | undefined
  #timer: NodeJS.Timeout | undefined
  #ended = false

  constructor(pools: Pools, options: ListenerOptions) {
    this.#pools = pools
    this.#options = options
  }

  /**
   * Opens it for the first time.
   * @throws {GatewayError} pool_exhausted; {Error} of PostgreSQL and of the socket
   */
  async open(): Promise<void> {
    const { database, channel, prepare, onNotification } = this.#options
    const connection = await this.#pools.keep(database)
    connection.onNotification = (_, payload) => onNotification(payload)
    await limited(connection, async (sql) => {
      await sql.unsafe(`listen ${quoteIdentifier(channel)}`)
      await prepare(sql)
    })
    if (this.#ended) {
      await connection.close()
      return
    }
    this.#connection = connection
    connection.onClosed = () => this.#lost()
    if (connection.closed) this.#lost()
  }

  /**
   * Does something on its connection, which is given up where that fails.
   * @throws {Error} of PostgreSQL and of the socket; where it is not open
   */
  async use<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    if (!this.#connection) throw new Error('The connection that listens is being opened')
    return limited(this.#connection, work)
  }

  /** Says goodbye, and does not come back. */
  async end(): Promise<void> {
    this.#ended = true
    clearTimeout(this.#timer)
    await this.#connection?.close()
  }

  #lost(): void {
    this.#connection = undefined
    if (this.#ended) return
    this.#options.onLost()
    this.#openAgain(0)
  }

  #openAgain(delayMs: number): void {
    this.#timer = setTimeout(async () => {
      try {
        await this.open()
        if (this.#connection) this.#options.onReturn()
      } catch {
        const next = Math.min(Math.max(RETRY_MS, 2 * delayMs), LONGEST_RETRY_MS)
        if (!this.#ended) this.#openAgain(next)
      }
    }, delayMs).unref()
  }
}

/** Cuts a connection that does not answer in time, or on which something failed. */
async function limited<T>(connection: Connection, work: (sql: Sql) => Promise<T>): Promise<T> {
  const timer = setTimeout(() => connection.destroy(), ANSWER_LIMIT_MS)
  try {
    return await work(connection.sql)
  } catch (error) {
    connection.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}
