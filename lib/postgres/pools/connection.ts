import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { type Backend, sendCancel } from '../cancel.ts'
import { createDriver, type Notice, type Sql } from '../driver.ts'
import { directRoute, type Route } from '../hosts/route.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { handOver } from '../session/hand-over.ts'
import { type Greeting, logIn } from '../session/log-in.ts'
import { Session } from '../session/session.ts'
import { failedSocket } from '../session/socket.ts'
import { joinCalls } from './call-sessions.ts'

export type { Sql }

/** What counts a connection: a budget. */
export interface Counted {
  idle: Set<Connection>
  closing: Set<Connection>
}

/**
 * What a connection is for. `sql`: the gateway's own SQL, by postgres.js. `wire`: calls, by a
 * session of the gateway's own.
 */
export type Speaks = 'sql' | 'wire'

const CLOSE_TIMEOUT_MS = 5000

/** The SQLSTATE of a log-in whose password is refused. */
const INVALID_PASSWORD = '28P01'

/** Of what the gateway sends and takes. */
const ENCODING = 'UTF8'

/** A cancel may come before the query that is meant has begun. */
const CANCEL_AGAIN_MS = 100

/** A deploy that says so has ended the session by then, or given up. */
const RETIREMENT_MS = 10_000

/**
 * In seconds: the server notices, too, that the way to the gateway is gone. Until then it keeps the
 * connection, which is none of the gateway's any more; by itself it would for two hours.
 */
const KEEPALIVES = {
  tcp_keepalives_idle: 60,
  tcp_keepalives_interval: 10,
  tcp_keepalives_count: 3,
}

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

/** A socket that is logged in. */
interface Opened {
  socket: Socket
  greeting: Greeting
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
  readonly #driver: Sql | undefined
  #session: Session | Promise<Session> | undefined
  /** The driver has the socket, or is to have none. */
  #isTaken = false
  /** The driver has been given its first query, which is an empty one. */
  #isBegun = false
  #closed = false
  #isCancelling = false
  /** Ends the pause between two cancels; and whether the next is to have none. */
  #endPause: (() => void) | undefined
  #isInHurry = false
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
    this.#parameters = {
      user: this.#credentials.user,
      database: options.database,
      client_encoding: ENCODING,
      application_name: server.applicationName,
      TimeZone: 'UTC',
      DateStyle: 'ISO, MDY',
      IntervalStyle: 'postgres',
      bytea_output: 'hex',
      extra_float_digits: 1,
      statement_timeout: options.statementTimeoutMs,
      // Compiling takes seconds for queries of the catalogs that take milliseconds. Calls keep it.
      ...(this.speaks === 'sql' && { jit: 'off' }),
      ...KEEPALIVES,
    }
    this.#opening = this.#open(options.connectTimeoutMs)
    // Each query fails with it, too.
    this.#opening.catch(() => {})
    if (this.speaks === 'wire') this.#session = this.#openSession()
    else this.#driver = this.#openDriver(server)
  }

  /** The driver's client, of a connection for the gateway's own SQL. */
  get sql(): Sql {
    if (!this.#driver) throw new Error('A connection for calls has no driver')
    if (!this.#isBegun) {
      this.#isBegun = true
      // What has come for it by then is sent in one go: see handOver.
      this.#driver
        .unsafe('')
        .execute()
        .catch(() => {})
    }
    return this.#driver
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
        if (!this.#isTaken) await this.#closeUnused()
        await this.#driver?.end({ timeout: CLOSE_TIMEOUT_MS / 1000 })
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
    if (this.#isCancelling) return
    this.#isCancelling = true
    while (!isEnded() && !this.#closed) {
      if (this.#backend && this.#server) {
        await sendCancel(this.#server, this.#backend, this.#connectTimeoutMs).catch(() => {})
      }
      await this.#pause()
    }
    this.#isCancelling = false
  }

  /** Cancels the next at once, where its queries are being cancelled and one has just ended. */
  cancelNext(): void {
    this.#isInHurry = true
    this.#endPause?.()
  }

  async #pause(): Promise<void> {
    if (!this.#isInHurry) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, CANCEL_AGAIN_MS)
        this.#endPause = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#isInHurry = false
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
    this.#endDriver()
  }

  /** The answer to an empty query costs PostgreSQL next to nothing. */
  async #askNothing(): Promise<unknown> {
    if (this.#driver) return this.sql.unsafe('')
    const session = await this.session
    return session.simple('')
  }

  async #open(timeoutMs: number): Promise<Opened> {
    const giveUpAt = performance.now() + timeoutMs
    try {
      const { socket, greeting } = await this.#openAsEither(timeoutMs, giveUpAt)
      socket.once('close', () => {
        this.#markClosed()
        this.#endDriver()
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

  /** A role has one password, and while the secret is being changed there are two that it may be. */
  async #openAsEither(timeoutMs: number, giveUpAt: number): Promise<Opened> {
    const { other, onOther } = this.#credentials
    try {
      return await this.#openAs(this.#credentials, timeoutMs, giveUpAt)
    } catch (error) {
      if (!other || (error as { code?: string }).code !== INVALID_PASSWORD) throw error
      const opened = await this.#openAs(other, timeoutMs, giveUpAt)
      onOther?.()
      return opened
    }
  }

  async #openAs(credentials: Credentials, timeoutMs: number, giveUpAt: number): Promise<Opened> {
    const {
      socket,
      server,
      patienceMs = timeoutMs,
    } = await this.#route.open(Math.max(1, giveUpAt - performance.now()))
    this.#socket = socket
    this.#server = server
    // An error may come while nothing reads; what reads then is told.
    socket.on('error', () => {})
    const left = giveUpAt - performance.now()
    const greeting = await this.#logIn(socket, credentials, Math.min(patienceMs, left))
    return { socket, greeting }
  }

  async #logIn(socket: Socket, credentials: Credentials, withinMs: number): Promise<Greeting> {
    const timer = setTimeout(() => socket.destroy(logInTimeout()), withinMs)
    try {
      const greeting = await logIn(socket, credentials, this.#parameters)
      if (socket.destroyed || this.#closed) throw socket.errored ?? connectionClosed()
      for (const [parameter, value] of greeting.parameters) {
        const refusal = this.#route.refusal(this.#server!, parameter, value)
        if (refusal) throw refusal
      }
      return greeting
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
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

  #openDriver(server: Server): Sql {
    return createDriver({
      server,
      credentials: this.#credentials,
      database: this.database,
      connectTimeoutMs: this.#connectTimeoutMs,
      socket: () => this.#giveSocket(),
      onParameter: (name, value) => {
        this.#onParameter(name, value)
        if (this.#isReadOnly) this.isSpent = true
      },
      onNotification: (channel, payload) => this.onNotification?.(channel, payload),
      onNotice: (notice) => this.onNotice?.(notice),
    })
  }

  /** A socket for the driver: one that fails where there is none. */
  async #giveSocket(): Promise<Duplex> {
    const isFirst = !this.#isTaken
    this.#isTaken = true
    try {
      const { socket, greeting } = await this.#opening
      if (!isFirst) return failedSocket(connectionClosed())
      if (socket.destroyed) return failedSocket(connectionClosed())
      socket.once('error', () => this.#endDriver())
      handOver(socket, greeting)
      return socket
    } catch (error) {
      return failedSocket(error as Error)
    }
  }

  /** Without the driver, which has never had the socket. */
  async #closeUnused(): Promise<void> {
    this.#isTaken = true
    const opened = await this.#opening.catch(() => undefined)
    if (opened && !this.#closed) await new Session(opened.socket).close()
  }

  /** The server may be made read-only while sessions are open. */
  #onParameter(name: string, value: string): void {
    if (name === 'default_transaction_read_only') this.#isReadOnly = value === 'on'
  }

  /**
   * Has the driver refuse further queries, and fail those it still has, now that its socket is
   * dead. postgres.js takes queries until the socket has closed, and forgets some that come after
   * the socket's error; and where one was running, its `end` waits for that in vain.
   */
  #endDriver(): void {
    this.#driver?.end({ timeout: 0 }).catch(() => {})
  }

  #markClosed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClosed()
    this.onClosed?.()
  }
}

/** What such a session writes is not what it is taken for. */
function otherEncoding(encoding: string): GatewayError {
  return new GatewayError(
    'query_failed',
    `client_encoding was left set to ${encoding} in a session whose answers have to be ${ENCODING}; ` +
      'the function may have run',
    { may_have_run: true },
  )
}

function connectionClosed(): Error {
  return Object.assign(new Error('The connection is closed'), { code: 'CONNECTION_CLOSED' })
}

function logInTimeout(): Error {
  return Object.assign(new Error('The server let no session in in time'), { code: 'ETIMEDOUT' })
}

/** Everything that keeps a connection from opening has a code, as the errors of sockets have. */
function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'CONNECTION_FAILED'
}
