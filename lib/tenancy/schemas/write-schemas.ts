import type { Sql } from '../../postgres/pools/connection.ts'
import { RECORDED_BY } from '../recorded-by.ts'

/** What databases have come to. */
interface NewState {
  platform: string
  /** Null if the database's ledger records no deploy. */
  checksum: string | null
  /**
   * How the database came to the archive. `deployed`: by a deploy just now. `back`: by a deploy
   * just now, to an archive older than the one before it; later archives are marked as left.
   * `seen`: it was found in the database. The catalog's row is then updated only if it still names
   * the archive `instead`; otherwise a deploy has changed it in the meantime.
   */
  how: 'deployed' | 'back' | { seen: true; instead: string | null }
  /** Time of the deploy, ISO 8601; undefined means now. */
  deployedAt?: string | undefined
}

/** A database that has an archive. */
export interface OfDatabase {
  database: string
  /** Digest and version of its functions, if they were read after the deploy. */
  functions?: { digest: string; version: string } | undefined
}

/** The archive that a database has. */
export interface NewSchema extends NewState, OfDatabase {}

/**
 * Records the archive of a database. The record is a copy of the database's own ledger, for
 * overviews.
 * @returns true if the archive's tar.gz is kept
 */
export function writeSchema(sql: Sql, schema: NewSchema): Promise<boolean> {
  return writeSchemas(sql, schema, [schema])
}

/**
 * As `writeSchema`, for several databases of a platform that have come to the same archive.
 * @param by who writes it, for the notification: see `RECORDED_BY`
 */
export async function writeSchemas(
  sql: Sql,
  { platform, checksum, how, ...more }: NewState,
  databases: OfDatabase[],
  by = '',
): Promise<boolean> {
  const seen = typeof how === 'object' ? how : undefined
  const deployedAt = more.deployedAt ?? null
  const given = databases.map(({ database, functions }) => ({ database, ...functions }))
  const [row] = await sql<{ is_kept: boolean }[]>`
    with given as materialized (
      select database, digest, version, set_config(${RECORDED_BY}, ${by}, true)
      from jsonb_to_recordset(${JSON.stringify(given)}::text::jsonb)
        as r (database text, digest text, version text)
    ), own as (
      select distinct schema_name
      from _db_gateway_databases
      where database in (select database from given)
    ), kept as (
      select from _db_gateway_archives
      where platform = ${platform} and checksum = ${checksum}::text and packed is not null
    ), archive as (
      insert into _db_gateway_archives (
        platform, checksum, first_deployed_at, last_deployed_at, schema_name
      )
      select ${platform}, ${checksum}::text, coalesce(${deployedAt}::timestamptz, now()), now(),
        (select schema_name from own limit 1)
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
      update _db_gateway_databases d
      set schema_checksum = ${checksum}::text,
        last_deployed_at = case
          when ${checksum}::text is not null then coalesce(${deployedAt}::timestamptz, now())
        end,
        functions_digest = given.digest,
        functions_version = given.version,
        seen_oid = (select p.oid from pg_database p where p.datname = given.database)
      from given
      where d.database = given.database
        and (${!seen} or d.schema_checksum is not distinct from ${seen?.instead ?? null}::text)
    )
    select exists (select from kept) as is_kept
  `
  return row!.is_kept
}
