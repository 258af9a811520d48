import type { Sql } from '../../postgres/pools/connection.ts'
import { tableName } from '../changes/changes.ts'
import type { Table } from '../changes/tables.ts'

/** The strongest lock that a deploy takes on a table that was there before. */
export interface TableLock {
  table: string
  lock: string
}

const READS = 'AccessShareLock'

/** From weak to strong (PostgreSQL manual, "Table-Level Locks"). */
const MODES = [
  READS,
  'RowShareLock',
  'RowExclusiveLock',
  'ShareUpdateExclusiveLock',
  'ShareLock',
  'ShareRowExclusiveLock',
  'ExclusiveLock',
  'AccessExclusiveLock',
]

/**
 * The locks of the open transaction on these tables, the strongest of each; those that only read
 * are left out.
 */
export async function readLocks(sql: Sql, tables: Table[]): Promise<TableLock[]> {
  const rows = await sql<{ oid: string; mode: string }[]>`
    select relation::text as oid, mode
    from pg_locks
    where pid = pg_backend_pid()
      and locktype = 'relation'
      and database = (select oid from pg_database where datname = current_database())
  `
  return tables.flatMap((table) => {
    const modes = rows.filter(({ oid }) => oid === table.oid).map(({ mode }) => mode)
    const strongest = MODES.findLast((mode) => modes.includes(mode)) ?? READS
    return strongest === READS
      ? []
      : [{ table: tableName(table), lock: strongest.replace(/Lock$/, '') }]
  })
}
