import { addMissingColumn, createTables, whereMissing } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Owner } from '../names.ts'
import { CREATE_ARCHIVE_ORDER } from './archive-order.ts'

/** An archive of a platform. Times are ISO 8601. */
export interface KnownArchive {
  checksum: string
  first_deployed_at: string
  /** Time of the last deploy; null if it came before gateways recorded it. */
  last_deployed_at: string | null
  /** Size of the tar.gz in bytes; null if it is not kept. */
  size_bytes: number | null
  /** Number of databases that have it, according to the catalog. */
  databases: number
}

/**
 * Adds the columns of archives to the catalog's tables, which must exist:
 * - `packed`: the tar.gz, for the last KEPT_ARCHIVES of each schema of a platform.
 * - `left_at`: written by older gateways; see `archive-order.ts`.
 * - `schema_name`: schema of the first database that had the archive; null for a database without
 *   a schema.
 * - `seen_oid` of a database: oid of the database whose ledger the catalog's copy was taken from.
 */
export async function prepareArchives(sql: Sql): Promise<void> {
  // Add only missing columns: "add column if not exists" locks the table even if the column exists.
  await createTables(
    sql,
    `
    ${whereMissing(
      '_db_gateway_archives',
      'packed',
      `alter table _db_gateway_archives
        add column last_deployed_at timestamptz,
        add column left_at timestamptz,
        add column packed bytea;
      -- The tar.gz is already compressed.
      alter table _db_gateway_archives alter column packed set storage external`,
    )};
    ${addMissingColumn('_db_gateway_archives', 'schema_name', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'seen_oid', 'oid')};
    ${CREATE_ARCHIVE_ORDER}
  `,
  )
}

/**
 * Compares the archive found in a database with the catalog's record.
 * @returns `isWritten`: the catalog records it; `instead`: the archive that it records; `isKept`:
 *   the tar.gz is kept, or was; `hasFailed`: the last deploy that is recorded failed
 */
export async function readSchema(
  sql: Sql,
  { database, platform, checksum }: { database: string; platform: string; checksum: string },
): Promise<{ isWritten: boolean; instead: string | null; isKept: boolean; hasFailed: boolean }> {
  const [row] = await sql<
    {
      is_current: boolean
      checksum: string | null
      is_in_order: boolean
      is_kept: boolean
      has_failed: boolean
    }[]
  >`
    select
      d.oid is not distinct from c.seen_oid as is_current,
      c.schema_checksum as checksum,
      exists (
        select from _db_gateway_schema_archives a
        where a.platform = c.platform and a.schema_name is not distinct from c.schema_name
          and a.checksum = ${checksum}
      ) as is_in_order,
      -- a row with last_deployed_at and without packed was kept before and has been discarded since
      exists (
        select from _db_gateway_archives
        where platform = ${platform} and checksum = ${checksum}
          and (packed is not null or last_deployed_at is not null)
      ) as is_kept,
      coalesce((
        select status = 'failed' from _db_gateway_deployments
        where database = ${database}
        order by deployed_at desc, id desc
        limit 1
      ), false) as has_failed
    from _db_gateway_databases c
    left join pg_database d on d.datname = c.database
    where c.database = ${database}
  `
  // Without a row the database was removed from the catalog in the meantime: there is nothing to
  // record.
  const {
    is_current: isCurrent = true,
    checksum: written = checksum,
    is_in_order: isInOrder = true,
    is_kept: isKept = true,
    has_failed: hasFailed = false,
  } = row ?? {}
  const isWritten = isCurrent && isInOrder && written === checksum
  return { isWritten, instead: written, isKept, hasFailed }
}

/**
 * Stores the tar.gz of an archive that the catalog has, and discards those beyond the last `most`
 * of each schema of the platform, ordered by their last deploy.
 */
export async function keepArchive(
  sql: Sql,
  archive: { platform: string; checksum: string; packed: Uint8Array },
  most: number,
): Promise<void> {
  const { platform, checksum, packed } = archive
  if (most > 0) {
    await sql`
      update _db_gateway_archives
      set packed = decode(${Buffer.from(packed).toString('base64')}, 'base64'), last_deployed_at = coalesce(last_deployed_at, now())
      where platform = ${platform} and checksum = ${checksum} and packed is null
    `
  }
  await sql`
    update _db_gateway_archives a set packed = null
    where a.platform = ${platform} and a.packed is not null and a.checksum not in (
      select checksum
      from (
        select k.checksum, row_number() over (
            partition by s.schema_name
            order by coalesce(k.last_deployed_at, k.first_deployed_at) desc
          ) as place
        from _db_gateway_archives k
        join _db_gateway_schema_archives s on s.platform = k.platform and s.checksum = k.checksum
        where k.platform = ${platform} and k.packed is not null
      ) as ranked
      where place <= ${most}::bigint
    )
  `
}

/** A schema of a platform; null stands for its databases without a schema. */
type PlatformSchema = Pick<Owner, 'platform' | 'schema'>

/**
 * Returns the tar.gz of an archive, or undefined if it is not kept or no database of the schema has
 * had it.
 */
export async function readPacked(
  sql: Sql,
  { platform, schema }: PlatformSchema,
  checksum: string,
): Promise<Buffer | undefined> {
  const [row] = await sql<{ packed: string | null }[]>`
    select encode(packed, 'base64') as packed
    from _db_gateway_archives
    join _db_gateway_schema_archives s using (platform, checksum)
    where platform = ${platform} and checksum = ${checksum}
      and s.schema_name is not distinct from ${schema}
  `
  return row?.packed ? Buffer.from(row.packed, 'base64') : undefined
}

/** Returns the tar.gz of an archive of a platform, whichever schema had it; undefined if it is not kept. */
export async function readPackedOfAny(
  sql: Sql,
  platform: string,
  checksum: string,
): Promise<Buffer | undefined> {
  const [row] = await sql<{ packed: string | null }[]>`
    select encode(packed, 'base64') as packed from _db_gateway_archives
    where platform = ${platform} and checksum = ${checksum}
  `
  return row?.packed ? Buffer.from(row.packed, 'base64') : undefined
}

/** Returns the checksums of the archives that are kept for a schema, the newest first. */
export async function listKept(sql: Sql, { platform, schema }: PlatformSchema): Promise<string[]> {
  const rows = await sql<{ checksum: string }[]>`
    select checksum
    from _db_gateway_archives a
    join _db_gateway_schema_archives s using (platform, checksum)
    where platform = ${platform} and s.schema_name is not distinct from ${schema}
      and a.packed is not null
    order by s.first_deployed_at desc
  `
  return rows.map(({ checksum }) => checksum)
}

/** Returns the archives of a platform, the newest first. */
export async function listArchives(sql: Sql, platform: string): Promise<KnownArchive[]> {
  return sql<KnownArchive[]>`
    select
      checksum,
      to_json(first_deployed_at) as first_deployed_at,
      to_json(last_deployed_at) as last_deployed_at,
      length(packed) as size_bytes,
      coalesce(n.databases, 0) as databases
    from _db_gateway_archives a
    left join (
      select schema_checksum, count(*)::integer as databases
      from _db_gateway_databases
      where platform = ${platform}
      group by schema_checksum
    ) as n on n.schema_checksum = a.checksum
    where platform = ${platform}
    order by a.first_deployed_at desc
  `
}

/** Returns whether an archive was deployed to other platforms, and never to this one. */
export async function isArchiveOfOthers(
  sql: Sql,
  platform: string,
  checksum: string,
): Promise<boolean> {
  const [row] = await sql<{ is_of_others: boolean }[]>`
    select not bool_or(platform = ${platform}) as is_of_others
    from _db_gateway_archives where checksum = ${checksum}
  `
  return row?.is_of_others ?? false
}
