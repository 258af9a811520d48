import type { Socket } from 'node:net'
import { withinMs } from '../../common/within.ts'
import { type Backend, sendCancel } from '../cancel.ts'
import type { Notice, Sql } from '../driver.ts'
import { directRoute, type Route } from '../hosts/route.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { Session } from '../session/session.ts'
import { entering, joinCalls, type OpeningQuestion } from './call-sessions.ts'
import type { ConnectionOptions } from './connection-options.ts'
import { DriverClient } from './driver-client.ts'
import { codeOf, connectionClosed, type Opened, openLoggedIn } from './open-logged-in.ts'
import { RepeatedCancels } from './repeated-cancels.ts'
import { ENCODING, otherEncoding, type Speaks, sessionStart } from './session-parameters.ts'

export type { Speaks, Sql }

/** The sets of a budget in which a connection is counted. */
export interface Counted {
  idle: Set<Connection>
  closing: Set<Connection>
}

const CLOSE_TIMEOUT_MS = 5000

/** A deploy that ends sessions (see `Pools.retire`) has ended this one or given up by then. */
const RETIREMENT_MS = 10_000

/** One connection to one database over one socket. The constructor opens it. */
export class Connection {
  readonly database: string
  readonly speaks: Speaks
  /** statement_timeout at the start of the session, in milliseconds. */
  readonly statementTimeoutMs: number
  /** Statements that set what RESET ALL undoes behind a pooler; '' without one. */
  readonly settings: string
  /** Budgets that it counts in. */
  budgets: Counted[] = []
  /** `performance.now()` after which it is not used again. */
  expiresAt = Number.POSITIVE_INFINITY
  /** `performance.now()` at which its current period of use began. */
  busySince = performance.now()
  /** `performance.now()` of its last release. */
  idleSince = 0
  /** `performance.now()` since when its use is not charged to its database; undefined: not in use. */
  usedSince: number | undefined
  /** Quick calls that share it now, their total expected time, and the time of the last answer. */
  sharers = 0
  expectedMs = 0
  answeredAt = 0
  /** How calls use its session, see lib/call/run/mode.ts. */
  mode: 'shared' | 'exclusive' = 'exclusive'
  modeTimeoutMs: number | undefined
  /** Whether it is closed on release instead of being used again. */
  isSpent = false
  /** `performance.now()` of the last announcement by a deploy that it will end the session. */
  retiredAt = Number.NEGATIVE_INFINITY
  /** Whether its session must be reset before the next call. */
  needsReset = false
  /** Called with each notification of a channel that it listens on. */
  onNotification: ((channel: string, payload: string) => void) | undefined
  /** Called with each NoticeResponse. */
  onNotice: ((notice: Notice) => void) | undefined
  /** Called once when it is closed, for any reason. */
  onClosed: (() => void) | undefined
  /** Id of PostgreSQL's process, told once, before it gets a statement that may take long. */
  backend: number | undefined
  onBackend: ((pid: number) => void) | undefined
  readonly #driver: DriverClient | undefined
  #session: Session | Promise<Session> | undefined
  #closed = false
  readonly #ending = new AbortController()
  readonly #cancels = new RepeatedCancels()
  /** Last reported value of default_transaction_read_only. */
  #isReadOnly = false
  #socket: Socket | undefined
  #backend: Backend | undefined
  readonly #onClosed: () => void
  readonly #onOpen: () => void
  readonly #opening: Promise<Opened>
  /** Startup parameters of the session. */
  readonly #parameters: Record<string, string | number>
  readonly #credentials: Credentials
  readonly #route: Route
  /** Host at the other end; undefined before the socket is open. */
  #server: Server | undefined
  readonly #connectTimeoutMs: number

  /** `onClosed` is called once, also where it could not be opened; `onOpen` when it is ready for queries. */
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
    const { parameters, settings } = sessionStart(server, this.#credentials.user, options)
    this.settings = settings
    this.#parameters = parameters
    const behind = this.speaks === 'wire' ? entering(options.atOpening) : undefined
    this.#opening = this.#open(options.connectTimeoutMs, behind)
    // Each query rejects with the same error.
    this.#opening.catch(() => {})
    if (this.speaks === 'wire') this.#session = this.#openSession(options.atOpening)
    else {
      this.#driver = new DriverClient({
        server,
        credentials: this.#credentials,
        database: this.database,
        connectTimeoutMs: this.#connectTimeoutMs,
        opening: this.#opening,
        settings: this.settings,
        onBackend: (pid) => this.#noteBackend(pid),
        isClosed: () => this.#closed,
        onParameter: (name, value) => {
          this.#onParameter(name, value)
          if (this.#isReadOnly) this.isSpent = true
        },
        onNotification: (channel, payload) => this.onNotification?.(channel, payload),
        onNotice: (notice) => this.onNotice?.(notice),
        onUnreplicated: (error) => this.destroy(error),
      })
    }
  }

  /** The postgres.js client of an `sql` connection. */
  get sql(): Sql {
    if (!this.#driver) throw new Error('A connection for calls has no driver')
    return this.#driver.sql
  }

  /** The session of a `wire` connection; a promise until it is open. */
  get session(): Session | Promise<Session> {
    if (!this.#session) throw new Error('A connection of the driver has no session')
    return this.#session
  }

  /** True once it is unusable; the session may end a moment before its socket closes. */
  get closed(): boolean {
    return this.#closed || (this.#session instanceof Session && this.#session.isClosed)
  }

  /** Process id that the server told at the log-in; undefined before. */
  get pid(): number | undefined {
    return this.#backend?.pid
  }

  /** Bytes received from the server. */
  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0
  }

  /** Whether a query is waiting for PostgreSQL's answer; false for an `sql` connection. */
  get isWaiting(): boolean {
    return this.#session instanceof Session && this.#session.isWaiting
  }

  /** Whether its session, when idle, is unusable: in a transaction, or exclusive and read-only. */
  get isUnfit(): boolean {
    if (!(this.#session instanceof Session)) return false
    const isLockedOut = this.#isReadOnly && this.mode === 'exclusive'
    return this.#session.transactionStatus !== 'I' || isLockedOut
  }

  /** Whether a deploy is the likely cause if the session is terminated now. */
  get isRetired(): boolean {
    return performance.now() - this.retiredAt < RETIREMENT_MS
  }

  get server(): Server | undefined {
    return this.#server
  }

  /** Sends Terminate and resolves when the socket is closed, by force after 5 s. A query fails. */
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
   * Sends cancel requests until `isEnded` returns true. A late cancel request hits the next query,
   * so the connection is closed on release.
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

  /** Sends the next cancel request at once: one of the queries to be cancelled has just ended. */
  cancelNext(): void {
    this.#cancels.hurry()
  }

  /** Whether the server answers within this time. Call it only while the connection is idle. */
  async answers(limitMs: number): Promise<boolean> {
    // An empty query costs PostgreSQL next to nothing.
    const ask = async () => (this.#driver ? this.sql.unsafe('') : (await this.session).simple(''))
    return (await withinMs(limitMs, ask()).catch(() => undefined)) !== undefined
  }

  /** Closes the socket by force; pending queries fail with the error. */
  destroy(error?: Error): void {
    if (this.#session instanceof Session) this.#session.destroy(error)
    this.#socket?.destroy(error)
    this.#markClosed()
    this.#ending.abort(error ?? connectionClosed())
    this.#driver?.end()
  }

  async #open(timeoutMs: number, behind: string | undefined): Promise<Opened> {
    try {
      const { socket, greeting } = await openLoggedIn({
        route: this.#route,
        credentials: this.#credentials,
        parameters: this.#parameters,
        behind,
        timeoutMs,
        onSocket: (socket, server) => {
          this.#socket = socket
          this.#server = server
        },
        ending: this.#ending.signal,
      })
      socket.once('close', () => {
        this.#markClosed()
        this.#driver?.end()
      })
      const { pid, secret } = greeting
      this.#backend = { pid, secret }
      this.#onOpen()
      // A pooler tells an id of its own.
      if (!this.settings) this.#noteBackend(pid)
      return { socket, greeting }
    } catch (error) {
      if (this.#server) this.#route.doubt(this.#server)
      this.#markClosed()
      throw Object.assign(error as Error, { code: codeOf(error) })
    }
  }

  #openSession(question: OpeningQuestion | undefined): Promise<Session> {
    const session = this.#opening.then(async ({ socket }) => {
      // An error thrown here ends the session and rejects all its pending queries.
      const onParameter = (name: string, value: string) => {
        this.#onParameter(name, value)
        if (name === 'client_encoding' && value !== ENCODING) throw otherEncoding(value)
      }
      const opened = new Session(socket, { onParameter })
      await joinCalls(opened, this.database, this.#connectTimeoutMs, question)
      if (this.settings) {
        const asked = (await opened.simple(this.settings)).at(-1)!
        this.#noteBackend(Number(asked.rows[0]![0]))
      }
      this.#session = opened
      return opened
    })
    // Registered first: the connection is closed before callers of `session` get the error.
    session.catch(() => this.destroy())
    return session
  }

  #noteBackend(pid: number): void {
    this.backend = pid
    if (!this.#closed) this.onBackend?.(pid)
  }

  /** default_transaction_read_only may change while sessions are open. */
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
