import type { Sql } from '../postgres/pools/connection.ts'

interface SizesOptions {
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: { debug(message: string): void }
}

/** Milliseconds between the end of one read of the sizes and the beginning of the next. */
const RENEW_AFTER_MS = 60_000

/**
 * Sizes on disk of all databases of the catalog. PostgreSQL adds up the files of a database, about
 * 1 ms each, so the sizes are read in the background, once a minute at most, while somebody asks.
 */
export class DatabaseSizes {
  readonly #options: SizesOptions
  #sizes = new Map<string, number>()
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  /** Platforms for which sizes were asked since the last read. */
  readonly #asked = new Set<string>()
  /** Called with each platform for which sizes were asked when they have been read. */
  onRead: ((platform: string) => void) | undefined

  constructor(options: SizesOptions) {
    this.#options = options
  }

  /**
   * Returns the last sizes in bytes, by database; reads them anew in the background if they are old.
   * @param platform whose sizes are asked for
   */
  get(platform: string): ReadonlyMap<string, number> {
    this.#asked.add(platform)
    if (!this.#reading && performance.now() - this.#readAt > RENEW_AFTER_MS) {
      this.#reading = this.#read().finally(() => {
        this.#readAt = performance.now()
        this.#reading = undefined
      })
    }
    return this.#sizes
  }

  async #read(): Promise<void> {
    const { use, log } = this.#options
    try {
      const rows = await use(
        (sql) => sql<{ database: string; size: string | null }[]>`
          select d.datname as database, pg_database_size(d.oid)::text as size
          from pg_database d join _db_gateway_databases c on c.database = d.datname
        `,
      )
      const known = rows.filter(({ size }) => size !== null)
      this.#sizes = new Map(known.map(({ database, size }) => [database, Number(size)]))
      for (const platform of this.#asked) this.onRead?.(platform)
      this.#asked.clear()
    } catch (error) {
      log.debug(`The sizes of the databases could not be read: ${(error as Error).message}`)
    }
  }
}
