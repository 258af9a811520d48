import { addMissingColumn, createTables, whereMissing } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { type Hold, type HoldRow, holdOf } from '../hold.ts'
import type { Labels } from '../labels.ts'
import type { StoredLimits } from '../limits/tenant-limits.ts'
import { databaseName, type Owner } from '../names.ts'
import { DEFAULT_RETRY_AFTER_S, type Suspension } from '../suspension.ts'
import { noteSchemas } from './catalog-identity.ts'
import { CREATIONS } from './creations.ts'
import { MOVED } from './moved-away.ts'
import { TENANT_COLUMNS } from './tenant-columns.ts'

/** One database of the catalog. */
export interface CatalogEntry extends Owner {
  database: string
  /**
   * Role of the platform, which owns the database; null if the gateway's own role still owns it.
   */
  role: string | null
  /** Null: the database never had a limit. Undefined: not read. */
  limits?: StoredLimits | null | undefined
}

/** A database of the catalog, with the stored schemas deployed to it. */
export interface NamedEntry extends CatalogEntry {
  /** Names of the stored schemas deployed to the database, the latest first. */
  storedSchemas: string[]
  /**
   * True if the database was created by `database_id`: different spellings of its tenant's id name
   * the same tenant.
   */
  isSpelledFreely: boolean
  /** Null: its calls run. */
  suspension: Suspension | null
  /** Null: nothing holds its calls. */
  hold: Hold | null
  /** Name that the database has while it is moved to another server; null: its own. */
  hiddenAs: string | null
  /** Name of the server that it was moved to, of which the catalog has nothing else; null: it is here. */
  movedTo: string | null
}

/** A row of `_db_gateway_databases`. */
export interface Row {
  database: string
  platform: string
  tenant_id: string | null
  schema_name: string | null
  owner_role: string | null
  limits?: StoredLimits | null
}

/** Creates the catalog's tables if they do not exist. */
export async function createCatalog(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
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
      -- null: the platform and the tenant alone name the database
      schema_name text,
      -- name of the stored schema that was deployed last
      stored_schema text,
      -- names of the stored schemas deployed before it
      stored_before text[],
      -- request member that gave the tenant's id: 'database_id', or null for any other
      made_by text,
      unique nulls not distinct (platform, schema_name, tenant_id)
    );
    ${addMissingColumn('_db_gateway_databases', 'owner_role', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'functions_digest', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'functions_version', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'stored_schema', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'stored_before', 'text[]')};
    ${addMissingColumn('_db_gateway_databases', 'made_by', 'text')};
    ${whereMissing(
      '_db_gateway_databases',
      'schema_name',
      `alter table _db_gateway_databases
        add column schema_name text,
        drop constraint if exists _db_gateway_databases_platform_tenant_id_key,
        add unique nulls not distinct (platform, schema_name, tenant_id)`,
    )};
    ${TENANT_COLUMNS};
    create table if not exists _db_gateway_archives (
      platform text not null,
      checksum text not null,
      first_deployed_at timestamptz not null default now(),
      primary key (platform, checksum)
    );
    ${CREATIONS};
    ${MOVED}
  `,
  )
}

interface NamedRow extends Row {
  stored: string[]
  is_spelled_freely: boolean
  suspension: Suspension | null
  hold: HoldRow | null
  hidden_as: string | null
  moved_to: string | null
}

/** Milliseconds after which a database whose move was left by a killed gateway is looked at again. */
const HIDDEN_MS = 1000

/** Returns the entries of these databases, in no particular order. */
export async function readEntries(sql: Sql, databases: string[]): Promise<NamedEntry[]> {
  const entries = await readEntriesOrMoved(sql, databases)
  return entries.filter(({ movedTo }) => movedTo === null)
}

/**
 * As `readEntries`, with those that were moved to another server and have not been made here anew. They
 * tell where to look: the database may have been dropped there since.
 */
export async function readEntriesOrMoved(sql: Sql, databases: string[]): Promise<NamedEntry[]> {
  const names = JSON.stringify(databases)
  const rows = await sql<NamedRow[]>`
    select database, platform, tenant_id, schema_name, owner_role, limits,
      to_json(array_remove(stored_schema || coalesce(stored_before, '{}'), null)) as stored,
      made_by is not distinct from 'database_id' as is_spelled_freely,
      case when suspended_at is not null then json_build_object(
        'message', suspended_message, 'retryAfterS', coalesce(retry_after_s, ${DEFAULT_RETRY_AFTER_S}::integer)
      ) end as suspension,
      case when held_until > now() or hidden_as is not null then json_build_object(
        'for', coalesce(held_for, 'move'), 'retryAfterS', held_retry_s,
        'leftMs', greatest(
          1000 * extract(epoch from held_until - now()),
          case when hidden_as is not null then ${HIDDEN_MS}::integer end
        )
      ) end as hold, hidden_as, null as moved_to
    from _db_gateway_databases
    where database = any (array(select json_array_elements_text(${names}::text::json)))
    union all
    select database, platform, tenant_id, schema_name, null, null, '[]', false, null, null, null, moved_to
    from _db_gateway_moved m
    where database = any (array(select json_array_elements_text(${names}::text::json)))
      and not exists (select from _db_gateway_databases d where d.database = m.database)
  `
  return rows.map((row) => ({
    ...toEntry(row),
    storedSchemas: row.stored,
    isSpelledFreely: row.is_spelled_freely,
    suspension: row.suspension,
    hold: holdOf(row.hold),
    hiddenAs: row.hidden_as,
    movedTo: row.moved_to,
  }))
}

/** Returns the entries of a platform, filtered and ordered as `Catalog.list` documents. */
export async function listEntries(
  sql: Sql,
  platform: string,
  schema?: string | null,
): Promise<CatalogEntry[]> {
  const rows = await sql<Row[]>`
    select database, platform, tenant_id, schema_name, owner_role, limits
    from _db_gateway_databases
    where platform = ${platform}
      ${schema === undefined ? sql`` : sql`and ${isOfSchema(sql, schema)}`}
    order by tenant_id is not null, schema_name is not null, database
  `
  return rows.map(toEntry)
}

/**
 * Returns a query fragment: true for a row that belongs to the schema, or with null to no schema.
 */
function isOfSchema(sql: Sql, schema: string | null) {
  const isMain = sql`(schema_name = 'main' or coalesce(schema_name, tenant_id) is null)`
  return schema === 'main' ? isMain : sql`schema_name is not distinct from ${schema}`
}

/** Parts of an owner; undefined: any. */
export type EntryPart = { [part in 'tenantId' | 'schema']?: string | null | undefined }

/** Returns whether a platform has a database, of this schema and tenant if they are given. */
export async function hasEntry(
  sql: Sql,
  platform: string,
  { tenantId, schema }: EntryPart,
): Promise<boolean> {
  const [found] = await sql`
    select from _db_gateway_databases
    where platform = ${platform}
      ${tenantId === undefined ? sql`` : sql`and tenant_id is not distinct from ${tenantId}`}
      ${schema === undefined ? sql`` : sql`and schema_name is not distinct from ${schema}`}
    limit 1
  `
  return found !== undefined
}

/** Returns the entry named as the owner's database would be, even if another owner holds it. */
export async function readEntry(sql: Sql, owner: Owner): Promise<NamedEntry | undefined> {
  const [entry] = await readEntries(sql, [databaseName(owner)])
  return entry
}

/** What the catalog says of a database from its creation on. */
export interface NewEntry {
  /**
   * 'database_id' if that member gave the id of a tenant without a schema, whose spellings then name
   * one tenant.
   */
  madeBy?: 'database_id' | null
  labels?: Labels
}

/**
 * Adds the owner's database to the catalog and ends its creation (see `CREATIONS`). Calls do not
 * follow a tenant that had the name before: see `readRenamed`.
 * @param sql connection to the administrative database
 */
export async function addEntry(
  sql: Sql,
  owner: Owner,
  role: string | null,
  { madeBy = null, labels = {} }: NewEntry = {},
): Promise<void> {
  await sql`
    with made as (
      delete from _db_gateway_creations where database = ${databaseName(owner)}
    ), former as (
      update _db_gateway_databases set renamed_from = null, renamed_at = null
      where renamed_from = ${databaseName(owner)}
    )
    insert into _db_gateway_databases (database, platform, tenant_id, schema_name, owner_role, made_by, labels)
    values (
      ${databaseName(owner)}, ${owner.platform}, ${owner.tenantId}, ${owner.schema}, ${role},
      ${madeBy}, ${JSON.stringify(labels)}::text::jsonb
    )
  `
  if (owner.schema !== null) await noteSchemas(sql)
}

/** Maximum number of earlier stored schemas that are kept for a database. */
const MAX_BEFORE = 20

/**
 * Records the stored schema that was deployed to a database.
 * @returns true if it differs from the one recorded before
 */
export async function setStoredSchema(sql: Sql, database: string, name: string): Promise<boolean> {
  const { count } = await sql`
    update _db_gateway_databases
    set stored_schema = ${name},
      stored_before = (
        array_remove(array_prepend(stored_schema, array_remove(stored_before, stored_schema)), null)
      )[:${MAX_BEFORE}]
    where database = ${database} and stored_schema is distinct from ${name}
  `
  return count > 0
}

/**
 * Records the role that now owns the owner's database. Does nothing if the database has no entry
 * yet.
 */
export async function setRole(sql: Sql, owner: Owner, role: string | null): Promise<void> {
  await sql`
    update _db_gateway_databases set owner_role = ${role}
    where database = ${databaseName(owner)} and owner_role is distinct from ${role}
  `
}

/** Returns the catalog entry that a row describes. */
export function toEntry(row: Row): CatalogEntry {
  const { database, platform, tenant_id: tenantId, schema_name: schema, owner_role: role } = row
  return { database, platform, tenantId, schema, role, limits: row.limits }
}
