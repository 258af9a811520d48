import { GatewayError } from './errors.ts'
import { databaseName, type Owner } from './names.ts'
import { isBroken, isWorthAnotherConnection, untilAnother } from './postgres/again.ts'
import type { Sql } from './postgres/connection.ts'
import { fromPostgres } from './postgres/errors.ts'
import type { Pools } from './postgres/pools.ts'
import { cutWhenSilent } from './postgres/silence.ts'

/** One database of the catalog. */
export interface CatalogEntry extends Owner {
  database: string
  /** The platform's role, which owns it; null where the gateway's own still does. */
  role: string | null
}

/** Whose a database is, and as whom the gateway works in it. */
export type Holder = Pick<CatalogEntry, 'database' | 'platform' | 'role'>

/** A database with what ops want to know of it. */
export interface DetailedEntry extends CatalogEntry {
  /** On disk. */
  sizeBytes: number
  /** Of the archive that was deployed last; null before the first. */
  schemaChecksum: string | null
  /** ISO 8601. */
  lastDeployedAt: string | null
  /** Its schema is not that of the platform's newest archive. */
  isPending: boolean
}

interface Row {
  database: string
  platform: string
  tenant_id: string | null
  owner_role: string | null
}

interface DetailedRow extends Row {
  size: string
  schema_checksum: string | null
  last_deployed_at: string | null
  pending: boolean
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
  /** How often something was forgotten: what was read before that is not remembered. */
  #forgotten = 0
  /** Of owners that many ask for at once, one asks PostgreSQL. */
  readonly #reading = new Map<string, Promise<string | CatalogEntry | undefined>>()
  /** By database, also of those that are gone: what is under way there still asks. */
  readonly #holders = new Map<string, Holder>()
  /** Told of a database in which somebody else works from now on. */
  onHandover: ((database: string) => void) | undefined

  /** `admin`: the name of the administrative database. */
  constructor(pools: Pools, admin: string) {
    this.#pools = pools
    this.#admin = admin
  }

  /** Creates the catalog's tables where they do not exist. */
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
          schema_checksum text,
          last_deployed_at timestamptz,
          owner_role text,
          functions_digest text,
          functions_version text,
          unique nulls not distinct (platform, tenant_id)
        );
        ${addMissingColumn('_db_gateway_databases', 'owner_role', 'text')};
        ${addMissingColumn('_db_gateway_databases', 'functions_digest', 'text')};
        ${addMissingColumn('_db_gateway_databases', 'functions_version', 'text')};
        create table if not exists _db_gateway_archives (
          platform text not null,
          checksum text not null,
          first_deployed_at timestamptz not null default now(),
          primary key (platform, checksum)
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
   * The owner's database, at once where it is known.
   * @throws {GatewayError} database_not_found; platform_isolation_violation where the name is
   *   that of another platform's database
   */
  find(owner: Owner): string | Promise<string> {
    return this.#found.get(key(owner)) ?? this.#find(owner)
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

  async #find(owner: Owner): Promise<string> {
    const found = await this.#read(owner)
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

  /** As `list`, in detail. A database that somebody dropped by hand is left out. */
  async listInDetail(platform: string): Promise<DetailedEntry[]> {
    const rows = await this.use(
      (sql) => sql<DetailedRow[]>`
        select
          c.database,
          c.platform,
          c.tenant_id,
          c.owner_role,
          pg_database_size(d.oid)::text as size,
          c.schema_checksum,
          to_json(c.last_deployed_at) as last_deployed_at,
          newest.checksum is not null
            and newest.checksum is distinct from c.schema_checksum as pending
        from _db_gateway_databases c
        join pg_database d on d.datname = c.database
        left join lateral (
          select checksum
          from _db_gateway_archives a
          where a.platform = c.platform
          order by first_deployed_at desc
          limit 1
        ) as newest on true
        where c.platform = ${platform}
        order by c.tenant_id is not null, c.database
      `,
    )
    return rows.map((row) => ({
      ...toEntry(row),
      sizeBytes: Number(row.size),
      schemaChecksum: row.schema_checksum,
      lastDeployedAt: row.last_deployed_at,
      isPending: row.pending,
    }))
  }

  /**
   * As `recordDeploy`, for a schema that was in place already: a gateway that was killed right
   * after its deploy has not written it down.
   */
  async confirmDeploy(owner: Owner, checksum: string): Promise<void> {
    const database = databaseName(owner)
    const [known] = await this.use(
      (sql) => sql`
        select from _db_gateway_databases
        where database = ${database} and schema_checksum = ${checksum}
      `,
    )
    if (!known) await this.recordDeploy(owner, checksum)
  }

  /**
   * Writes down which schema a database has now: a copy of what its own ledger says, for an
   * overview. `functions`: what its functions are known by, where that was read after the deploy.
   */
  async recordDeploy(
    owner: Owner,
    checksum: string,
    functions?: { digest: string; version: string },
  ): Promise<void> {
    const database = databaseName(owner)
    await this.use(
      (sql) => sql`
        with archive as (
          insert into _db_gateway_archives (platform, checksum)
          values (${owner.platform}, ${checksum})
          on conflict do nothing
        )
        update _db_gateway_databases
        set schema_checksum = ${checksum}, last_deployed_at = now(),
          functions_digest = ${functions?.digest ?? null},
          functions_version = ${functions?.version ?? null}
        where database = ${database}
      `,
    )
  }

  /**
   * Runs `work` in the administrative database. Whatever it does may be done twice: it is, where its
   * connection is lost.
   * @throws {GatewayError} as of `fromPostgres`
   */
  async use<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    try {
      return await this.#once(work)
    } catch (error) {
      if (!isWorthAnotherConnection(error)) throw fromPostgres(error, this.#admin)
      await untilAnother(error)
      return this.#once(work, isBroken(error)).catch((again) => {
        throw fromPostgres(again, this.#admin)
      })
    }
  }

  async #once<T>(work: (sql: Sql) => Promise<T>, fresh = false): Promise<T> {
    const lease = await this.#pools.lease(this.#admin, { fresh })
    const endSilence = cutWhenSilent(lease.connection)
    try {
      const result = await work(lease.sql)
      lease.release()
      return result
    } catch (error) {
      lease.release(error)
      throw error
    } finally {
      endSilence()
    }
  }

  /** The owner's database, or else the entry that has its name. */
  async #read(owner: Owner): Promise<string | CatalogEntry | undefined> {
    const running = await this.#reading.get(key(owner))?.catch(() => undefined)
    // One that was created meanwhile may not be in somebody else's answer.
    if (typeof running === 'string') return running
    const reading = this.#readNow(owner)
    this.#reading.set(key(owner), reading)
    try {
      return await reading
    } finally {
      if (this.#reading.get(key(owner)) === reading) this.#reading.delete(key(owner))
    }
  }

  async #readNow(owner: Owner): Promise<string | CatalogEntry | undefined> {
    const forgotten = this.#forgotten
    const entry = await this.use((sql) => readEntry(sql, owner))
    if (!entry || !isSameOwner(entry, owner)) return entry
    this.note(entry)
    if (forgotten === this.#forgotten) this.#found.set(key(owner), entry.database)
    return entry.database
  }

  /** Forgets what is remembered of all: much may have changed unseen. */
  forgetAll(): void {
    this.#forgotten++
    this.#found.clear()
  }

  /** Forgets what is remembered of an owner whose database turned out to be gone. */
  forget(owner: Owner): void {
    this.#forgotten++
    this.#found.delete(key(owner))
  }
}

/** The entry that has the name of the owner's database, whoever owns it. */
export async function readEntry(sql: Sql, owner: Owner): Promise<CatalogEntry | undefined> {
  const [row] = await sql<Row[]>`
    select database, platform, tenant_id, owner_role
    from _db_gateway_databases
    where database = ${databaseName(owner)}
  `
  return row && toEntry(row)
}

/** Writes down that the database is the owner's. `sql` is of the administrative database. */
export async function addEntry(sql: Sql, owner: Owner, role: string | null): Promise<void> {
  await sql`
    insert into _db_gateway_databases (database, platform, tenant_id, owner_role)
    values (${databaseName(owner)}, ${owner.platform}, ${owner.tenantId}, ${role})
  `
}

/** Only where it is missing: adding a column locks the table, even one that is there. */
function addMissingColumn(table: string, column: string, type: string): string {
  return `
    do $do$ begin
      if not exists (
        select from pg_attribute where attrelid = '${table}'::regclass and attname = '${column}'
      ) then
        alter table ${table} add column ${column} ${type};
      end if;
    end $do$
  `
}

/** Writes down whose role has the owner's database now; nothing where it has no entry yet. */
export async function setRole(sql: Sql, owner: Owner, role: string | null): Promise<void> {
  await sql`
    update _db_gateway_databases set owner_role = ${role}
    where database = ${databaseName(owner)} and owner_role is distinct from ${role}
  `
}

export function isSameOwner(a: Owner, b: Owner): boolean {
  return a.platform === b.platform && a.tenantId === b.tenantId
}

export function describeOwner({ platform, tenantId }: Owner): string {
  return tenantId === null ? `Platform ${platform}` : `Tenant ${tenantId} of platform ${platform}`
}

function toEntry(row: Row): CatalogEntry {
  const { database, platform, tenant_id: tenantId, owner_role: role } = row
  return { database, platform, tenantId, role }
}

function key({ platform, tenantId }: Owner): string {
  return tenantId === null ? platform : `${platform}/${tenantId}`
}
