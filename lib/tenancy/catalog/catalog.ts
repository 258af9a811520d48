import type { Sql } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { useRepeatable } from '../../postgres/pools/use-repeatable.ts'
import { isActive } from '../hold.ts'
import { DatabaseLimits } from '../limits/database-limits.ts'
import { databaseName, type Owner } from '../names.ts'
import { describeOwner, isSameOwner, ownerKey } from '../owner-identity.ts'
import { prepareArchives } from '../schemas/archives.ts'
import { type PlatformSchemas, readPlatformSchemas } from '../schemas/platform-schemas.ts'
import { absentError } from './absent.ts'
import {
  type CatalogEntry,
  createCatalog,
  type EntryPart,
  hasEntry,
  listEntries,
  type NamedEntry,
  readEntriesOrMoved,
  setStoredSchema,
} from './catalog-table.ts'
import { type FormerParts, findFormer } from './former.ts'
import { FoundOwners } from './found-owners.ts'
import { HeldCalls } from './held-calls.ts'
import { type Holder, Holders } from './holders.ts'
import { MovedAway } from './moved-away.ts'
import { type LookupLimits, type LookupOptions, OwnerLookups } from './owner-lookups.ts'
import { readRenamed } from './tenant-hold.ts'

export type { Holder }
export { describeOwner, isSameOwner }

/**
 * Maps owners to databases, by a table of the administrative database. Found entries are cached. An
 * entry changes by a rename alone, which like a removal leaves no database of its name, so a stale
 * cache entry shows when a connection fails: call `forget` or `findMoved` then.
 */
export class Catalog {
  readonly #pools: Pools
  readonly #admin: string
  readonly #found = new FoundOwners()
  readonly limits = new DatabaseLimits()
  readonly #lookups: OwnerLookups<NamedEntry>
  readonly #schemas: OwnerLookups<PlatformSchemas>
  readonly #former: FormerParts
  readonly #held: HeldCalls
  /** What answers from `#found` is asked for there, so both are forgotten together. */
  readonly #holders = new Holders(() => this.#found.clear())
  /** True while the gateway receives no notifications of catalog changes. */
  #isDeaf = false
  /** Called with a database whose platform or role has changed. */
  onHandover: ((database: string) => void) | undefined

  /** @param admin name of the administrative database */
  constructor(pools: Pools, admin: string, limits: LookupLimits) {
    this.#pools = pools
    this.#admin = admin
    this.#lookups = new OwnerLookups(
      (names) => this.use((sql) => readEntriesOrMoved(sql, names)),
      ({ database }) => database,
      limits,
    )
    this.#schemas = new OwnerLookups(
      (platforms) => this.use((sql) => readPlatformSchemas(sql, platforms)),
      ({ platform }) => platform,
      limits,
    )
    const note = (entry: NamedEntry) => this.note(entry)
    this.#former = { lookups: this.#lookups, schemas: this.#schemas, note }
    this.#held = new HeldCalls(
      {
        locate: (owner, options) => this.#locate(owner, options),
        forget: (database) => this.#lookups.forget(database),
        readRenamed: (databases) => this.use((sql) => readRenamed(sql, databases)),
      },
      limits,
    )
  }

  /** Creates the catalog's tables if they do not exist. */
  async prepare(): Promise<void> {
    await this.#pools.use(this.#admin, createCatalog)
    await this.#pools.use(this.#admin, prepareArchives)
  }

  /**
   * Returns the owner's database, or undefined if there is none or another owner holds its name.
   * Asks PostgreSQL unless the owner's own database is cached, and waits while its calls are held.
   * @throws {MovedAway} if it was moved to another server
   */
  async findOwn(owner: Owner): Promise<string | undefined> {
    const found = this.#found.getOwn(ownerKey(owner))
    if (found !== undefined) return found
    const entry = await this.#held.settled(() =>
      this.#read(owner, databaseName(owner), { anew: true }),
    )
    return entry && isSameOwner(entry, owner) ? entry.database : undefined
  }

  /**
   * As `findOwn`, but a database that was moved to another server is none: whether it is there yet is
   * seen under the lock of its name, where another one is made.
   */
  async findHere(owner: Owner): Promise<string | undefined> {
    try {
      return await this.findOwn(owner)
    } catch (error) {
      if (error instanceof MovedAway) return undefined
      throw error
    }
  }

  /**
   * Returns the owner's database for a call: a string if it is cached, a promise otherwise. The
   * absence of a database is cached too, until the catalog notifies a change. The entry of a
   * suspended or held tenant is cached, and looked up for each call. See `HeldCalls.pass`.
   * @throws {GatewayError} tenant_suspended; database_not_found; platform_isolation_violation if a
   *   database of another platform has the name; the errors of `OwnerLookups.find`
   */
  find(owner: Owner, options: LookupOptions = {}): string | Promise<string> {
    return this.#found.get(ownerKey(owner)) ?? this.#held.pass(owner, options)
  }

  /**
   * Returns the owner's database for a call that found its database gone: the one that the tenant
   * has since it was renamed.
   * @throws {GatewayError} the errors of `find`
   */
  findMoved(owner: Owner, gone: string, options: LookupOptions = {}): Promise<string> {
    this.forget(owner, gone)
    return this.#held.pass(owner, options, gone)
  }

  /**
   * Returns the owner's database, suspended or not. Asks PostgreSQL.
   * @throws {GatewayError} the errors of `find` without tenant_suspended
   */
  async locate(owner: Owner): Promise<string> {
    return (await this.#locate(owner, { anew: true })).database
  }

  /**
   * Returns the owner of the database that a request means. It is the first of these that exists:
   * - the owner itself
   * - for an owner with a schema: the platform, or its tenant without a schema, if that may be
   *   the one that is meant (`isBaseOf`, `isTenantOf`)
   * - the tenant without a schema whose id gives the same database name, with `anySpelling` or if
   *   the catalog marks that tenant as freely spelled
   *
   * Without any of them it returns the given owner. Asks PostgreSQL unless the owner's own database
   * is cached.
   */
  async resolve(owner: Owner, { anySpelling = false } = {}): Promise<Owner> {
    if (owner.schema === null && owner.tenantId === null) return owner
    const database = databaseName(owner)
    if (this.#found.getOwn(ownerKey(owner)) === database) return owner
    const entry = await this.#read(owner, database, { anew: true })
    if (entry && isSameOwner(entry, owner)) return owner
    const former = await findFormer(this.#former, owner, entry, { anew: true, anySpelling })
    return former
      ? { platform: owner.platform, tenantId: former.entry.tenantId, schema: null }
      : owner
  }

  /**
   * Resolves the owner of a request that may address all databases of a schema: without a tenant id
   * it returns the owner unchanged, otherwise the result of `resolve`.
   */
  async resolveScope(owner: Owner): Promise<Owner> {
    return owner.tenantId === null ? owner : this.resolve(owner)
  }

  /** Returns platform and role of a database; undefined if no look-up has read them yet. */
  holderOf(database: string): Holder | undefined {
    return this.#holders.get(database)
  }

  /**
   * Caches platform, role and limits of a database whose entry was read, or is about to be written.
   * Calls `onHandover` if platform or role differ from the cached ones.
   */
  note({ database, platform, role, limits }: Holder & Pick<CatalogEntry, 'limits'>): void {
    if (limits !== undefined) this.limits.note(database, limits)
    const known = this.#holders.get(database)
    if (known?.platform === platform && known.role === role) return
    this.#holders.set({ database, platform, role })
    if (known) this.onHandover?.(database)
  }

  async #locate(owner: Owner, options: LookupOptions): Promise<NamedEntry> {
    const database = databaseName(owner)
    const entry = await this.#read(owner, database, options)
    if (entry && isSameOwner(entry, owner)) return entry
    const anew = this.#isDeaf || options.anew === true
    const former = await findFormer(this.#former, owner, entry, { ...options, anew })
    if (former) {
      const isHolder = former.entry.database === database && !this.#isDeaf
      const isCertain = isHolder || this.#lookups.isAbsent(database)
      const { entry: other } = former
      if (other.movedTo !== null) throw new MovedAway(owner, other.database, other.movedTo)
      if (isActive(former.entry) && isCertain && former.isRemembered())
        this.#found.setOther(owner.platform, ownerKey(owner), former.entry.database)
      return former.entry
    }
    throw absentError(owner, entry)
  }

  /**
   * Returns the databases of a platform: the main database, then base databases of schemas, tenants
   * without a schema, and tenants of schemas, each group by name.
   * @param schema limits the result to one schema, where `main` includes the platform's main
   *   database; null selects databases without a schema
   */
  async list(platform: string, schema?: string | null): Promise<CatalogEntry[]> {
    const entries = await this.use((sql) => listEntries(sql, platform, schema))
    for (const entry of entries) this.note(entry)
    return entries
  }

  /** Returns whether a platform has a database, of this schema and tenant if they are given. */
  has(platform: string, part: EntryPart = {}): Promise<boolean> {
    return this.use((sql) => hasEntry(sql, platform, part))
  }

  /** Records the stored schema that was deployed to a database of a platform. */
  async recordStored(platform: string, database: string, name: string): Promise<void> {
    const isNews = await this.use((sql) => setStoredSchema(sql, database, name))
    if (!isNews) return
    this.#lookups.forget(database)
    this.#forgetOthers(platform)
  }

  /**
   * Runs `work` in the administrative database. `work` must be safe to repeat: it runs again if its
   * connection is lost.
   * @throws {GatewayError} the errors of `fromPostgres`
   */
  use<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return useRepeatable(this.#pools, this.#admin, work)
  }

  /**
   * Reads the entry that has the name of the owner's database.
   * @throws {MovedAway} if it was moved to another server
   */
  async #read(
    owner: Owner,
    database: string,
    options?: LookupOptions,
  ): Promise<NamedEntry | undefined> {
    const entry = await this.#lookups.find(database, options)
    if (!entry || !isSameOwner(entry, owner)) return entry
    if (entry.movedTo !== null) throw new MovedAway(owner, database, entry.movedTo)
    this.note(entry)
    // A notification may have invalidated the entry while it was read: do not cache it then.
    const isCached = isActive(entry) && this.#lookups.remembers(entry)
    if (isCached) this.#found.set(ownerKey(owner), database)
    return entry
  }

  /** Clears all caches: changes may have been missed. Ends the state that `onSilence` began. */
  forgetAll(): void {
    this.#isDeaf = false
    this.#found.clear()
    this.limits.expectChanges()
    this.#lookups.forgetAll()
    this.#schemas.forgetAll()
    this.#held.releaseAll()
  }

  /**
   * Handles the loss of notifications. Until `forgetAll`, neither absence nor answers from other
   * owners' databases are cached.
   */
  onSilence(): void {
    this.#isDeaf = true
    // An owner's own database needs no notification: if it is dropped, the next connection to it
    // fails.
    this.#found.clearOthers()
    this.#lookups.stopRememberingAbsence()
  }

  /**
   * Removes an owner, the name of its database, and all owners of its platform that are answered
   * from another owner's database from the caches: any database of the platform may change those
   * answers.
   */
  forget(owner: Owner, database: string = databaseName(owner)): void {
    this.#found.delete(ownerKey(owner))
    this.#lookups.forget(database)
    this.#forgetOthers(owner.platform)
    this.#held.release(database)
  }

  #forgetOthers(platform: string): void {
    this.#found.deleteOthers(platform)
    this.#schemas.forget(platform)
  }
}
