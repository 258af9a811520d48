import type { GatewayError } from '../errors.ts'
import type { Connection, Sql } from '../postgres/connection.ts'
import { resetSession } from '../postgres/reset.ts'
import { readFunctionsVersion } from './functions-version.ts'
import { unknownFunction } from './no-match.ts'
import { readNames, readSignatures } from './pg-proc.ts'
import type { Signature } from './signature.ts'

/** How old what is known of a database may get, before it is looked whether that is still so. */
const CHECK_EVERY_MS = 5000

/** What is known of a database. */
interface Known {
  functions: Map<string, Signature[]>
  /** That of readFunctionsVersion, from before any of them was read. */
  version: string
  /** `performance.now()` */
  checkedAt: number
}

/**
 * The signatures of the functions that were called, by database and name. A deploy forgets those
 * of its database; where another gateway deployed, the call that no longer fits reads them again.
 * What was changed by hand may have become another function to look at without a call that fails:
 * it is looked for now and then.
 */
export class Signatures {
  readonly #byDatabase = new Map<string, Known>()
  readonly #reading = new Map<string, Promise<Signature[]>>()
  readonly #schemas: string[] | undefined
  /** By database, what is being read: what is forgotten meanwhile is not remembered. */
  readonly #readings = new Map<string, Set<{ isOutdated: boolean }>>()

  /** `schemas`: where functions are looked for; undefined: in the search path of their database. */
  constructor(schemas?: string[]) {
    this.#schemas = schemas
  }

  /** The overloads of a function, where they are known. */
  peek(database: string, name: string): Signature[] | undefined {
    return this.#byDatabase.get(database)?.functions.get(name)
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
    for (const reading of this.#readings.get(database) ?? []) reading.isOutdated = true
    this.#byDatabase.delete(database)
  }

  forgetAll(): void {
    for (const database of this.#readings.keys()) this.forget(database)
    this.#byDatabase.clear()
  }

  /** Whether it is time to look if what is known of a database is still so. */
  isDue(database: string): boolean {
    const known = this.#byDatabase.get(database)
    return known !== undefined && performance.now() - known.checkedAt > CHECK_EVERY_MS
  }

  /** Whether it is still so; it is forgotten where it is not. */
  async isCurrent(sql: Sql, database: string): Promise<boolean> {
    const known = this.#byDatabase.get(database)
    if (!known) return true
    known.checkedAt = performance.now()
    const version = await readFunctionsVersion(sql)
    if (version === known.version || this.#byDatabase.get(database) !== known) return true
    this.forget(database)
    return false
  }

  /** Many calls that come at once read them once. */
  #read(sql: Sql, database: string, name: string): Promise<Signature[]> {
    const key = `${database}.${name}`
    const running = this.#reading.get(key)
    if (running) return running
    const mine = this.#begin(database)
    const isKnown = this.#byDatabase.has(database)
    // The version first: what changes in between is seen when it is looked at again.
    const reading = Promise.all([
      isKnown ? undefined : readFunctionsVersion(sql),
      readSignatures(sql, name, this.#schemas),
    ])
      .then(async ([version, signatures]) => {
        if (!mine.isOutdated) this.#remember(database, name, signatures, version)
        if (signatures.length === 0) throw await this.#unknown(sql, name)
        return signatures
      })
      .finally(() => {
        this.#reading.delete(key)
        this.#end(database, mine)
      })
    this.#reading.set(key, reading)
    return reading
  }

  #begin(database: string): { isOutdated: boolean } {
    const mine = { isOutdated: false }
    const readings = this.#readings.get(database) ?? new Set()
    this.#readings.set(database, readings.add(mine))
    return mine
  }

  #end(database: string, mine: { isOutdated: boolean }): void {
    const readings = this.#readings.get(database)
    readings?.delete(mine)
    if (readings?.size === 0) this.#readings.delete(database)
  }

  async #unknown(sql: Sql, name: string): Promise<GatewayError> {
    return unknownFunction(name, await readNames(sql, this.#schemas))
  }

  #remember(
    database: string,
    name: string,
    signatures: Signature[],
    version: string | undefined,
  ): void {
    let known = this.#byDatabase.get(database)
    // Names that do not exist are not remembered: a caller can think up any number of them.
    if (signatures.length === 0) {
      known?.functions.delete(name)
      return
    }
    if (!known) {
      if (version === undefined) return
      known = { functions: new Map(), version, checkedAt: performance.now() }
      this.#byDatabase.set(database, known)
    }
    known.functions.set(name, signatures)
  }
}
