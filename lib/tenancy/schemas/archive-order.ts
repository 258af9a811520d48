import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * SQL that creates the table of the archives that the databases of each schema have had, ordered by
 * `first_deployed_at`. `schema_name` null stands for databases without a schema. `left_at` is the
 * time when a database went back from the archive to an older one. Copies the rows of older
 * gateways, which recorded one schema an archive. Requires the other tables of the catalog, with
 * all columns.
 */
export const CREATE_ARCHIVE_ORDER = `
  create table if not exists _db_gateway_schema_archives (
    platform text not null,
    schema_name text,
    checksum text not null,
    first_deployed_at timestamptz not null default now(),
    left_at timestamptz,
    unique nulls not distinct (platform, schema_name, checksum)
  );
  insert into _db_gateway_schema_archives (platform, schema_name, checksum, first_deployed_at, left_at)
  select platform, schema_name, checksum, first_deployed_at, left_at
  from _db_gateway_archives
  on conflict do nothing;
  insert into _db_gateway_schema_archives (platform, schema_name, checksum, first_deployed_at)
  select platform, schema_name, schema_checksum, coalesce(min(last_deployed_at), now())
  from _db_gateway_databases
  where schema_checksum is not null
  group by platform, schema_name, schema_checksum
  on conflict do nothing
`

/** The newest archive of a schema of a platform; `schema_name` null: of the databases without one. */
export interface NewestArchive {
  platform: string
  schema_name: string | null
  checksum: string
}

/**
 * Returns a subquery in parentheses: the checksum of the newest archive of each schema of the
 * platform, or of all platforms (`schema_name` null: of the databases without a schema). An archive
 * that a database went back from counts only while a database of the schema has it.
 * @param given those of another catalog, which has the platform's archives
 */
export function newestArchives(sql: Sql, platform?: string, given?: NewestArchive[]) {
  if (given) {
    return sql`(
      select * from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb)
        as t (platform text, schema_name text, checksum text)
    )`
  }
  return sql`(
    select distinct on (a.platform, a.schema_name) a.platform, a.schema_name, a.checksum
    from _db_gateway_schema_archives a
    where ${platform === undefined ? sql`` : sql`a.platform = ${platform} and`} (
      a.left_at is null or exists (
        select from _db_gateway_databases d
        where d.platform = a.platform and d.schema_name is not distinct from a.schema_name
          and d.schema_checksum = a.checksum
      )
    )
    order by a.platform, a.schema_name, a.first_deployed_at desc
  )`
}

/** Reads what `newestArchives` selects. */
export function readAllNewest(sql: Sql, platform?: string): Promise<NewestArchive[]> {
  return sql<NewestArchive[]>`
    select platform, schema_name, checksum from ${newestArchives(sql, platform)} as newest
  `
}

/** The checksum of the newest archive of a schema of the platform, as above; undefined before the first. */
export async function readNewest(
  sql: Sql,
  { platform, schema }: { platform: string; schema: string | null },
): Promise<string | undefined> {
  const [row] = await sql<{ checksum: string }[]>`
    select checksum from ${newestArchives(sql, platform)} as newest
    where schema_name is not distinct from ${schema}
  `
  return row?.checksum
}

/**
 * Returns the checksum of the archive that databases of the same schema had first before this one;
 * undefined if it is the first, or not known.
 */
export async function readPrevious(
  sql: Sql,
  platform: string,
  checksum: string,
): Promise<string | undefined> {
  const [row] = await sql<{ checksum: string }[]>`
    select b.checksum
    from _db_gateway_schema_archives a
    join _db_gateway_schema_archives b
      on b.platform = a.platform and b.schema_name is not distinct from a.schema_name
        and b.first_deployed_at < a.first_deployed_at
    where a.platform = ${platform} and a.checksum = ${checksum}
    order by b.first_deployed_at desc
    limit 1
  `
  return row?.checksum
}

/**
 * Order of an archive against another one of the same schema (null: of the databases without a
 * schema).
 * - `before`: it was deployed first before the other one.
 * - `left`: the same, and a database has since gone back from the other one to it, or to one
 *   between them.
 * - `not`: it came later, or the schema's databases have not had both.
 */
export type Standing = 'before' | 'left' | 'not'

/** Returns the order of an archive against the one with the checksum `than`. */
export async function readStanding(
  sql: Sql,
  {
    platform,
    schema,
    checksum,
    than,
  }: { platform: string; schema: string | null; checksum: string; than: string },
): Promise<Standing> {
  const [row] = await sql<{ is_left: boolean }[]>`
    select b.left_at is not null as is_left
    from _db_gateway_schema_archives a
    join _db_gateway_schema_archives b
      on b.platform = a.platform and b.schema_name is not distinct from a.schema_name
    where a.platform = ${platform} and a.schema_name is not distinct from ${schema}
      and a.checksum = ${checksum} and b.checksum = ${than}
      and a.first_deployed_at < b.first_deployed_at
  `
  if (!row) return 'not'
  return row.is_left ? 'left' : 'before'
}
