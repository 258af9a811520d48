/** Other owners for which one database is remembered: who invents schemas fills no memory. */
const MAX_OTHERS = 16

/**
 * Which database an owner has, as far as that is remembered. An owner of a schema may be answered from
 * the database of another owner, for as long as that one has it.
 */
export class FoundOwners {
  readonly #databases = new Map<string, string>()
  /** By database, the keys of other owners than its own. */
  readonly #others = new Map<string, Set<string>>()

  /** `key`: as of `ownerKey`. */
  get(key: string): string | undefined {
    return this.#databases.get(key)
  }

  set(key: string, database: string): void {
    this.#databases.set(key, database)
  }

  /** The same, of an owner to whom the database does not belong. */
  setOther(key: string, database: string): void {
    const others = this.#others.get(database) ?? new Set()
    if (others.size >= MAX_OTHERS && !others.has(key)) return
    this.#others.set(database, others.add(key))
    this.#databases.set(key, database)
  }

  /** Forgets an owner, and all who were answered from the database. */
  delete(key: string, database: string): void {
    this.#databases.delete(key)
    for (const other of this.#others.get(database) ?? []) this.#databases.delete(other)
    this.#others.delete(database)
  }

  clear(): void {
    this.#databases.clear()
    this.#others.clear()
  }
}
