import type { Sql } from '../postgres/connection.ts'
import { isPostgresError } from '../postgres/errors.ts'
import { LEDGER_VERSION } from './ledger-tables.ts'

/** SQLSTATEs: no such schema, no such function, and not allowed to look. */
const NOT_PREPARED = new Set(['3F000', '42883', '42501'])

/** What a database says of itself: which files it has had, by file name. */
export interface Ledger {
  /** Of the deploy that was the last to succeed; null before the first. */
  archiveChecksum: string | null
  tablesChecksum: string | null
  migrations: Map<string, { checksum: string; status: 'applied' | 'begun'; error: string | null }>
  types: Map<string, string>
  functions: Map<string, { checksum: string; functions: string[] }>
  views: Map<string, { checksum: string; views: string[] }>
  seeders: Map<string, string>
}

/** Whether the ledger is there, in this version, and takes this key. */
export async function acceptsKey(sql: Sql, key: string): Promise<boolean> {
  try {
    const [row] = await sql.unsafe<[{ accepted: boolean }]>(
      'select _db_gateway.accepts($1::pg_catalog.text, $2::integer) as accepted',
      [key, LEDGER_VERSION],
    )
    return row.accepted
  } catch (error) {
    if (isPostgresError(error) && NOT_PREPARED.has(error.code)) return false
    throw error
  }
}

interface LedgerRow {
  archive_checksum: string | null
  tables_checksum: string | null
  migrations: [string, { checksum: string; status: 'applied' | 'begun'; error: string | null }][]
  types: [string, string][]
  functions: [string, { checksum: string; functions: string[] }][]
  views: [string, { checksum: string; views: string[] }][]
  seeders: [string, string][]
}

/** Reads the ledger; its tables exist. */
export async function readLedger(sql: Sql): Promise<Ledger> {
  const [row] = await sql<[LedgerRow]>`
    select
      last.archive_checksum,
      last.tables_checksum,
      (select coalesce(json_agg(json_build_array(
          migration_file,
          json_build_object('checksum', checksum, 'status', status, 'error', error)
        )), '[]') from public._db_gateway_migrations) as migrations,
      (select coalesce(json_agg(json_build_array(file, checksum)), '[]')
        from public._db_gateway_types) as types,
      (select coalesce(json_agg(json_build_array(
          file, json_build_object('checksum', checksum, 'functions', functions)
        )), '[]') from public._db_gateway_functions) as functions,
      (select coalesce(json_agg(json_build_array(
          file, json_build_object('checksum', checksum, 'views', views)
        )), '[]') from public._db_gateway_views) as views,
      (select coalesce(json_agg(json_build_array(file, checksum)), '[]')
        from public._db_gateway_seeders) as seeders
    from (values (1)) as always
    left join (
      select archive_checksum, tables_checksum
      from public._db_gateway_deployments
      where status = 'completed'
      order by id desc
      limit 1
    ) as last on true
  `
  return {
    archiveChecksum: row.archive_checksum,
    tablesChecksum: row.tables_checksum,
    migrations: new Map(row.migrations),
    types: new Map(row.types),
    functions: new Map(row.functions),
    views: new Map(row.views),
    seeders: new Map(row.seeders),
  }
}

/**
 * How many functions are in place, where the archive with this checksum was the last one deployed;
 * undefined where it was not. One round trip, since it has no parameters to describe; no lock.
 */
export async function findInPlace(sql: Sql, archiveChecksum: string): Promise<number | undefined> {
  const [last] = await sql.unsafe<{ archive_checksum: string; functions_deployed: number }[]>(`
    select archive_checksum, functions_deployed
    from public._db_gateway_deployments
    where status = 'completed'
    order by id desc
    limit 1
  `)
  return last?.archive_checksum === archiveChecksum ? last.functions_deployed : undefined
}

/** How many functions the files made. */
export function countFunctions({ functions }: Ledger): number {
  let count = 0
  for (const file of functions.values()) count += file.functions.length
  return count
}
