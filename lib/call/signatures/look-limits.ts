/** How often at most PostgreSQL's word is taken that a function is not as it is known. */
const STALE_EVERY_MS = 1000

/** So often a second, at most, unknown names have the version of a database compared in vain. */
const LOOKS_PER_SECOND = 10

/** More functions than this are noted, and those of which it is long ago are forgotten. */
const MAX_NOTED = 10_000

/** How often what calls get wrong may have the version of a database compared. */
export class LookLimits {
  /** `performance.now()` when it was compared in vain, by database and function. */
  readonly #staleAt = new Map<string, number>()
  /** When unknown names had the version compared in the last second, by database. */
  readonly #looks = new Map<string, number[]>()

  /** Whether an unknown name may have the version compared now; it counts then. */
  takeLook(database: string): boolean {
    const now = performance.now()
    const looks = (this.#looks.get(database) ?? []).filter((at) => now - at < 1000)
    const may = looks.length < LOOKS_PER_SECOND
    if (may) looks.push(now)
    this.#looks.set(database, looks)
    return may
  }

  /** The last looks were not in vain. */
  forgetLooks(database: string): void {
    this.#looks.delete(database)
  }

  /** Whether the version was compared in vain for a function a moment ago. */
  isRecentlyStale(database: string, name: string): boolean {
    const at = this.#staleAt.get(keyOf(database, name)) ?? Number.NEGATIVE_INFINITY
    return performance.now() - at < STALE_EVERY_MS
  }

  /** The version was compared in vain for a function. */
  noteStale(database: string, name: string): void {
    const now = performance.now()
    if (this.#staleAt.size > MAX_NOTED) {
      for (const [other, at] of this.#staleAt) {
        if (now - at > STALE_EVERY_MS) this.#staleAt.delete(other)
      }
    }
    this.#staleAt.set(keyOf(database, name), now)
  }
}

function keyOf(database: string, name: string): string {
  return `${database} ${name}`
}
