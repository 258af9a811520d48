import type { Sql } from '../postgres/connection.ts'
import { addMissingColumn, createTables } from '../postgres/create-tables.ts'

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
 * - `packed`: the tar.gz, of the last KEPT_ARCHIVES of a platform.
 * - `left_at`: a database was taken back from it to an older one.
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
    do $do$ begin
      if not exists (
        select from pg_attribute
        where attrelid = '_db_gateway_archives'::regclass and attname = 'packed'
      ) then
        alter table _db_gateway_archives
          add column last_deployed_at timestamptz,
          add column left_at timestamptz,
          add column packed bytea;
        -- It is compressed already.
        alter table _db_gateway_archives alter column packed set storage external;
      end if;
    end $do$;
    ${addMissingColumn('_db_gateway_archives', 'schema_name', 'text')};
    ${addMissingColumn('_db_gateway_databases', 'seen_oid', 'oid')}
  `,
  )
}

/**
 * A part of a query, in parentheses: the checksum of the newest archive of each of the platform's
 * schemas (`schema_name` null: of its databases without one), which is the one that came last. One that
 * a database was taken back from counts only while some database has it.
 */
export function newestArchives(sql: Sql, platform: string) {
  return sql`(
    select distinct on (a.schema_name) a.schema_name, a.checksum
    from _db_gateway_archives a
    where a.platform = ${platform} and (
      a.left_at is null or exists (
        select from _db_gateway_databases d
        where d.platform = a.platform and d.schema_checksum = a.checksum
      )
    )
    order by a.schema_name, a.first_deployed_at desc
  )`
}

/**
 * How an archive stands to another one of its platform: it came `before` that one; so it did, but a
 * database has `left` that one for it, or for one between them; `not` so, or the catalog does not know both.
 */
export type Standing = 'before' | 'left' | 'not'

/** How an archive stands to the one with the checksum `than`. */
export async function readStanding(
  sql: Sql,
  { platform, checksum, than }: { platform: string; checksum: string; than: string },
): Promise<Standing> {
  const [row] = await sql<{ is_left: boolean }[]>`
    select b.left_at is not null as is_left from _db_gateway_archives a
    join _db_gateway_archives b using (platform)
    where platform = ${platform} and a.checksum = ${checksum} and b.checksum = ${than}
      and a.first_deployed_at < b.first_deployed_at
  `
  if (!row) return 'not'
  return row.is_left ? 'left' : 'before'
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
        do update set last_deployed_at = now(), left_at = null
        where ${!seen}
    ), later as (
      update _db_gateway_archives
      set left_at = now()
      where ${how === 'back'} and platform = ${platform} and left_at is null
        and schema_name is not distinct from (select schema_name from own)
        and first_deployed_at > (
          select first_deployed_at from _db_gateway_archives
          where platform = ${platform} and checksum = ${checksum}::text
        )
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
  const [row] = await sql<{ is_current: boolean; checksum: string | null; is_kept: boolean }[]>`
    select
      d.oid is not distinct from c.seen_oid as is_current,
      c.schema_checksum as checksum,
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
    is_kept: isKept = true,
  } = row ?? {}
  return { isWritten: isCurrent && written === checksum, instead: written, isKept }
}

/**
 * Keeps the tar.gz of an archive that the catalog knows, and those of the last `most` of the
 * platform, by when they were deployed last.
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
      select checksum from _db_gateway_archives
      where platform = ${platform} and packed is not null
      order by coalesce(last_deployed_at, first_deployed_at) desc
      limit ${most}
    )
  `
}

/** The tar.gz of an archive; undefined where it is not kept. */
export async function readPacked(
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
