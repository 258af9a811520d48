/**
 * Maximum number of other owners cached for one database, so that requests with invented schema
 * names cannot fill memory.
 */
const MAX_OTHERS = 16

/**
 * Cache of the database that answers each owner. An owner may be answered from the database of
 * another owner of the same platform.
 */
export class FoundOwners {
  readonly #own = new Map<string, string>()
  readonly #ofOthers = new Map<string, string>()
  /** By platform and database: keys of the owners that are answered from it and do not own it. */
  readonly #others = new Map<string, Map<string, Set<string>>>()

  /** Returns the database that answers the owner with this key (`ownerKey`). */
  get(key: string): string | undefined {
    return this.#own.get(key) ?? this.#ofOthers.get(key)
  }

  /** Returns the database only if it is the owner's own. */
  getOwn(key: string): string | undefined {
    return this.#own.get(key)
  }

  set(key: string, database: string): void {
    this.#own.set(key, database)
  }

  /** Caches a database for an owner of the same platform that does not own it. */
  setOther(platform: string, key: string, database: string): void {
    const ofPlatform = this.#others.get(platform) ?? new Map<string, Set<string>>()
    const others = ofPlatform.get(database) ?? new Set()
    if (others.size >= MAX_OTHERS && !others.has(key)) return
    this.#others.set(platform, ofPlatform.set(database, others.add(key)))
    this.#ofOthers.set(key, database)
  }

  /** Removes an owner. */
  delete(key: string): void {
    this.#own.delete(key)
    this.#ofOthers.delete(key)
  }

  /** Removes all owners of a platform that are answered from another owner's database. */
  deleteOthers(platform: string): void {
    for (const others of this.#others.get(platform)?.values() ?? []) {
      for (const key of others) this.#ofOthers.delete(key)
    }
    this.#others.delete(platform)
  }

  /** Removes all owners that are answered from another owner's database. */
  clearOthers(): void {
    for (const platform of [...this.#others.keys()]) this.deleteOthers(platform)
  }

  clear(): void {
    this.#own.clear()
    this.#ofOthers.clear()
    this.#others.clear()
  }
}
