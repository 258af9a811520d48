import type { Sql } from '../../postgres/pools/connection.ts'

/** An archive that a database on another server than `main` has. */
export interface ArchiveElsewhere {
  platform: string
  /** Schema of the database; null if it has none. */
  schema: string | null
  checksum: string
  /** `back`: the database went back to it, so that later archives are left. `seen`: it was found. */
  how: 'deployed' | 'back' | 'seen'
  /** Time of the deploy, ISO 8601; undefined means now. */
  deployedAt?: string | undefined
}

/**
 * Records an archive that a database on another server has in the catalog of `main`, which has the
 * archives of all servers' databases and their order.
 * @returns true if its tar.gz is kept
 */
export async function noteArchive(sql: Sql, archive: ArchiveElsewhere): Promise<boolean> {
  const { platform, schema, checksum, how, deployedAt = null } = archive
  const [row] = await sql<[{ is_kept: boolean }]>`
    with kept as (
      select from _db_gateway_archives
      where platform = ${platform} and checksum = ${checksum} and packed is not null
    ), archive as (
      insert into _db_gateway_archives (
        platform, checksum, first_deployed_at, last_deployed_at, schema_name
      )
      values (
        ${platform}, ${checksum}, coalesce(${deployedAt}::timestamptz, now()), now(), ${schema}
      )
      on conflict (platform, checksum) do update set last_deployed_at = now()
        where ${how !== 'seen'}
    ), in_order as (
      insert into _db_gateway_schema_archives (platform, schema_name, checksum, first_deployed_at)
      values (${platform}, ${schema}, ${checksum}, coalesce(${deployedAt}::timestamptz, now()))
      on conflict (platform, schema_name, checksum) do update set left_at = null
        where ${how !== 'seen'}
    ), later as (
      update _db_gateway_schema_archives l
      set left_at = now()
      from _db_gateway_schema_archives a
      where ${how === 'back'} and a.platform = ${platform} and a.checksum = ${checksum}
        and a.schema_name is not distinct from ${schema}
        and l.platform = a.platform and l.schema_name is not distinct from a.schema_name
        and l.first_deployed_at > a.first_deployed_at and l.left_at is null
    )
    select exists (select from kept) as is_kept
  `
  return row.is_kept
}

/**
 * Returns what the catalog of `main` knows of an archive.
 * @returns `isInOrder`: databases of the schema have had it; `isKept`: its tar.gz is kept, or was
 */
export async function readArchive(
  sql: Sql,
  { platform, schema, checksum }: Pick<ArchiveElsewhere, 'platform' | 'schema' | 'checksum'>,
): Promise<{ isInOrder: boolean; isKept: boolean }> {
  const [row] = await sql<[{ isInOrder: boolean; isKept: boolean }]>`
    select
      exists (
        select from _db_gateway_schema_archives
        where platform = ${platform} and schema_name is not distinct from ${schema}
          and checksum = ${checksum}
      ) as "isInOrder",
      exists (
        select from _db_gateway_archives
        where platform = ${platform} and checksum = ${checksum}
          and (packed is not null or last_deployed_at is not null)
      ) as "isKept"
  `
  return row
}
