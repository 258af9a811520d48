import type { Duplex } from 'node:stream'
import { createDriver, type Notice, type Sql } from '../driver.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { handOver } from '../session/hand-over.ts'
import { Session } from '../session/session.ts'
import { failedSocket } from '../session/socket.ts'
import { connectionClosed, type Opened } from './open-logged-in.ts'

export interface DriverClientOptions {
  server: Server
  credentials: Credentials
  database: string
  connectTimeoutMs: number
  /** The socket that the driver is given; its errors are those of the queries. */
  opening: Promise<Opened>
  /** Whether the connection is closed. */
  isClosed: () => boolean
  onParameter: (name: string, value: string) => void
  onNotification: (channel: string, payload: string) => void
  onNotice: (notice: Notice) => void
}

/** The postgres.js client of one connection: it is given the one socket that the gateway has opened. */
export class DriverClient {
  readonly #client: Sql
  readonly #options: DriverClientOptions
  /** The driver has the socket, or is to have none. */
  #isTaken = false
  /** The driver has been given its first query, which is an empty one. */
  #isBegun = false

  constructor(options: DriverClientOptions) {
    this.#options = options
    const { server, credentials, database, connectTimeoutMs } = options
    this.#client = createDriver({
      server,
      credentials,
      database,
      connectTimeoutMs,
      socket: () => this.#giveSocket(),
      onParameter: options.onParameter,
      onNotification: options.onNotification,
      onNotice: options.onNotice,
    })
  }

  get sql(): Sql {
    if (!this.#isBegun) {
      this.#isBegun = true
      // What has come for it by then is sent in one go: see handOver.
      this.#client
        .unsafe('')
        .execute()
        .catch(() => {})
    }
    return this.#client
  }

  /** Says goodbye to the server. */
  async close(timeoutMs: number): Promise<void> {
    if (!this.#isTaken) await this.#closeUnused()
    await this.#client.end({ timeout: timeoutMs / 1000 })
  }

  /**
   * Has the driver refuse further queries, and fail those it still has, now that its socket is
   * dead. postgres.js takes queries until the socket has closed, and forgets some that come after
   * the socket's error; and where one was running, its `end` waits for that in vain.
   */
  end(): void {
    this.#client.end({ timeout: 0 }).catch(() => {})
  }

  /** A socket for the driver: one that fails where there is none. */
  async #giveSocket(): Promise<Duplex> {
    const isFirst = !this.#isTaken
    this.#isTaken = true
    try {
      const { socket, greeting } = await this.#options.opening
      if (!isFirst || socket.destroyed) return failedSocket(connectionClosed())
      socket.once('error', () => this.end())
      handOver(socket, greeting)
      return socket
    } catch (error) {
      return failedSocket(error as Error)
    }
  }

  /** Closes the socket without the driver, which has never had it. */
  async #closeUnused(): Promise<void> {
    this.#isTaken = true
    const opened = await this.#options.opening.catch(() => undefined)
    if (opened && !this.#options.isClosed()) await new Session(opened.socket).close()
  }
}
