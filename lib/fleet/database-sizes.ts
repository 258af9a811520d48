import type { Sql } from '../postgres/pools/connection.ts'

interface SizesOptions {
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: { debug(message: string): void }
  /** Databases that one query adds up; default: 500. */
  atOnce?: number
}

/** Databases that one query adds up: all of 10,000 take longer than a statement may. */
const AT_ONCE = 500

interface SizeRow {
  database: string
  /** Null for a database that was dropped meanwhile. */
  size: string | null
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
    const { atOnce = AT_ONCE, log } = this.#options
    try {
      const sizes = new Map<string, number>()
      let rows: SizeRow[] = []
      do {
        rows = await this.#readBehind(rows.at(-1)?.database ?? '', atOnce)
        for (const { database, size } of rows) {
          if (size !== null) sizes.set(database, Number(size))
        }
      } while (rows.length === atOnce)
      this.#sizes = sizes
      for (const platform of this.#asked) this.onRead?.(platform)
      this.#asked.clear()
    } catch (error) {
      log.debug(`The sizes of the databases could not be read: ${(error as Error).message}`)
    }
  }

  /** Returns the sizes of the next databases by name. */
  #readBehind(name: string, atOnce: number): Promise<SizeRow[]> {
    return this.#options.use(
      (sql) => sql<SizeRow[]>`
        select database, pg_database_size(oid)::text as size
        from (
          select c.database, d.oid
          from _db_gateway_databases c join pg_database d on d.datname = c.database
          where c.database > ${name}
          order by c.database
          limit ${atOnce}
        ) next
        order by database
      `,
    )
  }
}
