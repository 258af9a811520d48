/** What happened at a database since the start; it outlives the pool. */
export interface PoolCounters {
  opened: number
  closed: number
  /** Of those that were closed: they gave way to others. */
  evicted: number
  /** Calls that were refused: the queue was full, or none became free in time. */
  exhausted: number
}

/** Counts by database, and all together, which outlive the databases too. */
export class Counters {
  readonly totals: PoolCounters = noneYet()
  readonly #byDatabase = new Map<string, PoolCounters>()

  /** Of a database, from now on. */
  of(database: string): PoolCounters {
    let counters = this.#byDatabase.get(database)
    if (!counters) {
      counters = noneYet()
      this.#byDatabase.set(database, counters)
    }
    return counters
  }

  count(counters: PoolCounters, what: keyof PoolCounters): void {
    counters[what]++
    this.totals[what]++
  }

  /** For a database that is dropped. */
  forget(database: string): void {
    this.#byDatabase.delete(database)
  }

  entries(): [database: string, counters: PoolCounters][] {
    return [...this.#byDatabase]
  }
}

function noneYet(): PoolCounters {
  return { opened: 0, closed: 0, evicted: 0, exhausted: 0 }
}
