import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isConnectionLost } from '../../postgres/errors.ts'
import { SPEAK_EVERY_MS } from '../../postgres/pools/call-sessions.ts'
import type { Connection, Sql } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { retireOnReplica, retireSessions } from './retire-sessions.ts'

/** How long a connection to a replica is waited for. */
const REPLICA_WAIT_MS = 1000

/** A replica that has answered nothing for so long, its lag neither, runs no calls. */
const SILENT_MS = 5000

/** Between two looks whether a replica has replayed the deploy. */
const REPLAYED_EVERY_MS = 50

/** A replica that has not replayed the deploy by then runs calls again: nothing waits for ever. */
const REPLAYED_WITHIN_MS = 10_000

/** The sessions for calls of one database, around the commit of a deploy that must not meet them. */
export class Retirement {
  readonly #database: string
  readonly #replicas: Pools[]
  #kept: Connection[] = []
  #tries = 0
  /** Speaks on the kept connections. */
  #speaker: NodeJS.Timeout | undefined

  constructor(database: string, replicas: Pools[]) {
    this.#database = database
    this.#replicas = replicas
  }

  /**
   * Ends them on the primary and on all replicas, and keeps new ones from being opened. `sql` and
   * `tell` as of `retireSessions`.
   * @throws {GatewayError} as `retireSessions`
   */
  async begin(sql: Sql, tell: () => Promise<void>): Promise<void> {
    // Of a try that was rolled back.
    await Promise.all(this.#takeKept().map((connection) => connection.close()))
    const onReplicas = this.#replicas.map((pools) => this.#retireOn(pools, this.#tries))
    // PostgreSQL opens the gate of one that is silent: stopped, or cut off from the network.
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
   * Lets new ones be opened on each replica that has replayed what was written until now. To be called
   * when the deploy has ended; `sql` is of its session, or another one on the primary.
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
      // Beside its pool, which may be full of calls.
      const connection = await pools.keep(this.#database, REPLICA_WAIT_MS, 'caller')
      if (attempt !== this.#tries) {
        // The deploy has failed elsewhere meanwhile.
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
