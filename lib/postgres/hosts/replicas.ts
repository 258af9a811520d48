import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log.ts'
import { isConnectionLost } from '../errors.ts'
import type { Sql } from '../pools/connection.ts'
import type { CredentialsOf, PoolLimits, Pools } from '../pools/pools.ts'
import type { Outages, Trouble } from './outages.ts'
import { type Primary, Replica } from './replica.ts'
import { hostAndPort, type Server } from './server.ts'
import { endOfWal, WalHistory } from './wal-history.ts'

export interface ReplicasOptions extends PoolLimits {
  /** Maximum lag in milliseconds; a replica with a greater lag gets no calls. */
  readMaxLagMs: number
}

/** Status of a replica in /health. */
export interface ReplicaStatus {
  server: string
  usable: boolean
  /** Lag in milliseconds at the last answer; null where it is unknown. */
  lag_ms: number | null
}

interface Written {
  /** Insert position in bytes of WAL: where the next record begins. */
  inserted: string
  timeline: number
  /** Sizes of a WAL block and of a WAL segment, in bytes. */
  block: number
  segment: number
  system: string
}

const ASK_EVERY_MS = 1000

/** How long `hold` lasts. A deploy that waits for calls to end has given up by then. */
const HOLD_MS = 10_000

/** Minimum time for which WAL positions of the primary are kept. */
const HISTORY_MS = 300_000

/**
 * The replicas that serve calls which only read. The gateway asks the primary and each replica for
 * their WAL positions every second at least. While the primary does not answer, a replica stays in
 * use until its last known position is older than the maximum lag.
 */
export class Replicas {
  readonly #primary: Pools
  readonly #replicas: Replica[]
  readonly #maxLagMs: number
  readonly #everyMs: number
  readonly #log: Log
  readonly #outages: Outages
  readonly #history: WalHistory
  /** System identifier of the primary; undefined before its first answer. */
  #system: string | undefined
  #timeline = 0
  /** `performance.now()` up to which a replica must be current, by database. */
  readonly #notBefore = new Map<string, number>()
  #allNotBefore = 0
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
    outages: Outages,
    credentialsOf?: CredentialsOf,
  ) {
    this.#primary = primary
    this.#replicas = servers.map((server) => new Replica(server, options, credentialsOf))
    this.#maxLagMs = options.readMaxLagMs
    // The known lag grows between two answers, so a short limit needs a short interval.
    this.#everyMs = Math.min(ASK_EVERY_MS, options.readMaxLagMs / 4)
    this.#history = new WalHistory(Math.max(HISTORY_MS, 2 * options.readMaxLagMs))
    this.#log = log
    this.#outages = outages
  }

  /** Starts asking; no replica is used before its first answer. */
  start(): void {
    this.#timer = setInterval(() => this.#round(), this.#everyMs).unref()
    this.#round()
  }

  /** Returns the connections of each replica that takes calls now, such as to read its catalog. */
  usable(): Pools[] {
    const since = this.#oldest()
    return this.#replicas.filter((one) => one.isCurrent(since)).map(({ pools }) => pools)
  }

  /** Each replica, whose connections are others after it was silent. */
  get members(): readonly Replica[] {
    return this.#replicas
  }

  /** Returns the connections of each replica, usable or not. */
  all(): Pools[] {
    return this.#replicas.map(({ pools }) => pools)
  }

  /** Picks, in rotation, a replica that is current enough for this database. */
  pick(database: string): Pools | undefined {
    const notBefore = this.#notBefore.get(database) ?? 0
    const since = Math.max(this.#oldest(), this.#allNotBefore, notBefore)
    for (let i = 0; i < this.#replicas.length; i++) {
      const replica = this.#replicas[this.#turn++ % this.#replicas.length]!
      if (replica.isCurrent(since)) return replica.pools
    }
    return undefined
  }

  /** Takes a replica out of use until it answers again, if the error is a lost connection. */
  fail(pools: Pools, error: unknown): void {
    if (!isConnectionLost(error)) return
    this.#replicas.find((replica) => replica.pools === pools)?.fail()
  }

  /**
   * Keeps calls to this database off a replica until it has replayed everything written so far,
   * such as a deploy.
   */
  catchUp(database: string): void {
    this.#notBefore.set(database, performance.now())
  }

  /** Keeps calls to this database off all replicas for 10 s or until `catchUp`. */
  hold(database: string): void {
    this.#notBefore.set(database, performance.now() + HOLD_MS)
  }

  /** Runs `catchUp` for every database. */
  catchUpAll(): void {
    this.#allNotBefore = performance.now()
  }

  /** Runs `Pools.renew` on each replica. */
  renew(database: string): void {
    for (const replica of this.#replicas) replica.pools.renew(database)
  }

  /** Runs `Pools.retire` on each replica. */
  retire(database: string): void {
    for (const replica of this.#replicas) replica.pools.retire(database)
  }

  /** Sets the limit of open connections to each replica. */
  setCapacity(connections: number): void {
    for (const replica of this.#replicas) replica.setCapacity(connections)
  }

  /** Number of open connections to the replica that has most. */
  get held(): number {
    return Math.max(...this.#replicas.map(({ pools }) => pools.status().connections))
  }

  status(): ReplicaStatus[] {
    const since = this.#oldest()
    return this.#replicas.map((replica) => ({
      server: hostAndPort(replica.server),
      usable: replica.isCurrent(since),
      lag_ms: replica.lagMs === undefined ? null : Math.round(replica.lagMs),
    }))
  }

  /** Stops asking, closes the idle connections and cuts those in use. */
  async end(): Promise<void> {
    this.#ended = true
    clearInterval(this.#timer)
    await Promise.all(this.#replicas.map((replica) => replica.end()))
  }

  /** `performance.now()` up to which a replica must be current to be usable at all. */
  #oldest(): number {
    return performance.now() - this.#maxLagMs
  }

  async #round(): Promise<void> {
    this.#forgetOld()
    // The primary goes first, so that a replica which has replayed everything is seen as current.
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

  /** Drops entries of `#notBefore` that every usable replica satisfies. */
  #forgetOld(): void {
    const oldest = this.#oldest()
    for (const [database, at] of this.#notBefore) {
      if (at < oldest) this.#notBefore.delete(database)
    }
  }

  #tell(replica: Replica): void {
    const server = hostAndPort(replica.server)
    const trouble = replica.trouble ?? this.#behind(replica)
    if (trouble) this.#outages.begin(server, 'replica', trouble)
    else if (replica.isCurrent(this.#oldest())) this.#outages.end(server, 'replica')
  }

  #behind(replica: Replica): Trouble | undefined {
    const { lagMs = performance.now() - this.#history.since! } = replica
    if (lagMs <= this.#maxLagMs) return undefined
    return { kind: 'behind', what: `is ${Math.round(lagMs / 1000)} s behind` }
  }

  #tellOfPrimary(error: unknown): void {
    if (this.#isPrimaryMute || this.#ended || isConnectionLost(error)) return
    this.#isPrimaryMute = true
    const { message } = error as Error
    this.#log.warn(`The primary (DATABASE_URL) does not report its WAL position: ${message}`)
  }
}

/**
 * Reads the insert position rather than the write position: an asynchronous commit is in the WAL
 * before it is written. The first 8 hexadecimal digits of a WAL file's name are its timeline.
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
