import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import type { Budget } from './budget.ts'
import { type Backend, sendCancel } from './cancel.ts'
import { directRoute, type Route } from './route.ts'
import type { Credentials, Server } from './server.ts'
import { handOver } from './session/hand-over.ts'
import { logIn } from './session/log-in.ts'
import { failedSocket } from './session/socket.ts'

const CLOSE_TIMEOUT_MS = 5000

/** PostgreSQL manual, "Message Formats". */
const TERMINATE = Buffer.from([88, 0, 0, 0, 4])

/** The end of an answer (PostgreSQL manual, "Message Formats": ReadyForQuery). */
const IN_TRANSACTION = 'T'.charCodeAt(0)
const IN_FAILED_TRANSACTION = 'E'.charCodeAt(0)

/** A query that was not cancelled in this time is asked again: it may just have begun. */
const CANCEL_AGAIN_MS = 100

/**
 * In seconds: the server notices, too, that the way to the gateway is gone. Until then it keeps the
 * connection, which is none of the gateway's any more; by itself it would for two hours.
 */
const KEEPALIVES = {
  tcp_keepalives_idle: 60,
  tcp_keepalives_interval: 10,
  tcp_keepalives_count: 3,
}

/** A postgres.js client. Here it always stands for one connection. */
export type Sql = postgres.Sql

/** What postgres.js knows of a query and its types do not list. */
interface Progress {
  /** It is the one that the server runs: those before it have been answered. */
  active: boolean
  /** Null before it is sent. */
  state: Backend | null
}

/**
 * Everything that the gateway sends is text in PostgreSQL's own input syntax. postgres.js would
 * rewrite some of it (timestamps to milliseconds, JSON texts as JSON strings).
 */
const TEXT_PARAMETERS = {
  date: textType(1184, [1082, 1114, 1184], String),
  bytea: textType(17, [17], String),
  boolean: textType(16, [16], (text) => text === 't'),
  json: textType(114, [114, 3802], JSON.parse),
}

function textType(to: number, from: number[], parse: (text: string) => unknown) {
  return { to, from, serialize: String, parse }
}

export interface ConnectionOptions {
  database: string
  /** The role to log in as, where it is not the server's. */
  credentials?: Credentials | undefined
  /** The way to the server, where it may have several hosts. */
  route?: Route
  connectTimeoutMs: number
  statementTimeoutMs: number
}

/**
 * One connection to one database: a postgres.js client and its one socket, which is opened at once
 * (the driver would wait for a query, and a millisecond more).
 */
export class Connection {
  readonly database: string
  readonly sql: Sql
  /** How long PostgreSQL lets a statement run. */
  readonly statementTimeoutMs: number
  /** What it counts for. */
  budgets: Budget[] = []
  /** `performance.now()` from when on it is too old to be used again. */
  expiresAt = Number.POSITIVE_INFINITY
  /** `performance.now()` since when it has been in use without a break. */
  busySince = performance.now()
  /** `performance.now()` when it was last given back. */
  idleSince = 0
  /** Quick calls that share it just now, what they are expected to take, and the last answer. */
  sharers = 0
  expectedMs = 0
  answeredAt = 0
  /** It is closed, rather than used again, when it is given back. */
  isSpent = false
  /** Something may be left in its session that the next one who uses it must not find. */
  needsReset = false
  /** A query on it was cancelled: maybe another one was hit. */
  wasCancelled = false
  /** What came last: with it, PostgreSQL says whether a transaction is open. */
  #lastByte = 0
  #isNoting = false
  #isLoggedIn = false
  /** Told of what NOTIFY says, where it listens. */
  onNotification: ((channel: string, payload: string) => void) | undefined
  /** Told when it is closed, by whomever. */
  onClosed: (() => void) | undefined
  /** The driver has the socket, or is to have none. */
  #isTaken = false
  #closed = false
  #socket: Socket | undefined
  /** What the server has reported of its session. */
  readonly #reported = new Set<string>()
  readonly #onClosed: () => void
  readonly #onOpen: () => void
  /** Becomes a socket that is logged in, or one that fails. */
  readonly #opening: Promise<Duplex>
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
    this.statementTimeoutMs = options.statementTimeoutMs
    this.#onClosed = onClosed
    this.#onOpen = onOpen
    this.#route = options.route ?? directRoute(server)
    this.#connectTimeoutMs = options.connectTimeoutMs
    this.#credentials = options.credentials ?? server
    const { user, password } = this.#credentials
    const parameters = {
      application_name: server.applicationName,
      TimeZone: 'UTC',
      DateStyle: 'ISO, MDY',
      IntervalStyle: 'postgres',
      bytea_output: 'hex',
      extra_float_digits: 1,
      statement_timeout: options.statementTimeoutMs,
      ...KEEPALIVES,
    }
    this.#parameters = {
      user,
      database: options.database,
      client_encoding: 'UTF8',
      ...parameters,
    }
    this.sql = postgres({
      host: server.host,
      port: server.port,
      user,
      password,
      database: options.database,
      max: 1,
      ssl: false,
      fetch_types: false,
      idle_timeout: 0,
      max_lifetime: 0,
      connect_timeout: Math.ceil(options.connectTimeoutMs / 1000),
      onnotice: () => {},
      onparameter: (name: string, value: string) => this.#onReport(name, value),
      types: TEXT_PARAMETERS as unknown as Record<string, postgres.PostgresType>,
      connection: parameters,
      // Options of postgres.js that its types do not list.
      ...{
        socket: () => this.#takeSocket(),
        onnotify: (channel: string, text: string) => this.onNotification?.(channel, text),
      },
    })
    this.#opening = this.#openSocket(options.connectTimeoutMs)
  }

  /** True once it cannot be used any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** What has come from the server so far. */
  get bytesRead(): number {
    return this.#socket?.bytesRead ?? 0
  }

  /** What has gone to the server so far; a query after which it is the same has not been sent. */
  get bytesWritten(): number {
    return this.#socket?.bytesWritten ?? 0
  }

  /**
   * A call may leave something in the session: it is reset before anybody else has it; and closed,
   * where a transaction is open by then.
   */
  expectLeftovers(): void {
    this.needsReset = true
    if (this.#socket && this.#isLoggedIn) this.#noteLastByte(this.#socket)
  }

  /** Whether it is known to be within a transaction; to be asked while nothing runs on it. */
  get isInTransaction(): boolean {
    return this.#lastByte === IN_TRANSACTION || this.#lastByte === IN_FAILED_TRANSACTION
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
    if (!this.#isTaken) await this.#closeUnused()
    await this.sql.end({ timeout: CLOSE_TIMEOUT_MS / 1000 })
    clearTimeout(timer)
  }

  /** Without the driver, which has never had the socket. */
  async #closeUnused(): Promise<void> {
    this.#isTaken = true
    const socket = await this.#opening
    if (this.#closed) return
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.resume().end(TERMINATE)
    await closed
  }

  /**
   * Has the server cancel these queries of this connection, each as it starts; asks again until
   * all have settled. A cancel that comes late hits the query behind them, so the connection is not
   * used any more; who shares it has to look at `wasCancelled`.
   */
  async cancel(queries: Promise<unknown>[]): Promise<void> {
    this.isSpent = true
    let isSettled = false
    const settled = Promise.allSettled(queries).then(() => {
      isSettled = true
    })
    while (!isSettled && !this.#closed) {
      const active = (queries as (Promise<unknown> & Progress)[]).find((query) => query.active)
      if (active?.state?.pid && this.#server) {
        this.wasCancelled = true
        await sendCancel(this.#server, active.state, this.#connectTimeoutMs).catch(() => {})
      }
      const ended = active ? Promise.allSettled([active]) : settled
      await Promise.race([ended, sleep(CANCEL_AGAIN_MS)])
    }
  }

  /** Whether the server answers on it within this time; to be asked while nothing runs on it. */
  async answers(withinMs: number): Promise<boolean> {
    const patience = new AbortController()
    const timeout = sleep(withinMs, false, { signal: patience.signal })
    // The answer to an empty query costs PostgreSQL next to nothing.
    const answer = this.sql.unsafe('').then(() => true)
    return Promise.race([answer, timeout])
      .catch(() => false)
      .finally(() => {
        timeout.catch(() => {})
        patience.abort()
      })
  }

  /** Cuts the socket, for a server that does not answer; its queries fail with the error. */
  destroy(error?: Error): void {
    this.#socket?.destroy(error)
    this.#markClosed()
    this.#endClient()
  }

  /**
   * Has the client refuse further queries, and fail those it still has, now that its socket is
   * dead. postgres.js takes queries until the socket has closed, and forgets some that come after
   * the socket's error; and where one was running, its `end` waits for that in vain.
   */
  #endClient(): void {
    this.sql.end({ timeout: 0 }).catch(() => {})
  }

  /**
   * A session that is of no use is cut before anything is sent: an error thrown here is that of the
   * first query. One that was turned read-only meanwhile is not used again.
   */
  #onReport(parameter: string, value: string): void {
    if (this.#reported.has(parameter)) {
      if (parameter === 'default_transaction_read_only' && value === 'on') this.isSpent = true
      return
    }
    this.#reported.add(parameter)
    const server = this.#server!
    const refusal = this.#route.refusal(server, parameter, value)
    if (!refusal) return
    this.#route.doubt(server)
    this.destroy()
    throw refusal
  }

  async #takeSocket(): Promise<Duplex> {
    if (this.#isTaken) return failedSocket(connectionClosed())
    this.#isTaken = true
    const socket = await this.#opening
    return socket.destroyed ? failedSocket(connectionClosed()) : socket
  }

  async #openSocket(timeoutMs: number): Promise<Duplex> {
    const giveUpAt = performance.now() + timeoutMs
    try {
      const { socket, server, patienceMs = timeoutMs } = await this.#route.open(timeoutMs)
      this.#socket = socket
      this.#server = server
      const left = giveUpAt - performance.now()
      await this.#logIn(socket, Math.min(patienceMs, left))
      // From here on, how it ends is the driver's to know.
      socket.once('error', () => this.#endClient())
      socket.once('close', () => {
        if (this.#reported.size === 0) this.#route.doubt(server)
        this.#markClosed()
        this.#endClient()
      })
      this.#isLoggedIn = true
      if (this.needsReset) this.#noteLastByte(socket)
      this.#onOpen()
      return socket
    } catch (error) {
      if (this.#server) this.#route.doubt(this.#server)
      this.#markClosed()
      return failedSocket(Object.assign(error as Error, { code: codeOf(error) }))
    }
  }

  /**
   * From when on the driver reads: to listen makes a socket flow. Once, and not before it is needed:
   * with large results it costs a tenth of what a call does.
   */
  #noteLastByte(socket: Socket): void {
    if (this.#isNoting) return
    this.#isNoting = true
    const note = (chunk: Buffer) => {
      this.#lastByte = chunk[chunk.length - 1]!
    }
    if (socket.listenerCount('data') > 0) {
      socket.on('data', note)
      return
    }
    const onListener = (event: string | symbol) => {
      if (event !== 'data') return
      socket.off('newListener', onListener)
      socket.on('data', note)
    }
    socket.on('newListener', onListener)
  }

  async #logIn(socket: Socket, withinMs: number): Promise<void> {
    const timer = setTimeout(() => socket.destroy(logInTimeout()), withinMs)
    // It may come while nobody reads; who reads then is told.
    socket.on('error', () => {})
    try {
      const greeting = await logIn(socket, this.#credentials, this.#parameters)
      if (socket.destroyed || this.#closed) throw socket.errored ?? connectionClosed()
      handOver(socket, greeting)
    } catch (error) {
      socket.destroy()
      throw error
    } finally {
      clearTimeout(timer)
    }
  }

  #markClosed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClosed()
    this.onClosed?.()
  }
}

function connectionClosed(): Error {
  return Object.assign(new Error('The connection is closed'), { code: 'CONNECTION_CLOSED' })
}

function logInTimeout(): Error {
  return Object.assign(new Error('The server let nobody in in time'), { code: 'ETIMEDOUT' })
}

/** Everything that keeps a connection from opening has a code, as the errors of sockets have. */
function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'CONNECTION_FAILED'
}
