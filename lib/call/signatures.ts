import type { GatewayError } from '../errors.ts'
import type { Connection, Sql } from '../postgres/connection.ts'
import { resetSession } from '../postgres/reset.ts'
import { unknownFunction } from './no-match.ts'
import { readNames, readSignatures } from './pg-proc.ts'
import type { Signature } from './signature.ts'

/**
 * The signatures of the functions that were called, by database and name. A deploy forgets those
 * of its database; where another gateway deployed, the call that no longer fits reads them again.
 */
export class Signatures {
  readonly #byDatabase = new Map<string, Map<string, Signature[]>>()
  readonly #reading = new Map<string, Promise<Signature[]>>()
  readonly #schemas: string[] | undefined

  /** `schemas`: where functions are looked for; undefined: in the search path of their database. */
  constructor(schemas?: string[]) {
    this.#schemas = schemas
  }

  /** The overloads of a function, where they are known. */
  peek(database: string, name: string): Signature[] | undefined {
    return this.#byDatabase.get(database)?.get(name)
  }

  /**
   * The overloads of a function; read through `sql` where they are not known.
   * @throws {GatewayError} function_not_found where there are none, with names that are near
   */
  async get(sql: Sql, database: string, name: string): Promise<Signature[]> {
    return this.peek(database, name) ?? (await this.#read(sql, database, name))
  }

  /** The same, of a function that is not as `stale` says any more. */
  async renew(connection: Connection, name: string, stale: Signature[]): Promise<Signature[]> {
    const { sql, database } = connection
    const known = this.peek(database, name)
    if (known && known !== stale) return known
    // What a call did to the search path must not decide which function others find.
    if (connection.needsReset) await resetSession(connection)
    return this.#read(sql, database, name)
  }

  forget(database: string): void {
    this.#byDatabase.delete(database)
  }

  forgetAll(): void {
    this.#byDatabase.clear()
  }

  /** Many calls that come at once read them once. */
  #read(sql: Sql, database: string, name: string): Promise<Signature[]> {
    const key = `${database}.${name}`
    const running = this.#reading.get(key)
    if (running) return running
    const reading = readSignatures(sql, name, this.#schemas)
      .then(async (signatures) => {
        this.#remember(database, name, signatures)
        if (signatures.length === 0) throw await this.#unknown(sql, name)
        return signatures
      })
      .finally(() => this.#reading.delete(key))
    this.#reading.set(key, reading)
    return reading
  }

  async #unknown(sql: Sql, name: string): Promise<GatewayError> {
    return unknownFunction(name, await readNames(sql, this.#schemas))
  }

  #remember(database: string, name: string, signatures: Signature[]): void {
    // Names that do not exist are not remembered: a caller can think up any number of them.
    if (signatures.length === 0) {
      this.#byDatabase.get(database)?.delete(name)
      return
    }
    const functions = this.#byDatabase.get(database) ?? new Map<string, Signature[]>()
    this.#byDatabase.set(database, functions.set(name, signatures))
  }
}
