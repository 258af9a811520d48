import { GatewayError } from './errors.ts'
import { databaseName, type Owner } from './names.ts'
import type { Sql } from './postgres/connection.ts'
import type { Pools } from './postgres/pools.ts'

/** One database of the catalog. */
export interface CatalogEntry extends Owner {
  database: string
}

/** A database with its size on disk. */
export interface SizedEntry extends CatalogEntry {
  sizeBytes: number
}

interface Row {
  database: string
  platform: string
  tenant_id: string | null
}

/**
 * Which database belongs to whom, in a table of the administrative database. Found entries are
 * remembered; that is safe, since an entry never changes, and one that is removed takes its
 * database with it (`forget` it when a connection says so).
 */
export class Catalog {
  readonly #pools: Pools
  readonly #admin: string
  readonly #found = new Map<string, string>()

  /** `admin`: the name of the administrative database. */
  constructor(pools: Pools, admin: string) {
    this.#pools = pools
    this.#admin = admin
  }

  /** Creates the catalog's table where it does not exist. */
  async prepare(): Promise<void> {
    await this.#pools.use(this.#admin, (sql) =>
      // The lock: "if not exists" does not keep two gateways that start at once from colliding.
      sql.unsafe(`
        begin;
        select pg_advisory_xact_lock(hashtext('_db_gateway_databases'));
        create table if not exists _db_gateway_databases (
          database text primary key,
          platform text not null,
          tenant_id text,
          created_at timestamptz not null default now(),
          unique nulls not distinct (platform, tenant_id)
        );
        commit;
      `),
    )
  }

  /** The owner's database; undefined where there is none, or its name is somebody else's. */
  async findOwn(owner: Owner): Promise<string | undefined> {
    const found = this.#found.get(key(owner)) ?? (await this.#read(owner))
    return typeof found === 'string' ? found : undefined
  }

  /**
   * The owner's database.
   * @throws {GatewayError} database_not_found; platform_isolation_violation where the name is
   *   that of another platform's database
   */
  async find(owner: Owner): Promise<string> {
    const found = this.#found.get(key(owner)) ?? (await this.#read(owner))
    if (typeof found === 'string') return found
    const database = databaseName(owner)
    if (found && found.platform !== owner.platform) {
      throw new GatewayError(
        'platform_isolation_violation',
        `Database ${database} belongs to another platform`,
        { database },
      )
    }
    throw new GatewayError(
      'database_not_found',
      `${describeOwner(owner)} has no database; POST /register creates it`,
      { database },
    )
  }

  /** The databases of a platform: main first, then the tenants by name. */
  async list(platform: string): Promise<CatalogEntry[]> {
    const rows = await this.#pools.use(
      this.#admin,
      (sql) => sql<Row[]>`
        select database, platform, tenant_id
        from _db_gateway_databases
        where platform = ${platform}
        order by tenant_id is not null, database
      `,
    )
    return rows.map(toEntry)
  }

  /** As `list`, with sizes. A database that somebody dropped by hand is left out. */
  async listWithSizes(platform: string): Promise<SizedEntry[]> {
    const rows = await this.#pools.use(
      this.#admin,
      (sql) => sql<(Row & { size: string })[]>`
        select c.database, c.platform, c.tenant_id, pg_database_size(d.oid)::text as size
        from _db_gateway_databases c
        join pg_database d on d.datname = c.database
        where c.platform = ${platform}
        order by c.tenant_id is not null, c.database
      `,
    )
    return rows.map((row) => ({ ...toEntry(row), sizeBytes: Number(row.size) }))
  }

  /** The owner's database, or else the entry that has its name. */
  async #read(owner: Owner): Promise<string | CatalogEntry | undefined> {
    const entry = await this.#pools.use(this.#admin, (sql) => readEntry(sql, owner))
    if (!entry || !isSameOwner(entry, owner)) return entry
    this.#found.set(key(owner), entry.database)
    return entry.database
  }

  /** Forgets what is remembered of an owner whose database turned out to be gone. */
  forget(owner: Owner): void {
    this.#found.delete(key(owner))
  }
}

/** The entry that has the name of the owner's database, whoever owns it. */
export async function readEntry(sql: Sql, owner: Owner): Promise<CatalogEntry | undefined> {
  const [row] = await sql<Row[]>`
    select database, platform, tenant_id
    from _db_gateway_databases
    where database = ${databaseName(owner)}
  `
  return row && toEntry(row)
}

/** Writes down that the database is the owner's. `sql` is of the administrative database. */
export async function addEntry(sql: Sql, owner: Owner): Promise<void> {
  await sql`
    insert into _db_gateway_databases (database, platform, tenant_id)
    values (${databaseName(owner)}, ${owner.platform}, ${owner.tenantId})
  `
}

export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.platform === b.platform && a.tenantId === b.tenantId
}

export function describeOwner({ platform, tenantId }: Owner): string {
  return tenantId === null ? `Platform ${platform}` : `Tenant ${tenantId} of platform ${platform}`
}

function toEntry(row: Row): CatalogEntry {
  return { database: row.database, platform: row.platform, tenantId: row.tenant_id }
}

function key({ platform, tenantId }: Owner): string {
  return tenantId === null ? platform : `${platform}/${tenantId}`
}
