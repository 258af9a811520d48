import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isConnectionLost } from '../../postgres/errors.ts'
import { SPEAK_EVERY_MS } from '../../postgres/pools/call-sessions.ts'
import type { Connection, Sql } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { retireOnReplica, retireSessions } from './retire-sessions.ts'

/** Time to wait for a connection to a replica, in milliseconds. */
const REPLICA_WAIT_MS = 1000

/**
 * A replica that has not answered for this long runs no calls, in milliseconds; queries for its lag
 * count as well.
 */
const SILENT_MS = 5000

/** Interval between two looks whether a replica has replayed the deploy, in milliseconds. */
const REPLAYED_EVERY_MS = 50

/**
 * Longest wait for a replica to replay the deploy, in milliseconds; the replica runs calls again
 * after that.
 */
const REPLAYED_WITHIN_MS = 10_000

/**
 * Keeps call sessions away from one database, on the primary and its replicas, around the commit of
 * a deploy that changes types.
 */
export class Retirement {
  readonly #database: string
  readonly #replicas: Pools[]
  #kept: Connection[] = []
  #tries = 0
  /** Timer that sends queries on the kept connections. */
  #speaker: NodeJS.Timeout | undefined

  constructor(database: string, replicas: Pools[]) {
    this.#database = database
    this.#replicas = replicas
  }

  /**
   * Ends the call sessions on the primary and all replicas, and keeps new ones from being opened.
   * The parameters are those of `retireSessions`.
   * @throws {GatewayError} as `retireSessions`
   */
  async begin(sql: Sql, tell: () => Promise<void>): Promise<void> {
    // Connections of an earlier try, which was rolled back.
    await Promise.all(this.#takeKept().map((connection) => connection.close()))
    const onReplicas = this.#replicas.map((pools) => this.#retireOn(pools, this.#tries))
    // PostgreSQL ends a session that holds the gate lock and is silent for some seconds, in case
    // its gateway was stopped or cut off from the network. The timers keep these sessions from
    // being silent.
    const speaker = setInterval(() => speak(sql), SPEAK_EVERY_MS)
    this.#speaker = setInterval(() => {
      for (const connection of this.#kept) speak(connection.sql)
    }, SPEAK_EVERY_MS)
    try {
      await Promise.all([retireSessions(sql, this.#database, tell), ...onReplicas])
    } finally {
      clearInterval(speaker)
    }
  }

  /**
   * Lets new call sessions be opened on each replica that has replayed everything written so far.
   * Must be called when the deploy has ended.
   * @param sql the deploy's session, or another one on the primary
   */
  async end(sql: Sql): Promise<void> {
    const kept = this.#takeKept()
    if (kept.length === 0) return
    const [row] = await sql<{ position: string }[]>`
      select pg_catalog.pg_current_wal_insert_lsn()::text as position
    `.catch(() => [])
    await Promise.all(
      kept.map(async (connection) => {
        if (row) await untilReplayed(connection.sql, row.position).catch(() => {})
        await connection.close()
      }),
    )
  }

  #takeKept(): Connection[] {
    this.#tries++
    clearInterval(this.#speaker)
    const kept = this.#kept
    this.#kept = []
    return kept
  }

  async #retireOn(pools: Pools, attempt: number): Promise<void> {
    try {
      // Outside of the pool, which may be full of calls.
      const connection = await pools.keep(this.#database, REPLICA_WAIT_MS, 'caller')
      if (attempt !== this.#tries) {
        // The try has ended in the meantime.
        await connection.close()
        return
      }
      this.#kept.push(connection)
      await retireOnReplica(connection.sql, this.#database)
    } catch (error) {
      const isSilent = isFull(error) && pools.sinceLastAnswer() > SILENT_MS
      if (!isSilent && !isConnectionLost(error)) throw error
    }
  }
}

function speak(sql: Sql): void {
  sql.unsafe('select 1').catch(() => {})
}

function isFull(error: unknown): boolean {
  return error instanceof GatewayError && error.details.sqlstate === undefined
}

async function untilReplayed(sql: Sql, position: string): Promise<void> {
  const giveUpAt = performance.now() + REPLAYED_WITHIN_MS
  while (performance.now() < giveUpAt) {
    const [row] = await sql<{ replayed: boolean | null }[]>`
      select pg_catalog.pg_last_wal_replay_lsn() >= ${position}::pg_catalog.pg_lsn as replayed
    `
    if (row!.replayed !== false) return
    await sleep(REPLAYED_EVERY_MS)
  }
}
