import { randomInt, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Listener } from '../postgres/listener.ts'
import { LOCK_CLASS } from '../postgres/pools/call-sessions.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { markDead, readLeft } from './dead-gateways.ts'
import { beginTurn, prepareTable, type Row, readRows, writeRow } from './gateways-table.ts'
import { asServices, asSharers, type GatewayStatus } from './members.ts'
import type { ShareOfService } from './service.ts'
import { divide, partOf, type Share, SMALLEST_SHARE } from './shares.ts'

export type { GatewayStatus } from './members.ts'

/** The sessions of this process, by the processes that PostgreSQL has for them. */
export interface OwnSessions {
  pids: ReadonlySet<number>
  onOpened: (() => void) | undefined
}

export interface GatewaysOptions {
  log: Log
  /** Runs work on the connection that is kept for notifications. */
  use: Listener['use']
  /** Returns the number of connections that are open now. */
  held: () => number
  sessions: OwnSessions
  /** Whether these are those that PostgreSQL shows: false behind a pooler. */
  countsLeft: boolean
  /** Called with the number of connections that may be open from now on. */
  onShare: (connections: number) => void
  /** Called when gateways, or workers of them, have come or gone. */
  onMembers: () => void
  /** The service that this process is a worker of; undefined: it is a gateway alone. */
  service: ShareOfService | undefined
}

const BEAT_EVERY_MS = 5000

/**
 * Milliseconds between heartbeats while a share changes: this gateway or others still have
 * connections to give up.
 */
const BEAT_AGAIN_MS = 250

/** Milliseconds within which new sessions are told: the others end those alone that were, if this gateway dies. */
const TELL_WITHIN_MS = 1000

/** Milliseconds over which gateways spread their reaction to one notification. */
const SPREAD_MS = 100

/**
 * Milliseconds that a new gateway waits for its share; enough for the others to see a dead gateway
 * and to close surplus connections.
 */
const JOIN_LIMIT_MS = 30_000

export { LOCK_CLASS }

/** Payload of the notification that shares may have changed. */
export const GATEWAYS_CHANGED = 'gateways'

/**
 * The gateways that share a PostgreSQL, in a table of the administrative database. Each gateway
 * divides the connections among the gateways that are alive. A gateway is alive if its heartbeat is
 * fresh and its listening session, which holds an advisory lock, exists. The lock of a killed
 * gateway vanishes at once; a gateway whose machine fails is found by its heartbeat. What its sessions
 * hold is given to others when PostgreSQL has ended them.
 */
export class Gateways {
  readonly #id = randomUUID()
  readonly #options: GatewaysOptions
  readonly #channel: string
  #cap = 0
  #share = 1
  #lock = 0
  /** Share that this gateway's row has. */
  #written = 0
  #members: Row[] = []
  #alive: GatewayStatus[] = []
  #beating: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #dueAt = 0
  #isJoined = false
  #wasTooSmall = false
  /** Whether sessions of dead gateways may be left. */
  #isCounting = false

  constructor(channel: string, options: GatewaysOptions) {
    this.#channel = channel
    this.#options = options
    const { service, sessions } = options
    sessions.onOpened = () => this.#onOpened()
    if (service) service.onChange = () => this.refresh()
  }

  /** Id of this gateway, or of this worker of it; constant while it runs. */
  get id(): string {
    return this.#id
  }

  /** Prepares the session of the kept connection. */
  async prepare(sql: Sql): Promise<void> {
    this.#lock = randomInt(1, 2 ** 31 - 1)
    await prepareTable(sql, this.#lock)
  }

  /**
   * Limits the gateway to one connection until it has joined. Call it before the first connection
   * is opened.
   */
  begin(): void {
    if (!this.#options.service) this.#options.onShare(this.#share)
  }

  /** Whether this process divides the connections: a gateway alone, or the leader of the workers. */
  get #divides(): boolean {
    return this.#options.service?.isLeader ?? true
  }

  /**
   * Joins the running gateways, and waits until they have made room.
   * @param cap connections that this gateway could have open if it were alone
   * @throws {Error} errors of PostgreSQL and of the socket
   */
  async join(cap: number): Promise<void> {
    this.#cap = cap
    const giveUpAt = performance.now() + JOIN_LIMIT_MS
    await this.#beat()
    while (this.#divides && this.#share < Math.min(SMALLEST_SHARE, cap)) {
      if (performance.now() > giveUpAt) {
        this.#take(SMALLEST_SHARE)
        this.#options.log.warn(
          `The other gateways did not give up enough connections within ${JOIN_LIMIT_MS / 1000} s: this one takes ${SMALLEST_SHARE}, and together they may exceed MAX_TOTAL_CONNECTIONS`,
        )
      }
      await sleep(BEAT_AGAIN_MS)
      await this.#beat()
    }
    this.#isJoined = true
    this.#schedule(BEAT_EVERY_MS)
  }

  /** Changes the connections that this gateway could have open if it were alone. */
  setCap(cap: number): void {
    if (cap === this.#cap) return
    this.#cap = cap
    this.refresh()
  }

  /** Schedules a heartbeat soon: shares may have changed, or the kept connection was replaced. */
  refresh(): void {
    if (this.#isJoined) this.#schedule(Math.random() * SPREAD_MS)
  }

  /** Returns the gateways that were alive at the last heartbeat, the oldest first. */
  alive(): GatewayStatus[] {
    return this.#alive
  }

  /** Returns the ids of the processes that were alive: gateways alone, and workers. */
  ids(): string[] {
    return this.#members.map(({ id }) => id)
  }

  /** Number of processes that share the limits of tenants, this one included. */
  get count(): number {
    return Math.max(1, this.#members.length)
  }

  /** Returns this process's part of a limit that all of them share; at least 1. */
  partOf(limit: number): number {
    const rank = this.#members.filter(({ id }) => id < this.#id).length
    return Math.max(1, partOf(limit, rank, this.count))
  }

  /**
   * Gives the gateway's share back. Requires that all its connections but the kept one are closed.
   */
  async leave(): Promise<void> {
    const wasJoined = this.#isJoined
    this.#isJoined = false
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#beating?.catch(() => {})
    if (!wasJoined) return
    await this.#options.use(async (sql) => {
      await sql`delete from _db_gateway_gateways where id = ${this.#id}`
      await this.#tell(sql)
    })
  }

  /** Schedules the next heartbeat, unless one is due sooner. */
  #schedule(delayMs: number): void {
    const at = performance.now() + delayMs
    if (this.#timer && this.#dueAt <= at) return
    clearTimeout(this.#timer)
    this.#dueAt = at
    this.#timer = setTimeout(() => this.#onTimer(), delayMs).unref()
  }

  async #onTimer(): Promise<void> {
    this.#timer = undefined
    // A heartbeat that is under way may have read the table before the change: run another.
    await this.#beating?.catch(() => {})
    await this.#beat().catch((error) =>
      this.#options.log.debug(`The heartbeat of this gateway failed: ${error.message}`),
    )
    const isUnsettled = this.#written > this.#share || this.#isCounting
    if (this.#isJoined) this.#schedule(isUnsettled ? BEAT_AGAIN_MS : BEAT_EVERY_MS)
  }

  #onOpened(): void {
    if (this.#isJoined && this.#options.countsLeft) this.#schedule(TELL_WITHIN_MS)
  }

  #beat(): Promise<void> {
    this.#beating ??= this.#options
      .use((sql) => this.#look(sql))
      .finally(() => {
        this.#beating = undefined
      })
    return this.#beating
  }

  /**
   * Sends a heartbeat and divides the connections. The lock of the table keeps two gateways from
   * taking the same connections.
   */
  async #look(sql: Sql): Promise<void> {
    await beginTurn(sql)
    const { sessions, countsLeft } = this.#options
    const died = await markDead(sql, this.#id, countsLeft)
    const left = await readLeft(sql, this.#id, sessions.pids)
    const others = await readRows(sql, this.#id)
    const share = this.#divide(others, left.connections)
    if (share.share < this.#share) this.#take(share.share)
    // Connections in use count until they are closed.
    const written = Math.max(share.share, this.#options.held())
    const isNew = await writeRow(sql, {
      id: this.#id,
      cap: this.#cap,
      lock: this.#lock,
      share: written,
      service: this.#options.service,
      sessions: countsLeft ? sessions.pids : undefined,
    })
    if (isNew || died > 0 || written < this.#written) await this.#tell(sql)
    const all = await readRows(sql)
    await sql`commit`
    this.#written = written
    this.#isCounting = left.isAny
    this.#take(share.share)
    this.#note(all, share)
  }

  /** A worker that does not lead writes what the leader has told. */
  #divide(others: Row[], left: number): Share {
    const { service } = this.#options
    if (service) this.#share = service.share
    if (!this.#divides) return { target: this.#share, share: this.#share, isTooSmall: false }
    const mine = { id: service?.id ?? this.#id, cap: this.#cap, share: this.#share }
    return divide(mine, asSharers(others, mine.id), left)
  }

  #take(share: number): void {
    if (share === this.#share) return
    this.#share = share
    if (this.#divides) this.#options.onShare(share)
  }

  async #tell(sql: Sql): Promise<void> {
    await sql`select pg_notify(${this.#channel}, ${GATEWAYS_CHANGED})`
  }

  #note(rows: Row[], { target, isTooSmall }: Share): void {
    const before = this.#alive.length
    const known = this.#members
    const isSame = known.length === rows.length && rows.every(({ id }, i) => id === known[i]!.id)
    this.#members = rows
    const { log, onMembers, service } = this.#options
    this.#alive = asServices(rows, service?.id ?? this.#id)
    const { length } = this.#alive
    if (!isSame) onMembers()
    if (isTooSmall && !this.#wasTooSmall) {
      const caps = rows.map(({ cap }) => cap)
      log.warn(
        `MAX_TOTAL_CONNECTIONS of ${Math.min(...caps)} is too small for ${length} gateways: each takes ${SMALLEST_SHARE} connections, and together they exceed it`,
      )
    }
    this.#wasTooSmall = isTooSmall
    if (before === length || (before === 0 && length === 1) || !this.#divides) return
    log.info(`${length} gateways share PostgreSQL's connections: this one may open ${target}`)
  }
}
