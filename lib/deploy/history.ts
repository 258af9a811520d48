import { isPostgresError } from '../postgres/errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { UNDEFINED_TABLE } from '../postgres/sqlstates.ts'

/** A deploy as recorded in the database's own ledger. */
export interface HistoryRow {
  /** Time of the deploy, ISO 8601. */
  deployed_at: string
  status: string
  archive_checksum: string
  request_id: string
  [field: string]: unknown
}

/**
 * Returns the last deploys of a platform's database, newest first, including failed ones.
 * @param limit maximum number of rows
 */
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
    // Without a ledger, nothing was ever deployed to the database.
    if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return []
    throw error
  }
}
