import { addCounts, type Counts, noCounts } from './counters.ts'

interface Seen {
  platform: string
  counts: Counts
}

/**
 * Sums of usage by platform since the start. They never decrease: what a dropped or forgotten
 * database has used stays in the sum of its platform.
 */
export class PlatformTotals {
  readonly #entries: () => Iterable<[database: string, name: string, counts: Counts]>
  readonly #platformOf: (database: string) => string | undefined
  /** Databases as they were at the last read. */
  #seen = new Map<string, Seen>()
  readonly #totals = new Map<string, Counts>()

  constructor(
    entries: () => Iterable<[database: string, name: string, counts: Counts]>,
    platformOf: (database: string) => string | undefined,
  ) {
    this.#entries = entries
    this.#platformOf = platformOf
  }

  read(): Map<string, Counts> {
    const now = new Map<string, Counts>()
    for (const [database, , counts] of this.#entries()) {
      let sum = now.get(database)
      if (!sum) {
        sum = noCounts()
        now.set(database, sum)
      }
      addCounts(sum, counts)
    }
    const seen = new Map<string, Seen>()
    for (const [database, counts] of now) {
      const before = this.#seen.get(database)
      const platform = this.#platformOf(database) ?? before?.platform
      if (platform === undefined) continue
      this.#add(platform, counts, before?.counts)
      seen.set(database, { platform, counts })
    }
    this.#seen = seen
    return this.#totals
  }

  #add(platform: string, now: Counts, before: Counts = noCounts()): void {
    let total = this.#totals.get(platform)
    if (!total) {
      total = noCounts()
      this.#totals.set(platform, total)
    }
    // A database that was forgotten begins at 0.
    const from = now.calls < before.calls ? noCounts() : before
    for (const key of Object.keys(total) as (keyof Counts)[]) {
      total[key] += Math.max(0, now[key] - from[key])
    }
  }
}
