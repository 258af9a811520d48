import type { Sql } from '../../postgres/pools/connection.ts'
import { tableName } from '../changes/changes.ts'
import type { Table } from '../changes/tables.ts'

/** The strongest lock that a deploy takes on an existing table. */
export interface TableLock {
  table: string
  lock: string
}

const READS = 'AccessShareLock'

/** Lock modes from weak to strong (PostgreSQL manual, "Table-Level Locks"). */
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
 * Returns the strongest lock of the open transaction on each of these tables, without ACCESS SHARE
 * locks, which only read.
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
