import type { Connection, Sql } from './pools/connection.ts'
import type { Pools } from './pools/pools.ts'
import { quoteIdentifier } from './quote.ts'

export interface ListenerOptions {
  database: string
  channel: string
  /** Runs on each new session, after LISTEN. */
  prepare: (sql: Sql) => Promise<void>
  /** Called when the connection is open again; notifications sent in between are lost. */
  onReturn: () => void
  onNotification: (payload: string) => void
  /** Called when the connection is lost; it is reopened automatically. */
  onLost: () => void
}

/** A connection that does not answer within 5 s is closed. */
const ANSWER_LIMIT_MS = 5000

/**
 * Delay before the second attempt to reopen a lost connection (the first is immediate); it doubles
 * with each attempt up to the longest.
 */
const RETRY_MS = 100
const LONGEST_RETRY_MS = 5000

/** A permanent connection that runs LISTEN; reopened whenever it is lost. */
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
   * Opens the connection and runs LISTEN on it.
   * @throws {GatewayError} pool_exhausted
   * @throws {Error} from PostgreSQL or the socket
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
   * Runs `work` on the connection; closes the connection if `work` fails or takes over 5 s.
   * @throws {Error} from PostgreSQL or the socket, or because the connection is not open
   */
  async use<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    if (!this.#connection)
      throw new Error('The LISTEN connection is not open: it is being reopened')
    return limited(this.#connection, work)
  }

  /** Closes the connection for good. */
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

/** Runs `work` and closes the connection if `work` fails or does not end in time. */
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
