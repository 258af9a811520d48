import { isPostgresError } from '../errors.ts'
import type { Sql } from '../pools/connection.ts'
import { type CredentialsOf, type PoolLimits, Pools } from '../pools/pools.ts'
import { describeServer, type Server } from './server.ts'
import type { WalHistory } from './wal-history.ts'

/** Why a replica gets no calls; of one kind, only the first time is worth telling. */
export interface ReplicaProblem {
  kind: 'silent' | 'foreign' | 'diverged' | 'behind'
  /** Such as `does not answer (ECONNREFUSED)`. */
  what: string
}

/** The server that replicas are to be of. */
export interface Primary {
  /** Of pg_control_system: all servers that are copies of one have the same. */
  system: string
  /** The line of WAL that it writes; a promotion begins a new one. */
  timeline: number
  /** Of that timeline. */
  history: WalHistory
}

interface Position {
  is_in_recovery: boolean
  /** Bytes of WAL. */
  replayed: string | null
  system: string
  timeline: number
}

/** A replica that has not answered for so long gets no calls until it does. */
const SILENCE_MS = 1000

/** A streaming replica: connections to it, and what is known of how current it is. */
export class Replica {
  readonly name: string
  readonly #server: Server
  readonly #limits: PoolLimits
  readonly #credentialsOf: CredentialsOf | undefined
  #pools: Pools
  #capacity: number
  /** Everything that the primary had written by this moment of `performance.now()` is there. */
  #currentAt = Number.NEGATIVE_INFINITY
  /** Milliseconds, when it was last asked. */
  #lagMs: number | undefined
  #replayed = 0n
  #trouble: ReplicaProblem | undefined
  /** A call could not reach it. */
  #hasFailed = false
  #askedAt: number | undefined

  constructor(server: Server, limits: PoolLimits, credentialsOf?: CredentialsOf) {
    this.name = describeServer(server)
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

  /** Undefined where it is not known: it does not answer, or is too far behind to say. */
  get lagMs(): number | undefined {
    return this.#trouble || this.#hasFailed ? undefined : this.#lagMs
  }

  get trouble(): ReplicaProblem | undefined {
    return this.#trouble
  }

  /** Whether it answers, and has everything that was written by that moment. */
  isCurrent(since: number): boolean {
    return this.#currentAt >= since && !this.#trouble && !this.#hasFailed
  }

  /** A call could not reach it: it gets no more until it has been asked again. */
  fail(): void {
    this.#hasFailed = true
  }

  /** From now on at most so many connections are open. */
  setCapacity(connections: number): void {
    this.#capacity = connections
    this.#pools.setCapacity(connections)
  }

  /** Asks how far it is. Never throws: what goes wrong is its trouble. */
  async ask(primary: Primary): Promise<void> {
    if (this.#askedAt !== undefined) {
      if (performance.now() - this.#askedAt > SILENCE_MS) this.#trouble = silent()
      return
    }
    this.#askedAt = performance.now()
    // Calls that wait for a server that is gone would do so for as long as TCP does.
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

  /** Closes the idle connections and cuts those in use: their queries fail. */
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
    // Only one that was set up anew goes back.
    const before = position < this.#replayed ? Number.NEGATIVE_INFINITY : this.#currentAt
    this.#currentAt = Math.max(before, known ?? before)
    this.#replayed = position
    const lagMs = performance.now() - this.#currentAt
    this.#lagMs = Number.isFinite(lagMs) ? lagMs : undefined
  }

  #cut(): void {
    const old = this.#pools
    this.#pools = this.#newPools()
    old.end().catch(() => {})
  }

  #newPools(): Pools {
    const limits = { ...this.#limits, maxTotalConnections: this.#capacity }
    return new Pools(this.#server, limits, undefined, this.#credentialsOf)
  }
}

/**
 * The timeline is that of the WAL which is being received. It is NULL where none is, and for a role
 * without pg_read_all_stats; the control file has it then, as of the last restartpoint.
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

function foreign(isInRecovery: boolean, isSameSystem: boolean): ReplicaProblem | undefined {
  if (!isSameSystem)
    return { kind: 'foreign', what: 'is no replica of DATABASE_URL: another server' }
  if (isInRecovery) return undefined
  return { kind: 'foreign', what: 'is no replica of DATABASE_URL: not in recovery' }
}

/**
 * A position on one timeline says nothing of another one: after a failover, a replica of the former
 * primary may have replayed what the new one has not.
 */
function diverged(timeline: number, current: number): ReplicaProblem | undefined {
  if (timeline === current) return undefined
  const what = `is on timeline ${timeline}, and the primary is on ${current}`
  return { kind: 'diverged', what }
}

function silent(why?: string): ReplicaProblem {
  return {
    kind: 'silent',
    what: why === undefined ? 'does not answer' : `does not answer (${why})`,
  }
}

/** What PostgreSQL says, such as of a password that is wrong; the code of all else. */
function reason(error: unknown): string {
  const { message, code = message } = error as NodeJS.ErrnoException
  return isPostgresError(error) ? message : code
}
