import { randomInt, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Listener } from '../postgres/listener.ts'
import { LOCK_CLASS } from '../postgres/pools/call-sessions.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import {
  beginTurn,
  prepareTable,
  type Row,
  readRows,
  removeDead,
  writeRow,
} from './gateways-table.ts'
import { divide, type Share, SMALLEST_SHARE } from './shares.ts'

/** A gateway on this PostgreSQL, as ops see it. */
export interface GatewayStatus {
  id: string
  host: string
  pid: number
  /** ISO 8601, by PostgreSQL's clock. */
  started_at: string
  last_heartbeat_at: string
  /** Connections that it may have open. */
  share: number
  /** It is the one that says so. */
  self: boolean
}

export interface GatewaysOptions {
  log: Log
  /** Does something on the connection that is kept for this. */
  use: Listener['use']
  /** Connections that are open now. */
  held: () => number
  /** From now on so many may be open. */
  onShare: (connections: number) => void
}

const BEAT_EVERY_MS = 5000

/** While it has to give up more, or waits for others to. */
const BEAT_AGAIN_MS = 250

/** Several that are told at once do not all ask at once. */
const SPREAD_MS = 100

/** The others have had the time to see that one is dead, and to give up what they have too many. */
const JOIN_LIMIT_MS = 30_000

export { LOCK_CLASS }

/** Sent to the others when what they may have open may have changed. */
export const GATEWAYS_CHANGED = 'gateways'

/**
 * The gateways that share a PostgreSQL, in a table of the administrative database. Each divides the
 * connections among those that are alive: their heartbeat is fresh, and the session that listens,
 * which holds an advisory lock, is there. A killed one is seen to be dead by that at once; one whose
 * machine has gone by its heartbeat.
 */
export class Gateways {
  readonly #id = randomUUID()
  readonly #options: GatewaysOptions
  readonly #channel: string
  #cap = 0
  #share = 1
  #lock = 0
  /** What is in the table. */
  #written = 0
  #alive: GatewayStatus[] = []
  #beating: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #dueAt = 0
  #isJoined = false
  #wasTooSmall = false

  constructor(channel: string, options: GatewaysOptions) {
    this.#channel = channel
    this.#options = options
  }

  /** Of this gateway, for as long as it runs. */
  get id(): string {
    return this.#id
  }

  /** Prepares the session of the connection that is kept. */
  async prepare(sql: Sql): Promise<void> {
    this.#lock = randomInt(1, 2 ** 31 - 1)
    await prepareTable(sql, this.#lock)
  }

  /** Before the first connection is opened: until it has joined, a gateway has one only. */
  begin(): void {
    this.#options.onShare(this.#share)
  }

  /**
   * Joins the gateways that are there, and waits until they have made room for it.
   * `cap`: what it could have open if it were alone.
   * @throws {Error} of PostgreSQL and of the socket
   */
  async join(cap: number): Promise<void> {
    this.#cap = cap
    const giveUpAt = performance.now() + JOIN_LIMIT_MS
    await this.#beat()
    while (this.#share < Math.min(SMALLEST_SHARE, cap)) {
      if (performance.now() > giveUpAt) {
        this.#take(SMALLEST_SHARE)
        this.#options.log.warn('The other gateways have not made room: the sum passes the cap')
      }
      await sleep(BEAT_AGAIN_MS)
      await this.#beat()
    }
    this.#isJoined = true
    this.#schedule(BEAT_EVERY_MS)
  }

  /** Something has changed, or the kept connection is another one: looks soon. */
  refresh(): void {
    if (this.#isJoined) this.#schedule(Math.random() * SPREAD_MS)
  }

  /** Those alive when it last looked, the oldest first. */
  alive(): GatewayStatus[] {
    return this.#alive
  }

  /** Gives its share back. Its connections are closed by now, but for the kept one. */
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

  /** The next look; what is due sooner stays. */
  #schedule(delayMs: number): void {
    const at = performance.now() + delayMs
    if (this.#timer && this.#dueAt <= at) return
    clearTimeout(this.#timer)
    this.#dueAt = at
    this.#timer = setTimeout(() => this.#onTimer(), delayMs).unref()
  }

  async #onTimer(): Promise<void> {
    this.#timer = undefined
    // What one that runs has read may be older than what this one is for.
    await this.#beating?.catch(() => {})
    await this.#beat().catch((error) => this.#options.log.debug(`No heartbeat: ${error.message}`))
    const isUnsettled = this.#written > this.#share
    if (this.#isJoined) this.#schedule(isUnsettled ? BEAT_AGAIN_MS : BEAT_EVERY_MS)
  }

  #beat(): Promise<void> {
    this.#beating ??= this.#options
      .use((sql) => this.#look(sql))
      .finally(() => {
        this.#beating = undefined
      })
    return this.#beating
  }

  /** One gateway at a time: none takes what another one is about to. */
  async #look(sql: Sql): Promise<void> {
    await beginTurn(sql)
    const removed = await removeDead(sql, this.#id)
    const others = await readRows(sql, this.#id)
    const mine = { id: this.#id, cap: this.#cap, share: this.#share }
    const share = divide(mine, others)
    if (share.share < this.#share) this.#take(share.share)
    // What is in use is given up when it is given back.
    const written = Math.max(share.share, this.#options.held())
    const isNew = await writeRow(sql, { ...mine, lock: this.#lock, share: written })
    if (isNew || removed > 0 || written < this.#written) await this.#tell(sql)
    const all = await readRows(sql)
    await sql`commit`
    this.#written = written
    this.#take(share.share)
    this.#note(all, share)
  }

  #take(share: number): void {
    if (share === this.#share) return
    this.#share = share
    this.#options.onShare(share)
  }

  async #tell(sql: Sql): Promise<void> {
    await sql`select pg_notify(${this.#channel}, ${GATEWAYS_CHANGED})`
  }

  #note(rows: Row[], { target, isTooSmall }: Share): void {
    const before = this.#alive.length
    this.#alive = rows.map(({ cap, ...row }) => ({ ...row, self: row.id === this.#id }))
    const { log } = this.#options
    if (isTooSmall && !this.#wasTooSmall) {
      const caps = rows.map(({ cap }) => cap)
      log.warn(
        `MAX_TOTAL_CONNECTIONS of ${Math.min(...caps)} is too small for ${rows.length} gateways: each has ${SMALLEST_SHARE}`,
      )
    }
    this.#wasTooSmall = isTooSmall
    if (before === rows.length || (before === 0 && rows.length === 1)) return
    log.info(`${rows.length} gateways share PostgreSQL's connections: ${target} are for this one`)
  }
}
