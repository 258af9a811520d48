import { mapInSlices } from '../common/in-slices.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Isolation } from '../tenancy/roles/isolation.ts'
import type { NewestArchive } from '../tenancy/schemas/archive-order.ts'
import { type Abilities, readAbilities } from './abilities.ts'
import { DatabaseSizes } from './database-sizes.ts'
import { type FleetRow, type PlatformSum, readFleet, readPlatformSums } from './fleet-rows.ts'

export interface FleetOptions {
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  log: { debug(message: string): void }
  isolation: Isolation
  keptArchives: number
  usage: {
    /** Day in UTC, such as 2026-11-26. */
    today(): string
    /** Writes what this gateway has counted. */
    write(): Promise<void>
  }
}

/** A platform with the numbers of its databases. */
export type FleetPlatform = PlatformSum & { isolation: Isolation }

/** A database with its size in bytes; null until it is known. */
export type FleetDatabase = FleetRow & { size_bytes: number | null }

/** Milliseconds for which the answer about abilities is remembered. */
const ABILITIES_MS = 60_000

/** Milliseconds between two writes of usage for those who look at the fleet. */
const WRITE_EVERY_MS = 5000

/** The state of all databases, as the catalog knows it. Asks no platform's database. */
export class Fleet {
  readonly sizes: DatabaseSizes
  readonly #options: FleetOptions
  #abilities: Promise<Abilities> | undefined
  #abilitiesAt = 0
  #wroteAt = Number.NEGATIVE_INFINITY

  constructor(options: FleetOptions) {
    this.#options = options
    this.sizes = new DatabaseSizes(options)
  }

  /**
   * Returns the platforms that the client may name, or the given one, with their numbers.
   * @param newest newest archives, where another catalog has them
   */
  async platforms(
    mayName: ((platform: string) => boolean) | undefined,
    platform?: string,
    newest?: NewestArchive[],
  ): Promise<FleetPlatform[]> {
    const { use, isolation } = this.#options
    const sums = await use((sql) => readPlatformSums(sql, platform, newest))
    return sums
      .filter((sum) => mayName?.(sum.platform) ?? true)
      .map(({ platform: name, ...sum }) => ({ platform: name, isolation, ...sum }))
  }

  /** Returns the databases of a platform, the main database first, then by name. @param newest as above */
  async databases(platform: string, newest?: NewestArchive[]): Promise<FleetDatabase[]> {
    const { use, usage } = this.#options
    await this.#writeUsage()
    const rows = await use((sql) => readFleet(sql, platform, usage.today(), newest))
    const sizes = this.sizes.get(platform)
    // Each row is this answer's own; copies of 10,000 of them would be garbage at once.
    return mapInSlices(rows, (row) =>
      Object.assign(row, { size_bytes: sizes.get(row.database) ?? null }),
    )
  }

  /** Returns what this gateway can do, as it was a minute ago at most. */
  can(): Promise<Abilities> {
    if (!this.#abilities || performance.now() - this.#abilitiesAt > ABILITIES_MS) {
      this.#abilitiesAt = performance.now()
      const reading = this.#options.use((sql) => readAbilities(sql, this.#options))
      this.#abilities = reading
      reading.catch(() => {
        if (this.#abilities === reading) this.#abilities = undefined
      })
    }
    return this.#abilities
  }

  /** Has the calls that this gateway has counted in the catalog, as of some seconds ago. */
  async #writeUsage(): Promise<void> {
    if (performance.now() - this.#wroteAt < WRITE_EVERY_MS) return
    this.#wroteAt = performance.now()
    await this.#options.usage.write()
  }
}
