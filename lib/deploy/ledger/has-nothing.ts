import type { Sql } from '../../postgres/pools/connection.ts'
import { sendTables } from '../changes/tables.ts'
import type { Ledger } from './ledger.ts'

/**
 * Whether nothing was ever deployed to the database and it has no tables, so that a deploy has
 * nothing to lose. Reads the catalogs only if the ledger is empty.
 */
export async function hasNothing(sql: Sql, ledger: Ledger): Promise<boolean> {
  if (ledger.archiveChecksum !== null || ledger.migrations.size > 0) return false
  const tables = await sendTables(sql)
  return tables.length === 0
}
