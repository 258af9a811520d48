import { GatewayError } from '../../errors.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { useRepeatable } from '../../postgres/pools/use-repeatable.ts'

/** Maximum number of rows that one transaction removes. */
const STEP = 500

/** Number of sweeps of one database during the lifetime of an answer. */
const SWEEPS_PER_TTL = 24
const SHORTEST_PERIOD_MS = 1000
const LONGEST_PERIOD_MS = 3_600_000

/** Longest time between two looks for databases that are due, in milliseconds. */
const LOOK_MS = 60_000

/** Codes of temporary errors, after which the database is swept again. */
const TEMPORARY: unknown[] = ['pool_exhausted', 'connection_failed', 'query_timeout']

/**
 * Deletes expired answers in the databases that this gateway has called with keys. Goes on until a
 * database has no answers left. Sweeps of a database are rare, so that they do not keep connections
 * to idle databases open.
 */
export class Sweeps {
  readonly #pools: Pools
  readonly #periodMs: number
  /** `performance.now()` of the next sweep, by database. */
  readonly #due = new Map<string, number>()
  readonly #timer: NodeJS.Timeout
  #isSweeping = false

  /** @param ttlMs lifetime of the answers in milliseconds */
  constructor(pools: Pools, ttlMs: number) {
    this.#pools = pools
    const period = Math.min(ttlMs / SWEEPS_PER_TTL, LONGEST_PERIOD_MS)
    this.#periodMs = Math.max(period, SHORTEST_PERIOD_MS)
    this.#timer = setInterval(() => this.#sweep(), Math.min(this.#periodMs, LOOK_MS)).unref()
  }

  /** Schedules the first sweep of a database; called before a call whose answer is kept. */
  note(database: string): void {
    if (!this.#due.has(database)) this.#due.set(database, performance.now() + this.#periodMs)
  }

  /** Goes on with the sweeps of a renamed database. */
  followRename(from: string, to: string): void {
    if (this.#due.delete(from)) this.note(to)
  }

  end(): void {
    clearInterval(this.#timer)
    this.#due.clear()
  }

  async #sweep(): Promise<void> {
    if (this.#isSweeping) return
    this.#isSweeping = true
    for (const [database, dueAt] of [...this.#due]) {
      if (dueAt > performance.now()) continue
      // A call that comes meanwhile schedules the next sweep itself.
      this.#due.delete(database)
      const leftMs = await this.#sweepOne(database).catch(leftAfter)
      if (leftMs === undefined) continue
      this.#due.set(database, performance.now() + Math.max(leftMs, this.#periodMs))
    }
    this.#isSweeping = false
  }

  /**
   * Deletes the expired answers of a database, STEP rows in a transaction.
   * @returns milliseconds until the next answer expires; undefined if none is left
   */
  async #sweepOne(database: string): Promise<number | undefined> {
    for (;;) {
      const { removed, left_ms } = await useRepeatable(this.#pools, database, async (sql) => {
        const [row] = await sql.unsafe<[{ removed: string; left_ms: string | null }]>(
          `select removed, left_ms from _db_gateway.sweep_answers(${STEP})`,
        )
        return row
      })
      if (Number(removed) < STEP) return left_ms === null ? undefined : Number(left_ms)
    }
  }
}

/**
 * Returns 0 after a temporary error, so that the database is swept again. Returns undefined after
 * other errors, for example if the database or its table of answers does not exist.
 */
function leftAfter(error: unknown): number | undefined {
  return error instanceof GatewayError && TEMPORARY.includes(error.code) ? 0 : undefined
}
