import type { Connection } from './connection.ts'
import { countClosing, type Pool } from './pool.ts'

/**
 * Number of wants, for each connection of the capacity, after which a want counts half. Replayed
 * traces (test/lib/postgres/pools/demand.test.ts) show more misses below 5, and above 10 where what
 * is wanted changes.
 */
const HALF_LIFE_PER_CONNECTION = 8

/**
 * Weight, in new wants, above which further wants do not count. Otherwise one busy database would
 * turn the clock so fast that nothing is known of the others.
 */
const MOST = 32

/** Half-lives after which all weights are scaled and small ones dropped. */
const HALF_LIVES_PER_SWEEP = 10

/** Weight, in new wants, below which an entry is dropped. */
const FORGOTTEN_BELOW = 1 / 64

/**
 * How often each database has lately wanted a connection beside those that it had in use. The
 * idle connection that is wanted least gives way: closing it causes the fewest openings.
 *
 * The weight of a want halves with every 8 × capacity later wants that count, of any database, so
 * that the clock stands still while nothing is called. The n-th connection of a database has a weight of its
 * own: it is wanted only by calls that find n - 1 in use. A database that was called once is
 * wanted less than those called often, so its connection is the next to give way; a database that
 * is called often for the first time takes a connection from them within a few calls.
 *
 * An entry outlives its connections. At most 130 × capacity databases have one.
 */
export class Demand {
  /** By database, the weight of its n-th connection at index n - 1. */
  #weights = new Map<string, number[]>()
  /** Weight of the next want. It grows, instead of the weights of all others shrinking. */
  #unit = 1
  readonly #capacity: () => number

  /** @param capacity returns the number of connections that may be open */
  constructor(capacity: () => number) {
    this.#capacity = capacity
  }

  /** Number of databases that have a weight. */
  get size(): number {
    return this.#weights.size
  }

  /**
   * Counts a want of the n-th connection of a database: n - 1 others are in use, or all n are and it
   * has waited for one.
   */
  note(database: string, nth: number): void {
    let weights = this.#weights.get(database)
    if (weights && weights[nth - 1]! >= MOST * this.#unit) return
    this.#unit *= 2 ** (1 / (HALF_LIFE_PER_CONNECTION * Math.max(1, this.#capacity())))
    if (!weights) {
      weights = []
      this.#weights.set(database, weights)
    }
    while (weights.length < nth) weights.push(0)
    weights[nth - 1]! += this.#unit
    if (this.#unit >= 2 ** HALF_LIVES_PER_SWEEP) this.#sweep()
  }

  /**
   * Returns the connection that is wanted least; of equals, the first.
   * @param countOf number of open connections of a database: the last of them is what it loses
   */
  least<T extends { database: string }>(
    idle: Iterable<T>,
    countOf: (database: string) => number,
  ): T | undefined {
    let least: T | undefined
    let lowest = Number.POSITIVE_INFINITY
    for (const connection of idle) {
      const { database } = connection
      const weight = this.#weightOf(database, countOf(database))
      if (weight >= lowest) continue
      lowest = weight
      least = connection
    }
    return least
  }

  /** Returns how much the n-th connection is wanted: whoever wants a later one wants it too. */
  #weightOf(database: string, nth: number): number {
    const weights = this.#weights.get(database)
    if (!weights || nth === 0) return 0
    let most = 0
    for (let i = nth - 1; i < weights.length; i++) most = Math.max(most, weights[i]!)
    return most
  }

  #sweep(): void {
    const kept = new Map<string, number[]>()
    for (const [database, weights] of this.#weights) {
      const scaled = weights.map((weight) => weight / this.#unit)
      while (scaled.length > 0 && scaled.at(-1)! < FORGOTTEN_BELOW) scaled.pop()
      if (scaled.length > 0) kept.set(database, scaled)
    }
    this.#weights = kept
    this.#unit = 1
  }
}

/** The parts of the supply that `leastWanted` reads. */
interface Wanting {
  demand: Demand
  pools: ReadonlyMap<string, Pick<Pool, 'connections'>>
  all: { closing: ReadonlySet<Connection> }
}

/** Returns the function that chooses the idle connection that gives way. */
export function leastWanted(supply: Wanting) {
  const countOf = (database: string) => {
    const pool = supply.pools.get(database)
    return pool ? pool.connections.size - countClosing(pool, supply.all.closing) : 0
  }
  return (idle: Iterable<Connection>) => supply.demand.least(idle, countOf)
}
