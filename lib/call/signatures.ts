import type { Sql } from '../postgres/connection.ts'
import { readSignatures, type Signature } from './signature.ts'

/**
 * The signatures of the functions that were called, by database and name. A deploy forgets those
 * of its database; where another gateway deployed, the call that no longer fits reads them again.
 */
export class Signatures {
  readonly #byDatabase = new Map<string, Map<string, Signature[]>>()

  /** The overloads of a function; read through `sql` where they are not known. */
  async get(sql: Sql, database: string, name: string): Promise<Signature[]> {
    const known = this.#byDatabase.get(database)?.get(name)
    if (known) return known
    const signatures = await readSignatures(sql, name)
    // Names that do not exist are not remembered: a caller can think up any number of them.
    if (signatures.length > 0) this.#remember(database, name, signatures)
    return signatures
  }

  forget(database: string): void {
    this.#byDatabase.delete(database)
  }

  #remember(database: string, name: string, signatures: Signature[]): void {
    const functions = this.#byDatabase.get(database) ?? new Map<string, Signature[]>()
    this.#byDatabase.set(database, functions.set(name, signatures))
  }
}
