import { isPostgresError } from '../postgres/errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { UNDEFINED_TABLE } from '../postgres/sqlstates.ts'

/** One deploy as a database's own ledger keeps it. */
export interface HistoryRow {
  /** ISO 8601. */
  deployed_at: string
  status: string
  archive_checksum: string
  request_id: string
  [field: string]: unknown
}

/** The last deploys of a platform's database, newest first; those that failed too. */
export async function readHistory(sql: Sql, limit: number): Promise<HistoryRow[]> {
  try {
    const rows = await sql<{ deployment: HistoryRow }[]>`
      select to_jsonb(d) - array['id', 'tables_checksum', 'catalog_digest'] as deployment
      from public._db_gateway_deployments d
      order by id desc
      limit ${limit}
    `
    return rows.map(({ deployment }) => deployment)
  } catch (error) {
    // Nothing was ever deployed to it.
    if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return []
    throw error
  }
}
