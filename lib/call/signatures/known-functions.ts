import type { Sql } from '../../postgres/pools/connection.ts'
import type { Client } from '../../postgres/pools/pools.ts'
import { waitForShared } from '../../postgres/pools/waiter.ts'
import { unknownFunction } from '../bind/no-match.ts'
import { askMark } from './ask-mark.ts'
import type { Comparison } from './comparison.ts'
import { comparedAt, compareMark, isDue, noteEqual } from './comparison.ts'
import { findStored, type Learned, type LearnParts, learn, type UseSession } from './learn.ts'
import { type Look, sendLook } from './look.ts'
import { LookLimits } from './look-limits.ts'
import { findFunction, functionNames, type Schema } from './schema.ts'
import { SchemaCaches } from './schema-caches.ts'
import type { Signature } from './signature.ts'
import { readState, type StoredState, writeState } from './stored-signatures.ts'
import { TimeBudget } from './time-budget.ts'
import { SCHEMA_VERSION } from './version.ts'

/** Milliseconds of each second that may be spent on suggestions for unknown names. */
const SUGGESTING_MS = 100

/** Maximum number of reads of a schema that changes while it is read. */
const MAX_READS = 3

/** Client and deadline of a load; undefined for the gateway itself. */
export interface LoadOptions {
  client?: Client | undefined
  /** `performance.now()` when the call's own time is up. */
  deadline?: number | undefined
}

export interface KnownFunctionsParts {
  /** Returns the schemas whose functions a database's callers find; undefined: the search path. */
  callableSchemas?: (database: string) => string[] | undefined
  /** Runs work in a database, on a connection of its pool. */
  use<T>(database: string, work: (sql: Sql) => Promise<T>): Promise<T>
  /** Runs work in the administrative database. */
  administer<T>(work: (sql: Sql) => Promise<T>): Promise<T>
}

/** Cache entry of a database. */
interface Known extends Comparison {
  schema: Schema
  version: string
}

/** A load in progress. */
interface Flight {
  done: Promise<void>
  /** True: the database changed during the load, so the result may be outdated. */
  isOutdated: boolean
}

/** Cache of the functions of all databases. Databases with the same objects share one schema. */
export class KnownFunctions {
  readonly #parts: KnownFunctionsParts
  readonly #caches = new SchemaCaches()
  readonly #known = new Map<string, Known>()
  readonly #flights = new Map<string, Flight>()
  /** Comparisons of versions in progress, by database. */
  readonly #comparisons = new Map<string, Promise<boolean>>()
  /**
   * By database: version that a session read when it differed from the cached one. The catalog may
   * still hold an earlier version, since nothing waits for it to be written.
   */
  readonly #seen = new Map<string, string>()
  readonly #limits = new LookLimits()
  readonly #suggesting = new TimeBudget(SUGGESTING_MS)
  /** Called when the version of a database has changed: its sessions have to end. */
  onChanged: ((database: string) => void) | undefined

  constructor(parts: KnownFunctionsParts) {
    this.#parts = parts
  }

  /** Returns the cached overloads of a function (`[]`: none); undefined without a cache entry. */
  peek(database: string, name: string): Signature[] | undefined {
    const known = this.#known.get(database)
    return known && (findFunction(known.schema, name) ?? NONE)
  }

  /** Returns the cached schema of a database. */
  schemaOf(database: string): Schema | undefined {
    return this.#known.get(database)?.schema
  }

  /**
   * Loads the functions of a database into the cache: with one query of the administrative database
   * if its schema is stored there, else from the catalogs. Concurrent callers share one load of the
   * gateway's own; each waits only as long as its own limits allow.
   * @throws {GatewayError} pool_exhausted, connection_failed, query_timeout
   */
  async load(database: string, options: LoadOptions = {}): Promise<void> {
    while (!this.#known.has(database)) {
      const done = this.#flights.get(database)?.done ?? this.#fly(database)
      await waitForShared(done, database, options)
    }
  }

  /**
   * Returns the overloads of a function. For an unknown name, compares the version of the database
   * first, at most ten times a second.
   * @throws {GatewayError} function_not_found, usually with suggestions; as `load`
   */
  async get(database: string, name: string, options: LoadOptions = {}): Promise<Signature[]> {
    const found = await this.#find(database, name, options)
    if (found.length > 0) return found
    const mayLook = this.#limits.takeLook(database)
    if (mayLook && (await waitForShared(this.#compare(database), database, options))) {
      // The name exists after all, so it does not count as a guess.
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
   * Handles an error of PostgreSQL that a call does not fit the cached signature. Compares the
   * version, at most once a second for each function, and reads the schema again if it changed.
   * @param held overloads of the call; another caller may have refreshed the cache already
   * @returns whether the cache has changed
   * @throws {GatewayError} as `load`
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
    // The running comparison may have begun before the change that the call ran into.
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
   * Records the version that a session has read, and the mark that it has read before (null: it
   * cannot be read). If the version differs, drops the cache entry of the database and has its
   * sessions renewed.
   * @returns whether the cache entry was current
   */
  check(database: string, version: string, mark?: string | null): boolean {
    const known = this.#known.get(database)
    if (!known) return true
    if (known.version === version) return noteEqual(known, mark)
    this.#seen.set(database, version)
    this.forget(database)
    this.onChanged?.(database)
    return false
  }

  /**
   * Returns whether the version is due to be read on a session and passed to `check`. `afterMs`:
   * whether it is so long since the last comparison; default: CHECK_EVERY_MS.
   */
  isDue(database: string, afterMs?: number): boolean {
    const known = this.#known.get(database)
    return known !== undefined && isDue(known, afterMs)
  }

  /** Compares the mark that a session has read when it opened: an equal one needs no `check`. */
  compareMark(database: string, mark: string): void {
    compareMark(this.#known.get(database), mark)
  }

  /** Returns what a session is asked when it opens: the mark, if it is due to be compared. */
  readonly atOpening = askMark((database) => this.#known.get(database))

  readonly look = sendLook

  /**
   * Learns the schema of a database after a deploy, on a session in the state of a new one. `look`
   * was taken after the last change: with it, databases that have the same schema read it once.
   * @returns the state to write to the catalog
   */
  async learn(use: UseSession, database: string, look?: Look): Promise<StoredState> {
    this.forget(database)
    const learned = await learn(use, this.#learnParts(database), look)
    this.#remember(database, learned, performance.now())
    const { digest, version } = learned
    return { digest, version }
  }

  /** Drops the cache entry of a database that may have changed. */
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
      const parts = this.#learnParts(database)
      const learned = await learn((work) => this.#parts.use(database, work), parts)
      if (flight.isOutdated && reads < MAX_READS) continue
      // A schema that keeps changing counts as never compared, so that the next call compares it.
      const at = flight.isOutdated ? Number.NEGATIVE_INFINITY : performance.now()
      this.#remember(database, learned, at)
      // Two gateways with different callable schemas would overwrite each other's state.
      if (found !== 'foreign') this.#writeState(database, learned)
      return
    }
  }

  async #findStored(database: string): Promise<Learned | 'foreign' | undefined> {
    const state = await this.#parts.administer((sql) => readState(sql, database))
    const seen = this.#seen.get(database)
    if (!state || (seen !== undefined && state.version !== seen)) return undefined
    const schema = await findStored(this.#learnParts(database), state.digest)
    return typeof schema === 'object' ? { ...state, schema } : schema
  }

  /** Nothing waits for the write. If it fails, the next gateway reads the schema again. */
  #writeState(database: string, { digest, version }: StoredState): void {
    this.#parts.administer((sql) => writeState(sql, database, { digest, version })).catch(() => {})
  }

  #remember(database: string, { schema, version, mark }: Learned, checkedAt: number): void {
    // The callable schemas may have changed while these were read.
    if (this.#learnParts(database).schemas.get(schema.digest) !== schema) return
    this.#known.set(database, { schema, version, ...comparedAt(checkedAt, mark) })
    this.#seen.delete(database)
    this.#caches.sweep(() => [...this.#known.values()].map((known) => known.schema.digest))
  }

  #learnParts(database: string): LearnParts {
    const { administer, callableSchemas } = this.#parts
    return { ...this.#caches.of(callableSchemas?.(database)), administer }
  }

  /**
   * Compares the version of a database, and drops its cache entry if it has changed.
   * @returns whether the cache entry has changed, by this comparison or by another caller
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
