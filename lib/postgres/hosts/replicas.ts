import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log.ts'
import { isConnectionLost } from '../errors.ts'
import type { Sql } from '../pools/connection.ts'
import type { CredentialsOf, PoolLimits, Pools } from '../pools/pools.ts'
import { type Primary, Replica, type ReplicaProblem } from './replica.ts'
import type { Server } from './server.ts'
import { endOfWal, WalHistory } from './wal-history.ts'

export interface ReplicasOptions extends PoolLimits {
  /** A replica that is further behind gets no calls. */
  readMaxLagMs: number
}

/** A replica as /health tells of it. */
export interface ReplicaStatus {
  server: string
  usable: boolean
  /** When it was last asked; null where it is not known. */
  lag_ms: number | null
}

interface Written {
  /** Where the next record begins, in bytes of WAL. */
  inserted: string
  timeline: number
  /** Bytes. */
  block: number
  segment: number
  system: string
}

const ASK_EVERY_MS = 1000

/** Milliseconds. A deploy that waits for calls to end has given up by then. */
const HOLD_MS = 10_000

/** So far back a lag is known, unless the limit asks for more. */
const HISTORY_MS = 300_000

/**
 * The replicas that take calls which only read. Each is asked again and again how far it is, and so
 * is the primary. Where that does not answer, a replica is used until what is known of it is older
 * than the limit.
 */
export class Replicas {
  readonly #primary: Pools
  readonly #replicas: Replica[]
  readonly #maxLagMs: number
  readonly #everyMs: number
  readonly #log: Log
  readonly #history: WalHistory
  /** Of the primary, once that has answered. */
  #system: string | undefined
  #timeline = 0
  /** By database: the moment of `performance.now()` that a replica has to be current with. */
  readonly #notBefore = new Map<string, number>()
  #allNotBefore = 0
  /** What the log was told of each, last. */
  readonly #told = new Map<Replica, ReplicaProblem['kind'] | 'usable'>()
  #timer: NodeJS.Timeout | undefined
  #isAsking = false
  #isPrimaryMute = false
  #turn = 0
  #ended = false

  constructor(
    primary: Pools,
    servers: Server[],
    options: ReplicasOptions,
    log: Log,
    credentialsOf?: CredentialsOf,
  ) {
    this.#primary = primary
    this.#replicas = servers.map((server) => new Replica(server, options, credentialsOf))
    this.#maxLagMs = options.readMaxLagMs
    // Between two answers a replica grows older, too.
    this.#everyMs = Math.min(ASK_EVERY_MS, options.readMaxLagMs / 4)
    this.#history = new WalHistory(Math.max(HISTORY_MS, 2 * options.readMaxLagMs))
    this.#log = log
  }

  /** Begins to ask; until the first answers no replica is used. */
  start(): void {
    this.#timer = setInterval(() => this.#round(), this.#everyMs).unref()
    this.#round()
  }

  /** The connections of each replica that takes calls now, such as for looking at its functions. */
  usable(): Pools[] {
    const since = this.#oldest()
    return this.#replicas.filter((one) => one.isCurrent(since)).map(({ pools }) => pools)
  }

  /** The connections of each replica, whether it takes calls or not. */
  all(): Pools[] {
    return this.#replicas.map(({ pools }) => pools)
  }

  /** The connections of a replica that is current enough for this database: each in its turn. */
  pick(database: string): Pools | undefined {
    const notBefore = this.#notBefore.get(database) ?? 0
    const since = Math.max(this.#oldest(), this.#allNotBefore, notBefore)
    for (let i = 0; i < this.#replicas.length; i++) {
      const replica = this.#replicas[this.#turn++ % this.#replicas.length]!
      if (replica.isCurrent(since)) return replica.pools
    }
    return undefined
  }

  /** A call that went there failed with this error. */
  fail(pools: Pools, error: unknown): void {
    if (!isConnectionLost(error)) return
    this.#replicas.find((replica) => replica.pools === pools)?.fail()
  }

  /**
   * From now on a replica gets calls to this database only once it has all that has been written
   * until now, such as a deploy.
   */
  catchUp(database: string): void {
    this.#notBefore.set(database, performance.now())
  }

  /** For some seconds, or until `catchUp`, no replica gets calls to this database. */
  hold(database: string): void {
    this.#notBefore.set(database, performance.now() + HOLD_MS)
  }

  /** As `catchUp`, for every database. */
  catchUpAll(): void {
    this.#allNotBefore = performance.now()
  }

  /** As `renew` of `Pools`, on each of them. */
  renew(database: string): void {
    for (const replica of this.#replicas) replica.pools.renew(database)
  }

  /** As `retire` of `Pools`, on each of them. */
  retire(database: string): void {
    for (const replica of this.#replicas) replica.pools.retire(database)
  }

  /** From now on at most so many connections are open to each replica. */
  setCapacity(connections: number): void {
    for (const replica of this.#replicas) replica.setCapacity(connections)
  }

  /** The most connections that are open to one of them. */
  get held(): number {
    return Math.max(...this.#replicas.map(({ pools }) => pools.status().connections))
  }

  status(): ReplicaStatus[] {
    const since = this.#oldest()
    return this.#replicas.map((replica) => ({
      server: `${replica.server.host}:${replica.server.port}`,
      usable: replica.isCurrent(since),
      lag_ms: replica.lagMs === undefined ? null : Math.round(replica.lagMs),
    }))
  }

  /** Asks no more, closes the idle connections and cuts those in use. */
  async end(): Promise<void> {
    this.#ended = true
    clearInterval(this.#timer)
    await Promise.all(this.#replicas.map((replica) => replica.end()))
  }

  /** What is older than that is too old. */
  #oldest(): number {
    return performance.now() - this.#maxLagMs
  }

  async #round(): Promise<void> {
    this.#forgetOld()
    // First, so that a replica that has everything is seen to have it.
    const patience = sleep(this.#everyMs / 2, undefined, { ref: false })
    await Promise.race([this.#askPrimary(), patience])
    if (this.#system === undefined) return
    const primary: Primary = {
      system: this.#system,
      timeline: this.#timeline,
      history: this.#history,
    }
    await Promise.all(
      this.#replicas.map(async (replica) => {
        if (this.#ended) return
        await replica.ask(primary)
        if (!this.#ended) this.#tell(replica)
      }),
    )
  }

  async #askPrimary(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    const at = performance.now()
    try {
      const row = await this.#primary.use(this.#primary.server.database, readWritten)
      if (row.timeline !== this.#timeline) this.#history.clear()
      this.#history.note(at, endOfWal(BigInt(row.inserted), row.block, row.segment))
      this.#timeline = row.timeline
      this.#system = row.system
      this.#isPrimaryMute = false
    } catch (error) {
      this.#tellOfPrimary(error)
    } finally {
      this.#isAsking = false
    }
  }

  /** A replica that is usable at all has by now what was written then. */
  #forgetOld(): void {
    const oldest = this.#oldest()
    for (const [database, at] of this.#notBefore) {
      if (at < oldest) this.#notBefore.delete(database)
    }
  }

  #tell(replica: Replica): void {
    const trouble = replica.trouble ?? this.#behind(replica)
    const now = trouble?.kind ?? (replica.isCurrent(this.#oldest()) ? 'usable' : undefined)
    if (now === undefined || this.#told.get(replica) === now) return
    this.#told.set(replica, now)
    if (trouble) this.#log.warn(`Replica ${replica.name} gets no calls: it ${trouble.what}`)
    else this.#log.info(`Replica ${replica.name} gets the calls that only read`)
  }

  #behind(replica: Replica): ReplicaProblem | undefined {
    const { lagMs = performance.now() - this.#history.since! } = replica
    if (lagMs <= this.#maxLagMs) return undefined
    return { kind: 'behind', what: `is ${Math.round(lagMs / 1000)} s behind` }
  }

  #tellOfPrimary(error: unknown): void {
    if (this.#isPrimaryMute || this.#ended || isConnectionLost(error)) return
    this.#isPrimaryMute = true
    const { message } = error as Error
    this.#log.warn(`DATABASE_URL does not tell how far its WAL is: ${message}`)
  }
}

/**
 * The insert position: what was committed asynchronously is in the WAL, and need not be written yet.
 * The name of a WAL file begins with its timeline (8 hexadecimal digits).
 */
async function readWritten(sql: Sql): Promise<Written> {
  const [row] = await sql<Written[]>`
    select
      pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::text as inserted,
      ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int as timeline,
      current_setting('wal_block_size')::int as block,
      pg_size_bytes(current_setting('wal_segment_size'))::int as segment,
      system_identifier::text as system
    from pg_control_system()
  `
  return row!
}
