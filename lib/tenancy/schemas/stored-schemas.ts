import type { SchemaArchive } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { inTransaction } from '../../postgres/transaction.ts'

/** Sections that an archive has. */
export interface Sections {
  has_tables: boolean
  has_functions: boolean
  has_migrations: boolean
  has_seeders: boolean
}

/** An archive stored for a platform under a name, without its tar.gz. */
export interface StoredSchema extends Sections {
  name: string
  /** Checksum of the archive, as /register returns it. */
  checksum: string
}

/** Returns which sections an archive has. */
export function sectionsOf({ files }: Pick<SchemaArchive, 'files'>): Sections {
  return {
    has_tables: files.tables.length > 0,
    has_functions: files.functions.length > 0,
    has_migrations: files.migrations.length > 0,
    has_seeders: files.seeders.length > 0,
  }
}

/** Creates the table of stored schemas in the administrative database if it does not exist. */
export async function prepareStored(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_schemas (
      platform text not null,
      -- as requests write it
      name text not null,
      checksum text not null,
      -- the tar.gz
      packed bytea not null,
      has_tables boolean not null,
      has_functions boolean not null,
      has_migrations boolean not null,
      has_seeders boolean not null,
      stored_at timestamptz not null default now(),
      primary key (platform, name)
    );
    -- The tar.gz is already compressed.
    do $do$ begin
      if (select attstorage from pg_attribute
        where attrelid = '_db_gateway_schemas'::regclass and attname = 'packed') <> 'e'
      then
        alter table _db_gateway_schemas alter column packed set storage external;
      end if;
    end $do$
  `,
  )
}

/**
 * Stores an archive under a name, and replaces the one that has the name.
 * @param limit maximum number of names of a platform
 * @throws {GatewayError} too_many_schemas if a new name would exceed the limit
 */
export async function storeSchema(
  sql: Sql,
  platform: string,
  schema: StoredSchema & { packed: Uint8Array },
  limit: number,
): Promise<void> {
  await inTransaction(sql, async () => {
    // The lock serialises the count, so that concurrent stores cannot exceed the limit.
    await sql`
      select pg_advisory_xact_lock(hashtext('_db_gateway_schemas'), hashtext(${platform}))
    `
    await checkLimit(sql, platform, schema.name, limit)
    await writeSchema(sql, platform, schema)
  })
}

async function checkLimit(sql: Sql, platform: string, name: string, limit: number): Promise<void> {
  const [row] = await sql<[{ others: number; is_there: boolean }]>`
    select
      count(*) filter (where name <> ${name})::integer as others,
      count(*) filter (where name = ${name}) > 0 as is_there
    from _db_gateway_schemas where platform = ${platform}
  `
  if (row.is_there || row.others < limit) return
  throw new GatewayError(
    'too_many_schemas',
    `Platform ${platform} has ${row.others} stored schemas; the limit is ${limit} (STORED_SCHEMAS_PER_PLATFORM)`,
    { hint: 'Store it under a name that exists, or raise STORED_SCHEMAS_PER_PLATFORM' },
  )
}

async function writeSchema(
  sql: Sql,
  platform: string,
  schema: StoredSchema & { packed: Uint8Array },
): Promise<void> {
  const packed = Buffer.from(schema.packed).toString('base64')
  await sql`
    insert into _db_gateway_schemas (
      platform, name, checksum, packed, has_tables, has_functions, has_migrations, has_seeders
    )
    values (
      ${platform}, ${schema.name}, ${schema.checksum}, decode(${packed}, 'base64'),
      ${schema.has_tables}, ${schema.has_functions}, ${schema.has_migrations},
      ${schema.has_seeders}
    )
    on conflict (platform, name) do update set
      checksum = excluded.checksum,
      packed = excluded.packed,
      has_tables = excluded.has_tables,
      has_functions = excluded.has_functions,
      has_migrations = excluded.has_migrations,
      has_seeders = excluded.has_seeders,
      stored_at = now()
  `
}

/** Returns the stored schemas of a platform, by name. */
export async function listStored(sql: Sql, platform: string): Promise<StoredSchema[]> {
  return sql<StoredSchema[]>`
    select name, checksum, has_tables, has_functions, has_migrations, has_seeders
    from _db_gateway_schemas where platform = ${platform} order by name
  `
}

/**
 * Returns the checksum of the archive stored under a name.
 * @throws {GatewayError} invalid_request with the names that the platform has, if this one does
 *   not exist
 */
export async function readStoredChecksum(
  sql: Sql,
  platform: string,
  name: string,
): Promise<string> {
  const [row] = await sql<{ checksum: string }[]>`
    select checksum from _db_gateway_schemas where platform = ${platform} and name = ${name}
  `
  if (row) return row.checksum
  throw await unknownSchema(sql, platform, name)
}

/**
 * Returns the tar.gz stored under a name.
 * @throws {GatewayError} the errors of `readStoredChecksum`
 */
export async function readStored(sql: Sql, platform: string, name: string): Promise<Buffer> {
  const [row] = await sql<{ packed: string }[]>`
    select encode(packed, 'base64') as packed from _db_gateway_schemas
    where platform = ${platform} and name = ${name}
  `
  if (row) return Buffer.from(row.packed, 'base64')
  throw await unknownSchema(sql, platform, name)
}

async function unknownSchema(sql: Sql, platform: string, name: string): Promise<GatewayError> {
  const names = (await listStored(sql, platform)).map((one) => one.name)
  return new GatewayError(
    'invalid_request',
    names.length === 0
      ? `Platform ${platform} has no stored schema: POST /platform/${platform}/schema stores one`
      : `Platform ${platform} has no stored schema "${name}"; it has ${names.join(', ')}`,
  )
}
