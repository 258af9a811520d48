import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * Raised with a change of the catalog that a gateway of before would do harm to: that one does not
 * start any more. Additions that it does not see leave the number as it is.
 */
const CATALOG_VERSION = 2

/** Of a new catalog. */
const FIRST_VERSION = 1

/** Of a catalog with databases of schemas: a gateway of before would take them for those of tenants. */
const SCHEMAS_VERSION = 2

/** What a catalog says of itself. */
export interface CatalogIdentity {
  /** Tells the catalogs of a server apart. */
  id: string
  /** Of the secret in force; null: whichever the next gateway has. */
  fingerprint: string | null
  /** It did not say so before: it is new, or was made by a gateway of before. */
  isNew: boolean
}

/**
 * Looks whether this gateway may work with the catalog of the database, if there is one. Nothing is
 * changed.
 * @throws {Error} where a newer gateway has changed it, or where its tables are another role's
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
      `The table ${foreign.name} of the catalog belongs to ${foreign.owner}: "alter table ${foreign.name} owner to current_user", or another DATABASE_URL`,
    )
  }
  const [table] = await sql<{ is_there: boolean }[]>`
    select to_regclass('_db_gateway_catalog') is not null as is_there
  `
  if (!table!.is_there) return
  const [catalog] = await sql<{ version: number }[]>`select version from _db_gateway_catalog`
  if (!catalog || catalog.version <= CATALOG_VERSION) return
  throw new Error(
    `A newer gateway has brought the catalog to version ${catalog.version}, and this one knows version ${CATALOG_VERSION}: start the newer one`,
  )
}

/**
 * Reads what the catalog says of itself, in the open transaction, until whose end no other gateway
 * does; writes it down where that was not done yet.
 * @throws {Error} where it is a copy of another one on the same server
 */
export async function readIdentity(sql: Sql): Promise<CatalogIdentity> {
  await sql.unsafe(`
    select pg_advisory_xact_lock(hashtext('_db_gateway_databases'));
    create table if not exists _db_gateway_catalog (
      is_only boolean primary key default true check (is_only),
      id uuid not null default gen_random_uuid(),
      version integer not null,
      -- of the secret in force
      secret_fingerprint text,
      -- the server and the database that it is in, to tell a copy of it
      server text,
      home oid
    );
    -- the secret itself, where no setting gives it
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
 * Writes down where the catalog is. A dump that was restored on another server goes on there; one
 * beside the catalog that it is of would have two of them work with the same databases and roles.
 * Which server it is, some let superusers alone ask.
 * @throws {Error} where it is a copy of a catalog that is still there
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
      `The catalog is a copy of the one in the database ${original.name} on the same server, whose databases and roles it would take: let DATABASE_URL name that one; to have the copy in its place, drop that one, or run "update _db_gateway_catalog set home = null" in the copy and use it alone`,
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
 * Leaves a table of the catalog to its owner alone: default privileges of the database may have let
 * others read what is new in it.
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

/** The secret that is kept in the catalog; undefined where there is none. */
export async function readStoredSecret(sql: Sql): Promise<string | undefined> {
  const [row] = await sql<{ secret: string }[]>`select secret from _db_gateway_secret`
  return row?.secret
}

/** Writes down that the catalog has databases of schemas. */
export async function noteSchemas(sql: Sql): Promise<void> {
  await sql`
    update _db_gateway_catalog set version = ${SCHEMAS_VERSION} where version < ${SCHEMAS_VERSION}
  `
}

/** Writes down which secret is in force. */
export async function setFingerprint(sql: Sql, fingerprint: string): Promise<void> {
  await sql`
    update _db_gateway_catalog set secret_fingerprint = ${fingerprint}
    where secret_fingerprint is distinct from ${fingerprint}
  `
}
