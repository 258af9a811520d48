import type { Duplex } from 'node:stream'
import { createDriver, type Notice, type Sql } from '../driver.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { handOver } from '../session/hand-over.ts'
import { Session } from '../session/session.ts'
import { failedSocket } from '../session/socket.ts'
import { isUnreplicatedNotice, unreplicated } from '../session/unreplicated.ts'
import { connectionClosed, type Opened } from './open-logged-in.ts'

export interface DriverClientOptions {
  server: Server
  credentials: Credentials
  database: string
  connectTimeoutMs: number
  /** The logged-in socket for the driver; if opening it fails, the queries fail with its error. */
  opening: Promise<Opened>
  /** Statements that go out before all others; '' for none. */
  settings: string
  /** Called with the id of PostgreSQL's process, which they ask for. */
  onBackend: (pid: number) => void
  /** Whether the gateway has closed the connection. */
  isClosed: () => boolean
  onParameter: (name: string, value: string) => void
  onNotification: (channel: string, payload: string) => void
  onNotice: (notice: Notice) => void
  /** Called with the error of a commit that may be on no standby. */
  onUnreplicated: (error: Error) => void
}

/** The postgres.js client of one connection, over the socket that the gateway has opened. */
export class DriverClient {
  readonly #client: Sql
  readonly #options: DriverClientOptions
  /** Whether the driver has requested its socket, or may no longer get it. */
  #isTaken = false
  /** Whether the empty first query has been queued. */
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
      onNotice: (notice) => {
        if (isUnreplicatedNotice(notice)) options.onUnreplicated(unreplicated())
        options.onNotice(notice)
      },
    })
  }

  get sql(): Sql {
    if (!this.#isBegun) {
      this.#isBegun = true
      // The driver sends all queries that were queued before the log-in at once: see handOver.
      this.#client
        .unsafe('')
        .execute()
        .catch(() => {})
      const { settings, onBackend } = this.#options
      if (settings) {
        this.#client
          .unsafe<{ pid: number }[][]>(settings)
          .execute()
          .then((results) => onBackend(results.at(-1)![0]!.pid))
          .catch(() => {})
      }
    }
    return this.#client
  }

  /** Sends Terminate and closes the connection. */
  async close(timeoutMs: number): Promise<void> {
    if (!this.#isTaken) await this.#closeUnused()
    await this.#client.end({ timeout: timeoutMs / 1000 })
  }

  /**
   * Makes the driver refuse further queries and fail its pending ones after its socket has died.
   * postgres.js accepts queries until the socket is closed and drops some that come after the
   * socket's error. With a query running, its `end` would never resolve.
   */
  end(): void {
    this.#client.end({ timeout: 0 }).catch(() => {})
  }

  /** Returns the logged-in socket on the first call; a failed one later, or if opening failed. */
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

  /** Closes the connection if the driver has never requested its socket. */
  async #closeUnused(): Promise<void> {
    this.#isTaken = true
    const opened = await this.#options.opening.catch(() => undefined)
    if (opened && !this.#options.isClosed()) await new Session(opened.socket).close()
  }
}
