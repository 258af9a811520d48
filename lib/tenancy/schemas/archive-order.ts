import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * SQL for the table of which archives the databases of each schema of a platform have had, in the
 * order of `first_deployed_at`; `schema_name` null: those without a schema. `left_at`: a database was
 * taken back from it to an older one. Takes over what a gateway of before has written, which knew of
 * one schema an archive. The other tables of the catalog exist, with all columns.
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

/**
 * A part of a query, in parentheses: the checksum of the newest archive of each of the platform's
 * schemas (`schema_name` null: of its databases without one), which is the one that came last. One that
 * a database was taken back from counts only while some database of the schema has it.
 */
export function newestArchives(sql: Sql, platform: string) {
  return sql`(
    select distinct on (a.schema_name) a.schema_name, a.checksum
    from _db_gateway_schema_archives a
    where a.platform = ${platform} and (
      a.left_at is null or exists (
        select from _db_gateway_databases d
        where d.platform = a.platform and d.schema_name is not distinct from a.schema_name
          and d.schema_checksum = a.checksum
      )
    )
    order by a.schema_name, a.first_deployed_at desc
  )`
}

/**
 * How an archive stands to another one in a schema of the platform (null: in its databases without one):
 * it came `before` that one; so it did, but a database has `left` that one for it, or for one between
 * them; `not` so, or the schema's databases have not had both.
 */
export type Standing = 'before' | 'left' | 'not'

/** How an archive stands to the one with the checksum `than`. */
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
