import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { useRepeatable } from '../../postgres/pools/use-repeatable.ts'
import { databaseName, type Owner, sanitize } from '../names.ts'
import {
  describeAbsent,
  describeOwner,
  describeTaken,
  isSameOwner,
  ownerKey,
} from '../owner-identity.ts'
import { type NewSchema, prepareArchives, readSchema, writeSchema } from '../schemas/archives.ts'
import {
  isBaseOf,
  isTenantOf,
  type PlatformSchemas,
  readPlatformSchemas,
} from '../schemas/platform-schemas.ts'
import {
  type CatalogEntry,
  createCatalog,
  listEntries,
  type NamedEntry,
  readEntries,
  setStoredSchema,
} from './catalog-table.ts'
import { FoundOwners } from './found-owners.ts'
import { type LookupLimits, type LookupOptions, OwnerLookups } from './owner-lookups.ts'

export { describeOwner, isSameOwner }

/** Whose a database is, and as whom the gateway works in it. */
export type Holder = Pick<CatalogEntry, 'database' | 'platform' | 'role'>

/**
 * Which database belongs to whom, in a table of the administrative database. Found entries are
 * remembered; that is safe, since an entry never changes, and one that is removed takes its
 * database with it (`forget` it when a connection says so).
 */
export class Catalog {
  readonly #pools: Pools
  readonly #admin: string
  readonly #found = new FoundOwners()
  readonly #lookups: OwnerLookups<NamedEntry>
  readonly #schemas: OwnerLookups<PlatformSchemas>
  /** By database, also of those that are gone: what is under way there still asks. */
  readonly #holders = new Map<string, Holder>()
  /** The gateway does not hear of changes. */
  #isDeaf = false
  /** Told of a database in which somebody else works from now on. */
  onHandover: ((database: string) => void) | undefined

  /** `admin`: the name of the administrative database. */
  constructor(pools: Pools, admin: string, limits: LookupLimits) {
    this.#pools = pools
    this.#admin = admin
    this.#lookups = new OwnerLookups(
      (names) => this.use((sql) => readEntries(sql, names)),
      ({ database }) => database,
      limits,
    )
    this.#schemas = new OwnerLookups(
      (platforms) => this.use((sql) => readPlatformSchemas(sql, platforms)),
      ({ platform }) => platform,
      limits,
    )
  }

  /** Creates the catalog's tables where they do not exist. */
  async prepare(): Promise<void> {
    await this.#pools.use(this.#admin, createCatalog)
    await this.#pools.use(this.#admin, prepareArchives)
  }

  /**
   * The owner's database; undefined where there is none, or its name is somebody else's. Where it is
   * not known, PostgreSQL says so, whatever is remembered.
   */
  async findOwn(owner: Owner): Promise<string | undefined> {
    const found = this.#found.getOwn(ownerKey(owner))
    if (found !== undefined) return found
    const entry = await this.#read(owner, databaseName(owner), { anew: true })
    return entry && isSameOwner(entry, owner) ? entry.database : undefined
  }

  /**
   * The owner's database, at once where it is known. That there is none is remembered, until the
   * catalog tells of a change.
   * @throws {GatewayError} database_not_found; platform_isolation_violation where the name is
   *   that of another platform's database; as `OwnerLookups.find`
   */
  find(owner: Owner, options: LookupOptions = {}): string | Promise<string> {
    return this.#found.get(ownerKey(owner)) ?? this.#find(owner, options)
  }

  /**
   * The owner that has the database which is meant: of a schema, or a tenant of one, that has none, the
   * platform or its tenant of before, where that may be it (`isBaseOf`, `isTenantOf`); the tenant whose
   * id gives the same name, with `anySpelling` or where that one has any. Where the catalog has none of
   * these, the owner that was asked for. Where the owner's own database is not known, PostgreSQL says
   * so, whatever is remembered.
   */
  async resolve(owner: Owner, { anySpelling = false } = {}): Promise<Owner> {
    if (owner.schema === null && owner.tenantId === null) return owner
    const database = databaseName(owner)
    if (this.#found.getOwn(ownerKey(owner)) === database) return owner
    const entry = await this.#read(owner, database, { anew: true })
    if (entry && isSameOwner(entry, owner)) return owner
    const former = await this.#findFormer(owner, entry, { anew: true, anySpelling })
    return former
      ? { platform: owner.platform, tenantId: former.entry.tenantId, schema: null }
      : owner
  }

  /** The same for a request that means all databases of a schema where it has no id. */
  async resolveScope(owner: Owner): Promise<Owner> {
    return owner.tenantId === null ? owner : this.resolve(owner)
  }

  /** Whose database it is; undefined where it was not asked for yet. */
  holderOf(database: string): Holder | undefined {
    return this.#holders.get(database)
  }

  /** Remembers whose a database is: one that was read here, or will be in the catalog soon. */
  note({ database, platform, role }: Holder): void {
    const known = this.#holders.get(database)
    if (known?.platform === platform && known.role === role) return
    this.#holders.set(database, { database, platform, role })
    if (known) this.onHandover?.(database)
  }

  async #find(owner: Owner, options: LookupOptions): Promise<string> {
    const database = databaseName(owner)
    const entry = await this.#read(owner, database, options)
    if (entry && isSameOwner(entry, owner)) return database
    const anew = this.#isDeaf || options.anew === true
    const former = await this.#findFormer(owner, entry, { ...options, anew })
    if (former) {
      const isHolder = former.entry.database === database && !this.#isDeaf
      const isRemembered = (isHolder || this.#lookups.isAbsent(database)) && former.isRemembered()
      if (isRemembered) this.#found.setOther(owner.platform, ownerKey(owner), former.entry.database)
      return former.entry.database
    }
    if (!entry) {
      throw notFound(describeAbsent(owner), database)
    }
    const message = describeTaken(owner, database, entry)
    if (entry.platform === owner.platform) throw notFound(message, database)
    throw new GatewayError('platform_isolation_violation', message, { database })
  }

  /**
   * The databases of a platform: main first, then the tenants by name. With `schema`, those of the
   * schema alone, to `main` of which the platform's main database belongs; null: those of no schema.
   */
  async list(platform: string, schema?: string | null): Promise<CatalogEntry[]> {
    const entries = await this.use((sql) => listEntries(sql, platform, schema))
    for (const entry of entries) this.note(entry)
    return entries
  }

  /** Whether a platform has such a database: of this schema and tenant, where those are given. */
  async has(
    platform: string,
    { tenantId, schema }: { [part in 'tenantId' | 'schema']?: string | null | undefined } = {},
  ): Promise<boolean> {
    const [found] = await this.use(
      (sql) => sql`
        select from _db_gateway_databases
        where platform = ${platform}
          ${tenantId === undefined ? sql`` : sql`and tenant_id is not distinct from ${tenantId}`}
          ${schema === undefined ? sql`` : sql`and schema_name is not distinct from ${schema}`}
        limit 1
      `,
    )
    return found !== undefined
  }

  /**
   * Writes down that a database was found to have an archive, where the catalog does not say so: a
   * gateway that was killed right after its deploy has not, nor has who restored a database.
   * @returns whether the archive is kept, or was; and whether the catalog did not say so
   */
  async confirmDeploy(
    owner: Owner,
    checksum: string,
  ): Promise<{ isKept: boolean; isNews: boolean }> {
    const schema = { database: databaseName(owner), platform: owner.platform, checksum }
    const known = await this.use((sql) => readSchema(sql, schema))
    if (known.isWritten) return { isKept: known.isKept, isNews: false }
    const how = { seen: true as const, instead: known.instead }
    const isKept = await this.use((sql) => writeSchema(sql, { ...schema, how }))
    return { isKept, isNews: true }
  }

  /**
   * Writes down which archive a database has from now on: a copy of what its own ledger says, for
   * an overview.
   * @returns whether the archive is kept
   */
  async recordDeploy(
    owner: Owner,
    schema: Omit<NewSchema, 'database' | 'platform'>,
  ): Promise<boolean> {
    const { platform } = owner
    return this.use((sql) =>
      writeSchema(sql, { ...schema, database: databaseName(owner), platform }),
    )
  }

  /** Writes down which stored schema was deployed to a database of a platform. */
  async recordStored(platform: string, database: string, name: string): Promise<void> {
    const isNews = await this.use((sql) => setStoredSchema(sql, database, name))
    if (!isNews) return
    this.#lookups.forget(database)
    this.#forgetOthers(platform)
  }

  /**
   * Runs `work` in the administrative database. Whatever it does may be done twice: it is, where its
   * connection is lost.
   * @throws {GatewayError} as of `fromPostgres`
   */
  use<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return useRepeatable(this.#pools, this.#admin, work)
  }

  /**
   * The tenant of no schema whose id gives the same name as the owner's, however it is spelled, or the
   * platform where the owner has no id; of an owner of a schema, where it may be that one, of others,
   * where its spellings are one, or with `anySpelling`. `holder` has the name of the owner's own
   * database. `isRemembered`: whether all that says so still is.
   */
  async #findFormer(
    { platform, tenantId, schema }: Owner,
    holder: NamedEntry | undefined,
    { anySpelling = false, ...options }: LookupOptions & { anySpelling?: boolean },
  ): Promise<{ entry: CatalogEntry; isRemembered: () => boolean } | undefined> {
    if (schema === null && tenantId === null) return undefined
    const id = tenantId === null ? null : sanitize(tenantId)
    const name = databaseName({ platform, tenantId: id, schema: null })
    const entry = holder?.database === name ? holder : await this.#lookups.find(name, options)
    if (entry?.platform !== platform || entry.schema !== null) return undefined
    const isEntryRemembered = () => this.#lookups.remembers(entry)
    if (tenantId === null || entry.tenantId === null) {
      const isBase = schema !== null && !holder && isBaseOf(schema, entry.storedSchemas)
      if (tenantId !== entry.tenantId || !isBase) return undefined
      this.note(entry)
      return { entry, isRemembered: isEntryRemembered }
    }
    if (sanitize(entry.tenantId) !== id) return undefined
    if (schema === null && !anySpelling && !entry.isSpelledFreely) return undefined
    this.note(entry)
    if (schema === null) return { entry, isRemembered: isEntryRemembered }
    const schemas = await this.#schemas.find(platform, options)
    if (!schemas || !isTenantOf(schema, entry.storedSchemas, schemas)) return undefined
    const isRemembered = () => isEntryRemembered() && this.#schemas.remembers(schemas)
    return { entry, isRemembered }
  }

  /** The entry that has the name of the owner's database. */
  async #read(
    owner: Owner,
    database: string,
    options?: LookupOptions,
  ): Promise<NamedEntry | undefined> {
    const entry = await this.#lookups.find(database, options)
    if (!entry || !isSameOwner(entry, owner)) return entry
    this.note(entry)
    // Not where it was forgotten while it was read.
    if (this.#lookups.remembers(entry)) this.#found.set(ownerKey(owner), database)
    return entry
  }

  /** Forgets what is remembered of all: much may have changed unseen. */
  forgetAll(): void {
    this.#isDeaf = false
    this.#found.clear()
    this.#lookups.forgetAll()
    this.#schemas.forgetAll()
  }

  /**
   * The gateway does not hear of changes: until `forgetAll`, no more is remembered of what is absent,
   * and nothing of who is answered from databases of others.
   */
  onSilence(): void {
    this.#isDeaf = true
    // An owner's own database stays its own; one that went says so by itself.
    this.#found.clearOthers()
    this.#lookups.stopRememberingAbsence()
  }

  /**
   * Forgets what is remembered of an owner, of the name of its database, and of tenants of its platform
   * who are answered from databases of others: each database counts in whether they are.
   */
  forget(owner: Owner, database: string = databaseName(owner)): void {
    this.#found.delete(ownerKey(owner))
    this.#lookups.forget(database)
    this.#forgetOthers(owner.platform)
  }

  #forgetOthers(platform: string): void {
    this.#found.deleteOthers(platform)
    this.#schemas.forget(platform)
  }
}

function notFound(message: string, database: string): GatewayError {
  return new GatewayError('database_not_found', message, { database })
}
