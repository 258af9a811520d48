/** Other owners for which one database is remembered: who invents schemas fills no memory. */
const MAX_OTHERS = 16

/**
 * Which database an owner has, as far as that is remembered. An owner may be answered from
 * the database of another owner of the platform, for as long as that one has it.
 */
export class FoundOwners {
  readonly #own = new Map<string, string>()
  readonly #ofOthers = new Map<string, string>()
  /** By platform and database, the keys of other owners than its own. */
  readonly #others = new Map<string, Map<string, Set<string>>>()

  /** `key`: as of `ownerKey`. */
  get(key: string): string | undefined {
    return this.#own.get(key) ?? this.#ofOthers.get(key)
  }

  /** Where the database is the owner's own. */
  getOwn(key: string): string | undefined {
    return this.#own.get(key)
  }

  set(key: string, database: string): void {
    this.#own.set(key, database)
  }

  /** The same, of an owner of the platform to whom the database does not belong. */
  setOther(platform: string, key: string, database: string): void {
    const ofPlatform = this.#others.get(platform) ?? new Map<string, Set<string>>()
    const others = ofPlatform.get(database) ?? new Set()
    if (others.size >= MAX_OTHERS && !others.has(key)) return
    this.#others.set(platform, ofPlatform.set(database, others.add(key)))
    this.#ofOthers.set(key, database)
  }

  /** Forgets an owner. */
  delete(key: string): void {
    this.#own.delete(key)
    this.#ofOthers.delete(key)
  }

  /** Forgets all owners of a platform who were answered from databases of others. */
  deleteOthers(platform: string): void {
    for (const others of this.#others.get(platform)?.values() ?? []) {
      for (const key of others) this.#ofOthers.delete(key)
    }
    this.#others.delete(platform)
  }

  /** Forgets all who were answered from the database of another owner. */
  clearOthers(): void {
    for (const platform of [...this.#others.keys()]) this.deleteOthers(platform)
  }

  clear(): void {
    this.#own.clear()
    this.#ofOthers.clear()
    this.#others.clear()
  }
}
