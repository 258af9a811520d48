import { Recent } from '../../common/recent.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Client } from '../../postgres/pools/pools.ts'
import { waitForShared } from '../../postgres/pools/waiter.ts'
import { unknownFunction } from '../bind/no-match.ts'
import { findStored, type Learned, type LearnParts, learn, type UseSession } from './learn.ts'
import { type Look, sendLook } from './look.ts'
import { LookLimits } from './look-limits.ts'
import { findFunction, functionNames, type Schema, Schemas } from './schema.ts'
import type { Signature } from './signature.ts'
import { readState, type StoredState, writeState } from './stored-schemas.ts'
import { TimeBudget } from './time-budget.ts'
import { SCHEMA_VERSION } from './version.ts'

/** How old what is known of a database may get before its version is compared. */
const CHECK_EVERY_MS = 5000

/** Milliseconds of each second that may go into near misses of unknown names. */
const SUGGESTING_MS = 100

/** How often a schema is read again that was changed while it was read. */
const MAX_READS = 3

const MAX_PRINTS = 1000

/** More schemas than this are known, and those of no known database are forgotten. */
const MIN_SCHEMAS = 64

/** For whom functions are loaded; undefined: for the gateway itself. */
export interface LoadOptions {
  client?: Client | undefined
  /** `performance.now()` when the call's own time is up. */
  deadline?: number | undefined
}

export interface KnownFunctionsParts {
  /** CALLABLE_SCHEMAS; undefined: functions are looked for in the search path. */
  callableSchemas?: string[] | undefined
  /** Runs work in a database, in the queue of its pool. */
  use<T>(database: string, work: (sql: Sql) => Promise<T>): Promise<T>
  /** Runs work in the administrative database. */
  administer<T>(work: (sql: Sql) => Promise<T>): Promise<T>
}

/** What is known of a database. */
interface Known {
  schema: Schema
  version: string
  /** `performance.now()`; -Infinity where it was not compared by this process. */
  checkedAt: number
}

/** A database that is being loaded. */
interface Flight {
  done: Promise<void>
  /** Something was changed meanwhile: what was read may be what was before. */
  isOutdated: boolean
}

/**
 * The functions of all databases. What is known of them belongs to a schema, which databases share;
 * of a database only which schema it has, and the version of its catalogs that says so.
 */
export class KnownFunctions {
  readonly #parts: KnownFunctionsParts & LearnParts
  readonly #known = new Map<string, Known>()
  readonly #flights = new Map<string, Flight>()
  /** Versions that are being compared, by database. */
  readonly #comparisons = new Map<string, Promise<boolean>>()
  /**
   * By database: the version that a session read when what was known was of another one. The catalog
   * may still have any earlier one, since nothing waits for a state to be written there.
   */
  readonly #seen = new Map<string, string>()
  readonly #limits = new LookLimits()
  readonly #suggesting = new TimeBudget(SUGGESTING_MS)
  #sweepAt = MIN_SCHEMAS
  /** Told of a database that was found to have another version: its sessions are to end. */
  onChanged: ((database: string) => void) | undefined

  constructor(parts: KnownFunctionsParts) {
    this.#parts = {
      ...parts,
      callableSchemas: parts.callableSchemas,
      schemas: new Schemas(),
      prints: new Recent(MAX_PRINTS),
    }
  }

  /** The overloads of a function; `[]` where there is none; undefined where it is not known yet. */
  peek(database: string, name: string): Signature[] | undefined {
    const known = this.#known.get(database)
    return known && (findFunction(known.schema, name) ?? NONE)
  }

  /** How many places the signatures of a database have: for typed arrays by `Signature.index`. */
  schemaOf(database: string): Schema | undefined {
    return this.#known.get(database)?.schema
  }

  /**
   * Has the functions of a database known: by one query of the administrative database where its
   * schema has been stored, else by reading it. Many that ask at once share one flight, which is the
   * gateway's own: each waits for it as long as it may.
   * @throws {GatewayError} pool_exhausted, connection_failed, query_timeout
   */
  async load(database: string, options: LoadOptions = {}): Promise<void> {
    while (!this.#known.has(database)) {
      const done = this.#flights.get(database)?.done ?? this.#fly(database)
      await waitForShared(done, database, options)
    }
  }

  /**
   * The overloads of a function. One that is not known does not exist, unless the database has
   * changed; that is looked for a few times a second at most.
   * @throws {GatewayError} function_not_found, mostly with near misses; as of `load`
   */
  async get(database: string, name: string, options: LoadOptions = {}): Promise<Signature[]> {
    const found = await this.#find(database, name, options)
    if (found.length > 0) return found
    const mayLook = this.#limits.takeLook(database)
    if (mayLook && (await waitForShared(this.#compare(database), database, options))) {
      // Names that were made by hand are not invented ones.
      this.#limits.forgetLooks(database)
      const again = await this.#find(database, name, options)
      if (again.length > 0) return again
    }
    const schema = this.schemaOf(database)
    throw this.#suggesting.spend(
      () => unknownFunction(name, schema ? functionNames(schema) : []),
      () => unknownFunction(name),
    )
  }

  /**
   * PostgreSQL said that a call does not fit what is known: compares the version, at most once a
   * second for a function of a database, and reads the schema anew where it is another one.
   * @param held what the call was made from: others may have found out already
   * @returns whether what is known has changed
   * @throws {GatewayError} as of `load`
   */
  async stale(
    database: string,
    name: string,
    held?: Signature[],
    options: LoadOptions = {},
  ): Promise<boolean> {
    const known = this.peek(database, name)
    if (!known || (held && known !== held)) {
      await this.load(database, options)
      return true
    }
    const underWay = this.#comparisons.get(database)
    // It may have begun before what the call found out.
    if (!underWay && this.#limits.isRecentlyStale(database, name)) return false
    const isChanged =
      (underWay && (await waitForShared(underWay, database, options))) ||
      (await waitForShared(this.#compare(database), database, options))
    if (!isChanged) {
      this.#limits.noteStale(database, name)
      return false
    }
    await this.load(database, options)
    return true
  }

  /**
   * Takes note of the version that a session has read. Where it is another one, what is known of the
   * database is forgotten, and sessions that are open have to be renewed.
   * @returns whether what is known is still so
   */
  check(database: string, version: string): boolean {
    const known = this.#known.get(database)
    if (!known) return true
    known.checkedAt = performance.now()
    if (known.version === version) return true
    this.#seen.set(database, version)
    this.forget(database)
    this.onChanged?.(database)
    return false
  }

  /** Whether it is time to read the version on a session: see `check`. */
  isDue(database: string): boolean {
    const known = this.#known.get(database)
    return known !== undefined && performance.now() - known.checkedAt > CHECK_EVERY_MS
  }

  readonly look = sendLook

  /**
   * Learns what a database has after a deploy, on a session in the state of a new one. `look`
   * was taken behind the last change; with it a schema is read once for all databases that have it.
   * @returns what the catalog is to write down
   */
  async learn(use: UseSession, database: string, look?: Look): Promise<StoredState> {
    this.forget(database)
    const learned = await learn(use, this.#parts, look)
    this.#remember(database, learned, performance.now())
    const { digest, version } = learned
    return { digest, version }
  }

  /** The database may have changed. Those of others are as known as before. */
  forget(database: string): void {
    this.#known.delete(database)
    const flight = this.#flights.get(database)
    if (flight) flight.isOutdated = true
  }

  forgetAll(): void {
    this.#known.clear()
    for (const flight of this.#flights.values()) flight.isOutdated = true
  }

  async #find(database: string, name: string, options: LoadOptions): Promise<Signature[]> {
    for (;;) {
      const found = this.peek(database, name)
      if (found) return found
      await this.load(database, options)
    }
  }

  #fly(database: string): Promise<void> {
    const flight: Flight = { done: Promise.resolve(), isOutdated: false }
    this.#flights.set(database, flight)
    flight.done = this.#read(database, flight).finally(() => {
      if (this.#flights.get(database) === flight) this.#flights.delete(database)
    })
    return flight.done
  }

  async #read(database: string, flight: Flight): Promise<void> {
    for (let reads = 1; ; reads++) {
      flight.isOutdated = false
      const found = await this.#findStored(database)
      const stored = typeof found === 'object' ? found : undefined
      if (stored && !flight.isOutdated) {
        this.#remember(database, stored, Number.NEGATIVE_INFINITY)
        return
      }
      if (stored && reads < MAX_READS) continue
      const learned = await learn((work) => this.#parts.use(database, work), this.#parts)
      if (flight.isOutdated && reads < MAX_READS) continue
      // What changes all the time is compared again with the next call.
      const at = flight.isOutdated ? Number.NEGATIVE_INFINITY : performance.now()
      this.#remember(database, learned, at)
      // Two gateways that offer different functions would write in turns.
      if (found !== 'foreign') this.#writeState(database, learned)
      return
    }
  }

  async #findStored(database: string): Promise<Learned | 'foreign' | undefined> {
    const state = await this.#parts.administer((sql) => readState(sql, database))
    const seen = this.#seen.get(database)
    if (!state || (seen !== undefined && state.version !== seen)) return undefined
    const schema = await findStored(this.#parts, state.digest)
    return typeof schema === 'object' ? { ...state, schema } : schema
  }

  /** Nothing waits for it: without it the next gateway reads the schema again. */
  #writeState(database: string, { digest, version }: StoredState): void {
    this.#parts.administer((sql) => writeState(sql, database, { digest, version })).catch(() => {})
  }

  #remember(database: string, { schema, version }: Learned, checkedAt: number): void {
    this.#known.set(database, { schema, version, checkedAt })
    this.#seen.delete(database)
    const { schemas } = this.#parts
    if (schemas.size <= this.#sweepAt) return
    const used = new Set([...this.#known.values()].map((known) => known.schema.digest))
    schemas.keep(used)
    this.#sweepAt = Math.max(MIN_SCHEMAS, 2 * used.size)
  }

  /**
   * Compares the version of a database; where it is another one, it is forgotten.
   * @returns whether what is known is not what it was before: another caller may have found out
   */
  #compare(database: string): Promise<boolean> {
    const underWay = this.#comparisons.get(database)
    if (underWay) return underWay
    const comparison = this.#hasChanged(database).finally(() => {
      this.#comparisons.delete(database)
    })
    this.#comparisons.set(database, comparison)
    return comparison
  }

  async #hasChanged(database: string): Promise<boolean> {
    const before = this.schemaOf(database)
    const read = async (sql: Sql) => (await sql.unsafe<{ version: string }[]>(SCHEMA_VERSION))[0]!
    const { version } = await this.#parts.use(database, read)
    return !this.check(database, version) || this.schemaOf(database) !== before
  }
}

const NONE: Signature[] = []
