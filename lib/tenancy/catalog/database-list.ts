import type { Sql } from '../../postgres/pools/connection.ts'
import { type NewestArchive, newestArchives } from '../schemas/archive-order.ts'
import { type CatalogEntry, type Row, toEntry } from './catalog-table.ts'

/** A database with its state, for operators. */
export interface ListedDatabase extends CatalogEntry {
  /** True if the catalog has the database and the server does not: it was dropped by hand. */
  isMissing: boolean
  /** Checksum of the archive that was deployed last; null before the first deploy. */
  schemaChecksum: string | null
  /** Time of the last deploy, ISO 8601; null before the first deploy. */
  lastDeployedAt: string | null
  /**
   * True if the database does not have the newest archive of its schema, or of the platform if it
   * has no schema.
   */
  isPending: boolean
  /** True if the catalog describes another database of the same name: this one was restored. */
  isStale: boolean
}

/**
 * A page of the databases of a platform: the main database comes first, then the others by name.
 */
export interface DatabasePage {
  platform: string
  /** Last database of the previous page; undefined requests the first page. */
  after: string | undefined
  limit: number
  /** As in `TenantPage`. */
  isBytewise: boolean
  /** Newest archives of the platform, where another catalog has them. */
  newest?: NewestArchive[] | undefined
}

interface ListedRow extends Row {
  is_missing: boolean
  schema_checksum: string | null
  last_deployed_at: string | null
  pending: boolean
  is_stale: boolean
}

/**
 * Reads a page of a platform's databases.
 * @param main name of the platform's main database
 */
export async function readDatabases(
  sql: Sql,
  { platform, after, limit, isBytewise, newest }: DatabasePage,
  main: string,
): Promise<ListedDatabase[]> {
  const name = isBytewise ? sql`c.database collate "C"` : sql`c.database`
  const isAfterTenant = after !== undefined && after !== main
  const rows = await sql<ListedRow[]>`
    with newest as ${newestArchives(sql, platform, newest)}
    select
      c.database,
      c.platform,
      c.tenant_id,
      c.schema_name,
      c.owner_role,
      c.limits,
      d.oid is null as is_missing,
      c.schema_checksum,
      to_json(c.last_deployed_at) as last_deployed_at,
      newest.checksum is not null
        and c.schema_checksum is distinct from newest.checksum as pending,
      d.oid is distinct from c.seen_oid as is_stale
    from _db_gateway_databases c
    left join newest on newest.schema_name is not distinct from c.schema_name
    left join pg_database d on d.datname = c.database
    where c.platform = ${platform}
      ${after === undefined ? sql`` : sql`and coalesce(c.tenant_id, c.schema_name) is not null`}
      ${isAfterTenant ? sql`and ${name} > ${after}` : sql``}
    order by coalesce(c.tenant_id, c.schema_name) is not null, ${name}
    limit ${limit}
  `
  return rows.map((row) => ({
    ...toEntry(row),
    isMissing: row.is_missing,
    schemaChecksum: row.schema_checksum,
    lastDeployedAt: row.last_deployed_at,
    isPending: row.pending,
    isStale: !row.is_missing && row.is_stale,
  }))
}

/**
 * Returns the size on disk of these databases in bytes, by name. A database that is missing on the
 * server is absent from the map. Takes about 1 ms a database.
 */
export async function readSizes(sql: Sql, databases: string[]): Promise<Map<string, number>> {
  const rows = await sql<{ database: string; size: string }[]>`
    select datname as database, coalesce(pg_database_size(oid), 0)::text as size
    from pg_database
    where datname = any (array(select json_array_elements_text(${JSON.stringify(databases)}::text::json)))
  `
  return new Map(rows.map(({ database, size }) => [database, Number(size)]))
}
