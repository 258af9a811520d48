import type { Pools } from '../../postgres/pools/pools.ts'
import { useRepeatable } from '../../postgres/pools/use-repeatable.ts'

/** Rows that one transaction removes. */
const STEP = 500

const LONGEST_PERIOD_MS = 60_000

/**
 * Removes answers whose time is up from the databases that this gateway has called with keys, a few at
 * a time, until a database has none left.
 */
export class Sweeps {
  readonly #pools: Pools
  readonly #everyMs: number
  readonly #databases = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #isSweeping = false

  /** `ttlMs`: how long answers are kept. */
  constructor(pools: Pools, ttlMs: number) {
    this.#pools = pools
    this.#everyMs = Math.min(ttlMs, LONGEST_PERIOD_MS)
    this.#timer = setInterval(() => this.#sweep(), this.#everyMs).unref()
  }

  /** The database has, or is about to have, answers. */
  note(database: string): void {
    this.#databases.add(database)
  }

  end(): void {
    clearInterval(this.#timer)
    this.#databases.clear()
  }

  async #sweep(): Promise<void> {
    if (this.#isSweeping) return
    this.#isSweeping = true
    for (const database of [...this.#databases]) {
      // Taken out first: a call may note it meanwhile.
      this.#databases.delete(database)
      // One that cannot be swept is noted by its next call.
      const hasMore = await this.#sweepOne(database).catch(() => false)
      if (hasMore) this.#databases.add(database)
    }
    this.#isSweeping = false
  }

  /** @returns whether answers are left */
  async #sweepOne(database: string): Promise<boolean> {
    for (;;) {
      const { removed, is_empty } = await useRepeatable(this.#pools, database, async (sql) => {
        const [row] = await sql.unsafe<[{ removed: string; is_empty: boolean }]>(
          `select removed, is_empty from _db_gateway.sweep_answers(${STEP})`,
        )
        return row
      })
      if (Number(removed) < STEP) return !is_empty
    }
  }
}
