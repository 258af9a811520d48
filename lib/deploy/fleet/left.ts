import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** Archives of a platform that are remembered. */
const MAX_ARCHIVES = 20

/** Creates the table of the databases that each /migrate has not finished, if it does not exist. */
export async function prepareLeft(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_left (
      -- the platform, or the key of the platform's schema (ownerKey)
      platform text not null,
      archive_checksum text not null,
      migrated_at timestamptz not null default now(),
      -- databases that no /migrate of the archive to several databases has brought to it since one began
      databases text[] not null,
      primary key (platform, archive_checksum)
    )
  `,
  )
}

/**
 * Records that a /migrate of the archive to these databases begins. It is recorded before the first
 * database starts, so that a gateway that is killed leaves the list of unfinished databases. Those that
 * an earlier /migrate has not finished stay listed: this one may be of some databases only.
 */
export async function beginLeft(
  sql: Sql,
  platform: string,
  checksum: string,
  databases: string[],
): Promise<void> {
  await sql`
    with old as (
      delete from _db_gateway_left
      where platform = ${platform} and archive_checksum in (
        select archive_checksum from _db_gateway_left
        where platform = ${platform} and archive_checksum <> ${checksum}
        order by migrated_at desc
        offset ${MAX_ARCHIVES - 1}
      )
    )
    insert into _db_gateway_left as l (platform, archive_checksum, databases)
    values (${platform}, ${checksum}, ${namesIn(sql, databases)})
    on conflict (platform, archive_checksum) do update set
      databases = array(select unnest(l.databases) union select unnest(excluded.databases)),
      migrated_at = now()
  `
}

/** Removes databases that have the archive now from the list. */
export async function reduceLeft(
  sql: Sql,
  platform: string,
  checksum: string,
  done: string[],
): Promise<void> {
  await sql`
    update _db_gateway_left
    set databases = array(select unnest(databases) except select unnest(${namesIn(sql, done)}))
    where platform = ${platform} and archive_checksum = ${checksum}
  `
}

/**
 * Returns the databases that no /migrate of the archive has brought to it; undefined if no
 * such /migrate is known.
 */
export async function readLeft(
  sql: Sql,
  platform: string,
  checksum: string,
): Promise<Set<string> | undefined> {
  const [row] = await sql<{ databases: string[] }[]>`
    select to_json(databases) as databases from _db_gateway_left
    where platform = ${platform} and archive_checksum = ${checksum}
  `
  return row && new Set(row.databases)
}

/** Has the lists of unfinished databases follow one that gets another name. */
export async function moveLeft(sql: Sql, from: string, to: string): Promise<void> {
  await sql`
    update _db_gateway_left
    set databases = array_replace(array_remove(databases, ${to}), ${from}, ${to})
    where ${from} = any (databases) and ${from}::text <> ${to}::text
  `
}

/** Adds a copy to the lists of unfinished databases that its source is in. */
export async function copyLeft(sql: Sql, from: string, to: string): Promise<void> {
  await sql`
    update _db_gateway_left set databases = array_append(array_remove(databases, ${to}), ${to})
    where ${from} = any (databases)
  `
}

/**
 * Passes names as one JSON parameter; for an array the driver would have to know the server's array
 * types.
 */
function namesIn(sql: Sql, names: string[]) {
  return sql`array(select json_array_elements_text(${JSON.stringify(names)}::text::json))`
}
