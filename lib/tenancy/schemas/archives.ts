import { addMissingColumn, createTables, whereMissing } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Owner } from '../names.ts'
import { CREATE_ARCHIVE_ORDER } from './archive-order.ts'

/** One archive of a platform. Times are ISO 8601. */
export interface KnownArchive {
  checksum: string
  first_deployed_at: string
  /** Null where that was before the gateway wrote it down. */
  last_deployed_at: string | null
  /** Of the tar.gz that is kept; null where none is. */
  size_bytes: number | null
  /** How many databases have it, as far as the catalog knows. */
  databases: number
}

/**
 * Adds what the catalog knows of archives beside that they were deployed:
 * - `packed`: the tar.gz, of the last KEPT_ARCHIVES of each schema of a platform.
 * - `left_at`: of gateways of before; see `archive-order.ts`.
 * - `schema_name`: of the database that had it first; null: that has no schema.
 * - `seen_oid` of a database: whose ledger the copy in the catalog was taken from.
 *
 * The catalog's tables exist.
 */
export async function prepareArchives(sql: Sql): Promise<void> {
  // Only what is missing: adding a column locks the table, even one that is there.
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
      -- It is compressed already.
      alter table _db_gateway_archives alter column packed set storage external`,
    )};
    ${addMissingColumn('_db_gateway_archives', 'schema_name', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'seen_oid', 'oid')};
    ${CREATE_ARCHIVE_ORDER}
  `,
  )
}

/** Which archive a database has. */
export interface NewSchema {
  database: string
  platform: string
  /** Null: its ledger knows of no deploy. */
  checksum: string | null
  /**
   * `deployed`: just now. `back`: just now, and it is older than the one before it, so that those
   * that came after it are left. `seen`: the database was found to have it; the catalog is not
   * changed where it does not say `instead` any more, since a deploy has come between.
   */
  how: 'deployed' | 'back' | { seen: true; instead: string | null }
  /** What its functions are known by, where that was read after the deploy. */
  functions?: { digest: string; version: string } | undefined
  /** ISO 8601; undefined: now. */
  deployedAt?: string | undefined
}

/**
 * Writes down which archive a database has: a copy of what its own ledger says, for an overview.
 * @returns whether the archive itself is kept
 */
export async function writeSchema(sql: Sql, schema: NewSchema): Promise<boolean> {
  const { database, platform, checksum, how, functions, deployedAt = null } = schema
  const seen = typeof how === 'object' ? how : undefined
  const [row] = await sql<{ is_kept: boolean }[]>`
    with own as (
      select schema_name from _db_gateway_databases where database = ${database}
    ), kept as (
      select from _db_gateway_archives
      where platform = ${platform} and checksum = ${checksum}::text and packed is not null
    ), archive as (
      insert into _db_gateway_archives (
        platform, checksum, first_deployed_at, last_deployed_at, schema_name
      )
      select ${platform}, ${checksum}::text, coalesce(${deployedAt}::timestamptz, now()), now(),
        (select schema_name from own)
      where ${checksum}::text is not null
      on conflict (platform, checksum)
        do update set last_deployed_at = now()
        where ${!seen}
    ), in_order as (
      insert into _db_gateway_schema_archives (platform, schema_name, checksum, first_deployed_at)
      select ${platform}, schema_name, ${checksum}::text, coalesce(${deployedAt}::timestamptz, now())
      from own
      where ${checksum}::text is not null
      on conflict (platform, schema_name, checksum)
        do update set left_at = null
        where ${!seen}
    ), later as (
      update _db_gateway_schema_archives l
      set left_at = now()
      from _db_gateway_schema_archives a
      join own on own.schema_name is not distinct from a.schema_name
      where ${how === 'back'} and a.platform = ${platform} and a.checksum = ${checksum}::text
        and l.platform = a.platform and l.schema_name is not distinct from a.schema_name
        and l.first_deployed_at > a.first_deployed_at and l.left_at is null
    ), copy as (
      update _db_gateway_databases
      set schema_checksum = ${checksum}::text,
        last_deployed_at = case
          when ${checksum}::text is not null then coalesce(${deployedAt}::timestamptz, now())
        end,
        functions_digest = ${functions?.digest ?? null},
        functions_version = ${functions?.version ?? null},
        seen_oid = (select oid from pg_database where datname = ${database})
      where database = ${database}
        and (${!seen} or schema_checksum is not distinct from ${seen?.instead ?? null}::text)
    )
    select exists (select from kept) as is_kept
  `
  return row!.is_kept
}

/**
 * What the catalog knows of an archive that a database is found to have: whether that stands in it,
 * or which archive `instead`; and whether the archive is kept, or has been.
 */
export async function readSchema(
  sql: Sql,
  { database, platform, checksum }: { database: string; platform: string; checksum: string },
): Promise<{ isWritten: boolean; instead: string | null; isKept: boolean }> {
  const [row] = await sql<
    { is_current: boolean; checksum: string | null; is_in_order: boolean; is_kept: boolean }[]
  >`
    select
      d.oid is not distinct from c.seen_oid as is_current,
      c.schema_checksum as checksum,
      exists (
        select from _db_gateway_schema_archives a
        where a.platform = c.platform and a.schema_name is not distinct from c.schema_name
          and a.checksum = ${checksum}
      ) as is_in_order,
      -- One that was deployed lately and is not kept any more has had its time.
      exists (
        select from _db_gateway_archives
        where platform = ${platform} and checksum = ${checksum}
          and (packed is not null or last_deployed_at is not null)
      ) as is_kept
    from _db_gateway_databases c
    left join pg_database d on d.datname = c.database
    where c.database = ${database}
  `
  // Without a row, whoever takes the database out of the catalog has come between.
  const {
    is_current: isCurrent = true,
    checksum: written = checksum,
    is_in_order: isInOrder = true,
    is_kept: isKept = true,
  } = row ?? {}
  return { isWritten: isCurrent && isInOrder && written === checksum, instead: written, isKept }
}

/**
 * Keeps the tar.gz of an archive that the catalog knows, and those of the last `most` of each schema
 * of the platform, by when they were deployed last.
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

/** A schema of a platform; null: what its databases without one have. */
type PlatformSchema = Pick<Owner, 'platform' | 'schema'>

/** The tar.gz of an archive; undefined where it is not kept, or no database of the schema has had it. */
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

/** The checksums of the archives that are kept for a schema, the one that came last first. */
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

/** The archives of a platform, the one that came last first. */
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
