import { addMissingColumn } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * Newest catalog version that this gateway can work with. Raise it with a catalog change that an
 * older gateway would damage: an older gateway then refuses to start. An addition that older
 * gateways ignore does not raise it.
 */
const CATALOG_VERSION = 4

/** Version of a new catalog. */
const FIRST_VERSION = 1

/**
 * Version of a catalog that has databases named by a schema; an older gateway would take them for
 * the databases of tenants.
 */
const SCHEMAS_VERSION = 2

/** Version of a catalog that has had suspended tenants; an older gateway would run their calls. */
const SUSPENSIONS_VERSION = 3

/** Version of a catalog that has had limits of tenants; an older gateway would not keep to them. */
const LIMITS_VERSION = 4

/** Identity of a catalog, as its own table records it. */
export interface CatalogIdentity {
  /** UUID that tells the catalogs of one server apart. */
  id: string
  /** Fingerprint of the secret in force; null accepts the secret that the next gateway brings. */
  fingerprint: string | null
  /**
   * True if this transaction recorded the identity: the catalog is new, or an older gateway made
   * it.
   */
  isNew: boolean
}

/**
 * Checks that this gateway may work with the catalog of the connection's database, if there is one.
 * Changes nothing.
 * @throws {Error} if a newer gateway has changed the catalog, or if another role owns its tables
 */
export async function checkCatalog(sql: Sql): Promise<void> {
  const [foreign] = await sql<{ name: string; owner: string }[]>`
    select c.oid::regclass::text as name, r.rolname as owner
    from pg_class c
    join pg_roles r on r.oid = c.relowner
    where c.relname in ('_db_gateway_databases', '_db_gateway_catalog', '_db_gateway_secret')
      and pg_table_is_visible(c.oid)
      and not r.rolsuper and not pg_has_role(c.relowner, 'member')
  `
  if (foreign) {
    throw new Error(
      `The table ${foreign.name} of the catalog belongs to the role ${foreign.owner}: run "alter table ${foreign.name} owner to current_user", or set another DATABASE_URL`,
    )
  }
  const [table] = await sql<{ is_there: boolean }[]>`
    select to_regclass('_db_gateway_catalog') is not null as is_there
  `
  if (!table!.is_there) return
  const [catalog] = await sql<{ version: number }[]>`select version from _db_gateway_catalog`
  if (!catalog || catalog.version <= CATALOG_VERSION) return
  throw new Error(
    `The catalog has version ${catalog.version}, set by a newer gateway; this gateway supports up to version ${CATALOG_VERSION}: start the newer gateway`,
  )
}

/**
 * Reads the identity of the catalog in the open transaction, and records it first if it is missing.
 * An advisory lock keeps other gateways out until the transaction ends.
 * @throws {Error} if the catalog is a copy of another one on the same server
 */
export async function readIdentity(sql: Sql): Promise<CatalogIdentity> {
  await sql.unsafe(`
    select pg_advisory_xact_lock(hashtext('_db_gateway_databases'));
    create table if not exists _db_gateway_catalog (
      is_only boolean primary key default true check (is_only),
      id uuid not null default gen_random_uuid(),
      version integer not null,
      -- fingerprint of the secret in force
      secret_fingerprint text,
      -- system identifier of the server and oid of the database; they reveal a copied catalog
      server text,
      home oid,
      -- id of the catalog of main: see main-catalog.ts
      main_catalog uuid
    );
    ${addMissingColumn('_db_gateway_catalog', 'main_catalog', 'uuid')};
    -- the secret itself, if no setting gives one
    create table if not exists _db_gateway_secret (
      is_only boolean primary key default true check (is_only),
      secret text not null
    );
  `)
  await closeTable(sql, '_db_gateway_secret')
  const { count: inserted } = await sql`
    insert into _db_gateway_catalog (version) values (${FIRST_VERSION}) on conflict do nothing
  `
  await settle(sql)
  const [row] = await sql<{ id: string; secret_fingerprint: string | null }[]>`
    select id, secret_fingerprint from _db_gateway_catalog
  `
  return { id: row!.id, fingerprint: row!.secret_fingerprint, isNew: inserted > 0 }
}

/**
 * Records the server and the database that hold the catalog. A dump restored on another server is
 * accepted. A dump restored beside its original is refused, because both catalogs would manage the
 * same databases and roles. Does nothing if this role may not call pg_control_system(), which some
 * servers reserve for superusers.
 * @throws {Error} if the catalog is a copy of one that still exists on this server
 */
async function settle(sql: Sql): Promise<void> {
  const [right] = await sql<{ may_ask: boolean }[]>`
    select has_function_privilege('pg_control_system()', 'execute') as may_ask
  `
  if (!right!.may_ask) return
  const [original] = await sql<{ name: string }[]>`
    select d.datname as name
    from _db_gateway_catalog c
    join pg_database d on d.oid = c.home
    where c.server = (select system_identifier::text from pg_control_system())
      and d.datname <> current_database()
  `
  if (original) {
    throw new Error(
      `The catalog is a copy of the one in the database ${original.name} on the same server, and both would manage the same databases and roles: set DATABASE_URL to that database; to use the copy instead, drop the original, or run "update _db_gateway_catalog set home = null" in the copy and use only the copy`,
    )
  }
  await sql`
    update _db_gateway_catalog c set server = here.server, home = here.home
    from (
      select system_identifier::text as server,
        (select oid from pg_database where datname = current_database()) as home
      from pg_control_system()
    ) as here
    where (c.server, c.home) is distinct from (here.server, here.home)
  `
}

/**
 * Revokes all privileges on a catalog table from every role but its owner: default privileges of
 * the database may have granted some when the table was created.
 */
export async function closeTable(sql: Sql, table: string): Promise<void> {
  const grantees = await sql<{ grantee: string }[]>`
    select distinct case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end
      as grantee
    from pg_class c, aclexplode(c.relacl) acl
    where c.oid = ${table}::regclass and acl.grantee <> c.relowner
  `
  for (const { grantee } of grantees) {
    await sql.unsafe(`revoke all on ${table} from ${grantee} cascade`)
  }
}

/** Returns the secret stored in the catalog, or undefined if there is none. */
export async function readStoredSecret(sql: Sql): Promise<string | undefined> {
  const [row] = await sql<{ secret: string }[]>`select secret from _db_gateway_secret`
  return row?.secret
}

/** Records that the catalog has databases named by a schema, so that older gateways refuse it. */
export function noteSchemas(sql: Sql): Promise<void> {
  return raiseVersion(sql, SCHEMAS_VERSION)
}

/** Records that a tenant was suspended, so that older gateways refuse the catalog. */
export function noteSuspensions(sql: Sql): Promise<void> {
  return raiseVersion(sql, SUSPENSIONS_VERSION)
}

/** Records that a database has had limits, so that older gateways refuse the catalog. */
export function noteLimits(sql: Sql): Promise<void> {
  return raiseVersion(sql, LIMITS_VERSION)
}

async function raiseVersion(sql: Sql, version: number): Promise<void> {
  await sql`update _db_gateway_catalog set version = ${version} where version < ${version}`
}

/** Records the fingerprint of the secret in force. */
export async function setFingerprint(sql: Sql, fingerprint: string): Promise<void> {
  await sql`
    update _db_gateway_catalog set secret_fingerprint = ${fingerprint}
    where secret_fingerprint is distinct from ${fingerprint}
  `
}
