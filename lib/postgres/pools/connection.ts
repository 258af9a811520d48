import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Backend, sendCancel } from '../cancel.ts'
import type { Notice, Sql } from '../driver.ts'
import { directRoute, type Route } from '../hosts/route.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { Session } from '../session/session.ts'
import { joinCalls } from './call-sessions.ts'
import { DriverClient } from './driver-client.ts'
import { codeOf, type Opened, openLoggedIn } from './open-logged-in.ts'
import { RepeatedCancels } from './repeated-cancels.ts'
import { ENCODING, otherEncoding, type Speaks, sessionParameters } from './session-parameters.ts'

export type { Speaks, Sql }

/** What counts a connection: a budget. */
export interface Counted {
  idle: Set<Connection>
  closing: Set<Connection>
}

const CLOSE_TIMEOUT_MS = 5000

/** A deploy that says so has ended the session by then, or given up. */
const RETIREMENT_MS = 10_000

export interface ConnectionOptions {
  database: string
  /** `sql` unless given. */
  speaks?: Speaks
  /** The role to log in as, where it is not the server's. */
  credentials?: Credentials | undefined
  /** The way to the server, where it may have several hosts. */
  route?: Route
  connectTimeoutMs: number
  statementTimeoutMs: number
}

/** One connection to one database, with its one socket, which is opened at once. */
export class Connection {
  readonly database: string
  readonly speaks: Speaks
  /** Milliseconds that PostgreSQL lets a statement run, unless the session says otherwise. */
  readonly statementTimeoutMs: number
  /** What it counts for. */
  budgets: Counted[] = []
  /** `performance.now()` from when on it is too old to be used again. */
  expiresAt = Number.POSITIVE_INFINITY
  /** `performance.now()` since when it has been in use without a break. */
  busySince = performance.now()
  /** `performance.now()` when it was last given back. */
  idleSince = 0
  /** Calls that share it just now, what they are expected to take, and the last answer. */
  sharers = 0
  expectedMs = 0
  answeredAt = 0
  /** How calls use its session: see lib/call/run/mode.ts. */
  mode: 'shared' | 'exclusive' = 'exclusive'
  /** It is closed, rather than used again, when it is given back. */
  isSpent = false
  /** `performance.now()` when a deploy last said that it ends the session unless it ends by itself. */
  retiredAt = Number.NEGATIVE_INFINITY
  /** Something may be left in its session that the next call must not find. */
  needsReset = false
  /** Told of what NOTIFY says, where it listens. */
  onNotification: ((channel: string, payload: string) => void) | undefined
  /** Told of what PostgreSQL says beside its answers. */
  onNotice: ((notice: Notice) => void) | undefined
  /** Told when it is closed, for whatever reason. */
  onClosed: (() => void) | undefined
  readonly #driver: DriverClient | undefined
  #session: Session | Promise<Session> | undefined
  #closed = false
  readonly #cancels = new RepeatedCancels()
  /** The last that the server reported of default_transaction_read_only. */
  #isReadOnly = false
  #socket: Socket | undefined
  #backend: Backend | undefined
  readonly #onClosed: () => void
  readonly #onOpen: () => void
  readonly #opening: Promise<Opened>
  /** Of the session, from its start. */
  readonly #parameters: Record<string, string | number>
  readonly #credentials: Credentials
  readonly #route: Route
  /** The host it leads to, once it is open. */
  #server: Server | undefined
  readonly #connectTimeoutMs: number

  /**
   * `onClosed` is called once, when there is no socket any more and will be none; `onOpen` once at
   * most, when the server can be asked.
   */
  constructor(
    server: Server,
    options: ConnectionOptions,
    onClosed: () => void,
    onOpen: () => void = () => {},
  ) {
    this.database = options.database
    this.speaks = options.speaks ?? 'sql'
    this.statementTimeoutMs = options.statementTimeoutMs
    this.#onClosed = onClosed
    this.#onOpen = onOpen
    this.#route = options.route ?? directRoute(server)
    this.#connectTimeoutMs = options.connectTimeoutMs
    this.#credentials = options.credentials ?? server
    this.#parameters = sessionParameters({
      ...options,
      applicationName: server.applicationName,
      user: this.#credentials.user,
    })
    this.#opening = this.#open(options.connectTimeoutMs)
    // Each query fails with it, too.
    this.#opening.catch(() => {})
    if (this.speaks === 'wire') this.#session = this.#openSession()
    else {
      this.#driver = new DriverClient({
        server,
        credentials: this.#credentials,
        database: this.database,
        connectTimeoutMs: this.#connectTimeoutMs,
        opening: this.#opening,
        isClosed: () => this.#closed,
        onParameter: (name, value) => {
          this.#onParameter(name, value)
          if (this.#isReadOnly) this.isSpent = true
        },
        onNotification: (channel, payload) => this.onNotification?.(channel, payload),
        onNotice: (notice) => this.onNotice?.(notice),
      })
    }
  }

  /** The driver's client, of a connection for the gateway's own SQL. */
  get sql(): Sql {
    if (!this.#driver) throw new Error('A connection for calls has no driver')
    return this.#driver.sql
  }

  /** The session of a connection for calls: at once where it is open, else when it is. */
  get session(): Session | Promise<Session> {
    if (!this.#session) throw new Error('A connection of the driver has no session')
    return this.#session
  }

  /** True once it cannot be used any more: its session may have ended a turn before its socket. */
  get closed(): boolean {
    return this.#closed || (this.#session instanceof Session && this.#session.isClosed)
  }

  /** What has come from the server so far. */
  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0
  }

  /** Whether PostgreSQL is waited for; of a connection for calls. */
  get isWaiting(): boolean {
    return this.#session instanceof Session && this.#session.isWaiting
  }

  /** Whether its session cannot go on as it is; to be asked while nothing runs on it. */
  get isUnfit(): boolean {
    if (!(this.#session instanceof Session)) return false
    const isLockedOut = this.#isReadOnly && this.mode === 'exclusive'
    return this.#session.transactionStatus !== 'I' || isLockedOut
  }

  /** Whether it is a deploy that ends the session where somebody does. */
  get isRetired(): boolean {
    return performance.now() - this.retiredAt < RETIREMENT_MS
  }

  /** The host that it leads to; undefined while it is being opened. */
  get server(): Server | undefined {
    return this.#server
  }

  /**
   * Says goodbye to the server and resolves when the socket is closed; one that does not close in
   * time is cut. A query that runs fails.
   */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.destroy(), CLOSE_TIMEOUT_MS)
    try {
      if (this.#session) {
        const session = await this.#session
        await session.close()
      } else {
        await this.#driver?.close(CLOSE_TIMEOUT_MS)
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Has the server cancel what runs on it, again and again until `isEnded` says so. A cancel that
   * comes late hits what runs next, so the connection is not used any more.
   */
  async cancelUntil(isEnded: () => boolean): Promise<void> {
    this.isSpent = true
    await this.#cancels.until(
      () => isEnded() || this.#closed,
      async () => {
        if (!this.#backend || !this.#server) return
        await sendCancel(this.#server, this.#backend, this.#connectTimeoutMs).catch(() => {})
      },
    )
  }

  /** Cancels the next at once, where its queries are being cancelled and one has just ended. */
  cancelNext(): void {
    this.#cancels.hurry()
  }

  /** Whether the server answers on it within this time; to be asked while nothing runs on it. */
  async answers(withinMs: number): Promise<boolean> {
    const patience = new AbortController()
    const timeout = sleep(withinMs, false, { signal: patience.signal })
    const answer = this.#askNothing().then(() => true)
    return Promise.race([answer, timeout])
      .catch(() => false)
      .finally(() => {
        timeout.catch(() => {})
        patience.abort()
      })
  }

  /** Cuts the socket, for a server that does not answer; its queries fail with the error. */
  destroy(error?: Error): void {
    if (this.#session instanceof Session) this.#session.destroy(error)
    this.#socket?.destroy(error)
    this.#markClosed()
    this.#driver?.end()
  }

  /** The answer to an empty query costs PostgreSQL next to nothing. */
  async #askNothing(): Promise<unknown> {
    if (this.#driver) return this.sql.unsafe('')
    const session = await this.session
    return session.simple('')
  }

  async #open(timeoutMs: number): Promise<Opened> {
    try {
      const { socket, greeting } = await openLoggedIn({
        route: this.#route,
        credentials: this.#credentials,
        parameters: this.#parameters,
        timeoutMs,
        onSocket: (socket, server) => {
          this.#socket = socket
          this.#server = server
        },
        isClosed: () => this.#closed,
      })
      socket.once('close', () => {
        this.#markClosed()
        this.#driver?.end()
      })
      const { pid, secret } = greeting
      this.#backend = { pid, secret }
      this.#onOpen()
      return { socket, greeting }
    } catch (error) {
      if (this.#server) this.#route.doubt(this.#server)
      this.#markClosed()
      throw Object.assign(error as Error, { code: codeOf(error) })
    }
  }

  #openSession(): Promise<Session> {
    const session = this.#opening.then(async ({ socket }) => {
      // An error that it throws ends the session, and is that of all queries that are not settled.
      const onParameter = (name: string, value: string) => {
        this.#onParameter(name, value)
        if (name === 'client_encoding' && value !== ENCODING) throw otherEncoding(value)
      }
      const opened = new Session(socket, { onParameter })
      await joinCalls(opened, this.database, this.#connectTimeoutMs)
      this.#session = opened
      return opened
    })
    // Before anybody who waits for it is told.
    session.catch(() => this.destroy())
    return session
  }

  /** The server may be made read-only while sessions are open. */
  #onParameter(name: string, value: string): void {
    if (name === 'default_transaction_read_only') this.#isReadOnly = value === 'on'
  }

  #markClosed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClosed()
    this.onClosed?.()
  }
}
