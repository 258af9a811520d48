import { isPostgresError } from '../errors.ts'
import type { Sql } from '../pools/connection.ts'
import type { Need } from '../pools/need.ts'
import { type CredentialsOf, type PoolLimits, Pools } from '../pools/pools.ts'
import type { Trouble } from './outages.ts'
import type { Server } from './server.ts'
import type { WalHistory } from './wal-history.ts'

/** The primary, as far as its replicas are compared with it. */
export interface Primary {
  /** System identifier (pg_control_system), which a primary shares with its physical replicas. */
  system: string
  /** Timeline that the primary writes; each promotion begins a new one. */
  timeline: number
  /** WAL positions of the primary on that timeline. */
  history: WalHistory
}

interface Position {
  is_in_recovery: boolean
  /** Replay position in bytes of WAL. */
  replayed: string | null
  system: string
  timeline: number
}

/** A replica that has not answered for 1 s gets no calls until it answers. */
const SILENCE_MS = 1000

/** A streaming replica: its connections and how current its data is. */
export class Replica {
  readonly #server: Server
  readonly #limits: PoolLimits
  readonly #credentialsOf: CredentialsOf | undefined
  #pools: Pools
  #capacity: number
  /** `performance.now()` up to which the replica has replayed everything the primary wrote. */
  #currentAt = Number.NEGATIVE_INFINITY
  /** Lag in milliseconds at the last answer. */
  #lagMs: number | undefined
  #replayed = 0n
  #trouble: Trouble | undefined
  /** A call could not reach the replica since its last answer. */
  #hasFailed = false
  #askedAt: number | undefined
  /** As of `watchNeed`, which all further pools go on with. */
  #watching: Parameters<Pools['watchNeed']> | undefined
  #need: ReturnType<Pools['watchNeed']> | undefined

  constructor(server: Server, limits: PoolLimits, credentialsOf?: CredentialsOf) {
    this.#server = server
    this.#limits = limits
    this.#credentialsOf = credentialsOf
    this.#capacity = limits.maxTotalConnections
    this.#pools = this.#newPools()
  }

  get server(): Server {
    return this.#server
  }

  get pools(): Pools {
    return this.#pools
  }

  /** Lag in milliseconds; undefined where the replica does not answer or its lag is unknown. */
  get lagMs(): number | undefined {
    return this.#trouble || this.#hasFailed ? undefined : this.#lagMs
  }

  get trouble(): Trouble | undefined {
    return this.#trouble
  }

  /** Whether the replica answers and has replayed everything written before `since`. */
  isCurrent(since: number): boolean {
    return this.#currentAt >= since && !this.#trouble && !this.#hasFailed
  }

  /** Marks the replica unusable until it answers again: a call could not reach it. */
  fail(): void {
    this.#hasFailed = true
  }

  /** Sets the limit of open connections. */
  setCapacity(connections: number): void {
    this.#capacity = connections
    this.#pools.setCapacity(connections)
  }

  /** As `watchNeed` of the pools, also of those that take their place. */
  watchNeed(...watching: Parameters<Pools['watchNeed']>): () => Need {
    this.#watching = watching
    this.#need = this.#pools.watchNeed(...watching)
    return () => this.#need!()
  }

  /** Reads the replica's WAL position. Never throws: a failure becomes `trouble`. */
  async ask(primary: Primary): Promise<void> {
    if (this.#askedAt !== undefined) {
      if (performance.now() - this.#askedAt > SILENCE_MS) this.#trouble = silent()
      return
    }
    this.#askedAt = performance.now()
    // Without a timeout, calls on a dead server would wait for TCP's own timeout.
    const timer = setTimeout(() => this.#cut(), this.#limits.connectTimeoutMs).unref()
    try {
      this.#note(await this.#pools.use(this.#server.database, readPosition), primary)
      this.#hasFailed = false
    } catch (error) {
      this.#trouble = silent(reason(error))
    } finally {
      clearTimeout(timer)
      this.#askedAt = undefined
    }
  }

  /** Closes the idle connections and cuts those in use, whose queries fail. */
  end(): Promise<void> {
    return this.#pools.end()
  }

  #note(
    { is_in_recovery, replayed, system, timeline }: Position,
    { system: own, timeline: current, history }: Primary,
  ): void {
    this.#trouble = foreign(is_in_recovery, system === own) ?? diverged(timeline, current)
    if (this.#trouble || replayed === null) {
      this.#currentAt = Number.NEGATIVE_INFINITY
      return
    }
    const position = BigInt(replayed)
    const known = history.currentAt(position)
    // Only a replica that was set up again from a backup moves backwards.
    const before = position < this.#replayed ? Number.NEGATIVE_INFINITY : this.#currentAt
    this.#currentAt = Math.max(before, known ?? before)
    this.#replayed = position
    const lagMs = performance.now() - this.#currentAt
    this.#lagMs = Number.isFinite(lagMs) ? lagMs : undefined
  }

  #cut(): void {
    const old = this.#pools
    this.#pools = this.#newPools()
    if (this.#watching) this.#need = this.#pools.watchNeed(...this.#watching)
    old.end().catch(() => {})
  }

  #newPools(): Pools {
    // What it does not have of its own follows the limits. A replica counts no changes of its catalogs.
    const quiet: PoolLimits = Object.create(this.#limits, {
      maxTotalConnections: { value: this.#capacity },
      atOpening: { value: undefined },
    })
    return new Pools(this.#server, quiet, undefined, this.#credentialsOf)
  }
}

/**
 * Reads the replay position and the timeline of the WAL that is being received. received_tli is
 * NULL where no WAL is received, and for a role without pg_read_all_stats; the timeline is then
 * that of the control file, which is as of the last restartpoint.
 */
async function readPosition(sql: Sql): Promise<Position> {
  const [row] = await sql<Position[]>`
    select
      pg_is_in_recovery() as is_in_recovery,
      pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::text as replayed,
      system_identifier::text as system,
      coalesce(
        (select received_tli from pg_stat_wal_receiver),
        greatest(checkpoint.timeline_id, recovery.min_recovery_end_timeline)
      ) as timeline
    from pg_control_system(), pg_control_checkpoint() as checkpoint,
      pg_control_recovery() as recovery
  `
  return row!
}

function foreign(isInRecovery: boolean, isSameSystem: boolean): Trouble | undefined {
  if (!isSameSystem)
    return { kind: 'foreign', what: 'is no replica of DATABASE_URL: another server' }
  if (isInRecovery) return undefined
  return { kind: 'foreign', what: 'is no replica of DATABASE_URL: not in recovery' }
}

/**
 * WAL positions on different timelines cannot be compared: after a failover, a replica of the old
 * primary may have replayed WAL that the new primary does not have.
 */
function diverged(timeline: number, current: number): Trouble | undefined {
  if (timeline === current) return undefined
  const what = `is on timeline ${timeline}, and the primary is on ${current}`
  return { kind: 'diverged', what }
}

function silent(why?: string): Trouble {
  return {
    kind: 'silent',
    what: why === undefined ? 'does not answer' : `does not answer (${why})`,
  }
}

/** PostgreSQL's message, such as for a wrong password; the error code for any other error. */
function reason(error: unknown): string {
  const { message, code = message } = error as NodeJS.ErrnoException
  return isPostgresError(error) ? message : code
}
