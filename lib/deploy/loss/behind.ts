import type { Sql } from '../../postgres/pools/connection.ts'
import type { TableChange } from '../changes/changes.ts'
import type { Behind } from './routines.ts'
import { countLosses, type Loss } from './rows.ts'
import { findTargets, type Target } from './targets.ts'
import { emptiedSince, lockEmpty, readTraces, type Trace, withoutRows } from './traces.ts'

/**
 * State recorded before a statement that runs code which its text does not show: a DO block, or the
 * functions that it calls (see `Hidden`).
 */
export interface Prepared {
  /**
   * Tables and columns that the statement may take away and that have no rows; locked until commit.
   */
  empty: Target[]
  /** Oids of further tables that are empty; locked, so they stay empty. */
  locked: string[]
  /** Tables and columns with rows that the statement may take away. */
  losses: Loss[]
  /** Traces of all tables, by oid; filled only if the statement may run dynamic SQL. */
  traces: Map<string, Trace>
}

/**
 * Looks up what a DO block, or the functions that a statement calls, may take away. Locks it until
 * the transaction ends.
 * @param tables oids of all tables that may have rows of other transactions
 * @param isAtRisk returns whether the table or column may have such rows
 * @returns undefined if the statement cannot lose rows
 * @throws {PostgresError} 55P03 if a lock is not granted within lock_timeout
 */
export async function lookBehind(
  sql: Sql,
  behind: Behind,
  tables: string[],
  isAtRisk: (target: Target) => boolean,
): Promise<Prepared | undefined> {
  if (!behind.runsText && behind.risks.length === 0) return undefined
  const found = await Promise.all(behind.risks.map((risk) => findTargets(sql, risk)))
  const targets = found.flat().filter(isAtRisk)
  const risky = targets.filter(({ isLossless }) => !isLossless)
  const losses = risky.length > 0 ? await countLosses(sql, risky) : []
  const traces = behind.runsText ? await readTraces(sql, tables) : new Map()
  return {
    empty: targets.filter(({ oid, isLossless }) => {
      return isLossless || !losses.some((loss) => loss.oid === oid)
    }),
    locked: await lockEmpty(sql, traces),
    losses,
    traces,
  }
}

/**
 * Returns what the statement lost; called after it has run. Deleted rows count as a loss only if
 * the table has no rows left.
 * @param gone losses that the catalogs show
 */
export async function lossesBehind(
  sql: Sql,
  { losses, locked, traces }: Prepared,
  gone: TableChange[],
): Promise<Loss[]> {
  const counted = gone.map((change): Loss => {
    const loss = losses.find((one) => isSame(one, change))
    return { ...change, rows: loss?.rows ?? null, hasMore: loss?.hasMore ?? false }
  })
  const inRows = losses.filter(({ change }) => {
    return change === 'table_truncated' || change === 'rows_deleted'
  })
  const empty = await withoutRows(
    sql,
    inRows.map(({ oid }) => oid),
    'all',
  )
  const known = inRows.filter(({ oid }) => empty.has(oid))
  const emptied = await emptiedSince(sql, traces)
  const told = new Set([...locked, ...[...known, ...gone].map(({ oid }) => oid)])
  const others = emptied.filter(({ oid }) => !told.has(oid))
  return [...counted, ...known, ...others]
}

function isSame(one: TableChange, other: TableChange): boolean {
  return one.oid === other.oid && one.number === other.number && one.change === other.change
}
