/** Counters of one database since the start of the gateway; they outlive the pool. */
export interface PoolCounters {
  opened: number
  closed: number
  /** Closed connections whose permits other databases needed. */
  evicted: number
  /** Refused calls: the queue was full, or no connection became free in time. */
  exhausted: number
}

/** Counters by database and in total; the totals include dropped databases. */
export class Counters {
  readonly totals: PoolCounters = noneYet()
  readonly #byDatabase = new Map<string, PoolCounters>()

  /** Returns the counters of a database; creates them at the first call. */
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

  /** Drops the counters of a database that is being dropped. */
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
