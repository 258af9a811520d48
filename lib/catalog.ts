import { GatewayError } from './errors.ts'
import { databaseName, type Owner } from './names.ts'
import type { Sql } from './postgres/connection.ts'
import type { Pools } from './postgres/pools.ts'
import { useRepeatable } from './postgres/use-repeatable.ts'
import { type NewSchema, prepareArchives, readSchema, writeSchema } from './tenancy/archives.ts'
import {
  type CatalogEntry,
  createCatalog,
  type Row,
  readEntries,
  toEntry,
} from './tenancy/catalog-table.ts'
import { type LookupLimits, type LookupOptions, OwnerLookups } from './tenancy/owner-lookups.ts'

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
  readonly #found = new Map<string, string>()
  readonly #lookups: OwnerLookups
  /** By database, also of those that are gone: what is under way there still asks. */
  readonly #holders = new Map<string, Holder>()
  /** Told of a database in which somebody else works from now on. */
  onHandover: ((database: string) => void) | undefined

  /** `admin`: the name of the administrative database. */
  constructor(pools: Pools, admin: string, limits: LookupLimits) {
    this.#pools = pools
    this.#admin = admin
    this.#lookups = new OwnerLookups((names) => this.use((sql) => readEntries(sql, names)), limits)
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
    const found = this.#found.get(key(owner))
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
    return this.#found.get(key(owner)) ?? this.#find(owner, options)
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
    if (!entry) {
      throw notFound(`${describeOwner(owner)} has no database; POST /register creates it`, database)
    }
    if (isSameOwner(entry, owner)) return database
    if (entry.platform !== owner.platform) {
      throw new GatewayError(
        'platform_isolation_violation',
        `Database ${database} belongs to another platform`,
        { database },
      )
    }
    const message = `${describeOwner(owner)} has no database, and POST /register would refuse it: the name ${database} is taken by ${describeOwner(entry)}`
    throw notFound(message, database)
  }

  /** The databases of a platform: main first, then the tenants by name. */
  async list(platform: string): Promise<CatalogEntry[]> {
    const rows = await this.use(
      (sql) => sql<Row[]>`
        select database, platform, tenant_id, owner_role
        from _db_gateway_databases
        where platform = ${platform}
        order by tenant_id is not null, database
      `,
    )
    const entries = rows.map(toEntry)
    for (const entry of entries) this.note(entry)
    return entries
  }

  /** Whether a platform has the database of a tenant, or with `tenantId` undefined any database. */
  async has(platform: string, tenantId: string | null | undefined): Promise<boolean> {
    const [found] = await this.use(
      (sql) => sql`
        select from _db_gateway_databases
        where platform = ${platform}
          ${tenantId === undefined ? sql`` : sql`and tenant_id is not distinct from ${tenantId}`}
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

  /**
   * Runs `work` in the administrative database. Whatever it does may be done twice: it is, where its
   * connection is lost.
   * @throws {GatewayError} as of `fromPostgres`
   */
  use<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return useRepeatable(this.#pools, this.#admin, work)
  }

  /** The entry that has the name of the owner's database. */
  async #read(
    owner: Owner,
    database: string,
    options?: LookupOptions,
  ): Promise<CatalogEntry | undefined> {
    const entry = await this.#lookups.find(database, options)
    if (!entry || !isSameOwner(entry, owner)) return entry
    this.note(entry)
    // Not where it was forgotten while it was read.
    if (this.#lookups.remembers(entry)) this.#found.set(key(owner), database)
    return entry
  }

  /** Forgets what is remembered of all: much may have changed unseen. */
  forgetAll(): void {
    this.#found.clear()
    this.#lookups.forgetAll()
  }

  /** The gateway does not hear of changes: until `forgetAll`, no absence is remembered. */
  onSilence(): void {
    this.#lookups.stopRememberingAbsence()
  }

  /** Forgets what is remembered of an owner, and of the name of its database. */
  forget(owner: Owner, database: string = databaseName(owner)): void {
    this.#found.delete(key(owner))
    this.#lookups.forget(database)
  }
}

function notFound(message: string, database: string): GatewayError {
  return new GatewayError('database_not_found', message, { database })
}

export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.platform === b.platform && a.tenantId === b.tenantId
}

export function describeOwner({ platform, tenantId }: Owner): string {
  return tenantId === null ? `Platform ${platform}` : `Tenant ${tenantId} of platform ${platform}`
}

function key({ platform, tenantId }: Owner): string {
  return tenantId === null ? platform : `${platform}/${tenantId}`
}
