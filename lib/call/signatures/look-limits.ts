/**
 * Milliseconds after a comparison in vain during which the same function does not cause another
 * one.
 */
const STALE_EVERY_MS = 1000

/** Maximum number of comparisons in vain that unknown names may cause in a database each second. */
const LOOKS_PER_SECOND = 10

/** Number of entries of a map above which those older than a second are dropped. */
const MAX_NOTED = 10_000

/** Limits how often failed calls may cause a comparison of a database's version. */
export class LookLimits {
  /** `performance.now()` of the last comparison in vain, by database and function. */
  readonly #staleAt = new Map<string, number>()
  /** `performance.now()` of the comparisons for unknown names in the last second, by database. */
  readonly #looks = new Map<string, number[]>()

  /** Number of databases whose comparisons are counted. */
  get size(): number {
    return this.#looks.size
  }

  /** Returns whether an unknown name may cause a comparison now, and counts it. */
  takeLook(database: string): boolean {
    const now = performance.now()
    const looks = (this.#looks.get(database) ?? []).filter((at) => now - at < 1000)
    const may = looks.length < LOOKS_PER_SECOND
    if (may) looks.push(now)
    if (this.#looks.size > MAX_NOTED) dropOld(this.#looks, (times) => now - times.at(-1)! < 1000)
    this.#looks.set(database, looks)
    return may
  }

  /** Resets the count of a database, because its version has changed. */
  forgetLooks(database: string): void {
    this.#looks.delete(database)
  }

  /** Returns whether a comparison for the function was in vain within the last second. */
  isRecentlyStale(database: string, name: string): boolean {
    const at = this.#staleAt.get(keyOf(database, name)) ?? Number.NEGATIVE_INFINITY
    return performance.now() - at < STALE_EVERY_MS
  }

  /** Records a comparison in vain for a function. */
  noteStale(database: string, name: string): void {
    const now = performance.now()
    if (this.#staleAt.size > MAX_NOTED) dropOld(this.#staleAt, (at) => now - at <= STALE_EVERY_MS)
    this.#staleAt.set(keyOf(database, name), now)
  }
}

function dropOld<T>(noted: Map<string, T>, isRecent: (value: T) => boolean): void {
  for (const [key, value] of noted) if (!isRecent(value)) noted.delete(key)
}

function keyOf(database: string, name: string): string {
  return `${database} ${name}`
}
