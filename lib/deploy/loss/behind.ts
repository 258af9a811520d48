import type { Sql } from '../../postgres/pools/connection.ts'
import type { TableChange } from '../changes/changes.ts'
import type { Behind } from './routines.ts'
import { countLosses, type Loss } from './rows.ts'
import { findTargets, type Target } from './targets.ts'
import { emptiedSince, lockEmpty, readTraces, type Trace, withoutRows } from './traces.ts'

/** What was found before a statement whose effect stands elsewhere: see `Hidden`. */
export interface Prepared {
  /** What it may take away, without rows: locked, so that it stays empty. */
  empty: Target[]
  /** The oids of further tables that are empty and stay so. */
  locked: string[]
  /** What it may take away that has rows. */
  losses: Loss[]
  /** Where it may do anything: what was done to each table before. */
  traces: Map<string, Trace>
}

/**
 * Looks for what a DO block, or the functions that a statement calls, may take away. Undefined where
 * nothing of it can lose rows. `isAtRisk`: whether something of others can be lost there; `tables`: the oids
 * of all such tables.
 * @throws {PostgresError} 55P03 where a lock does not come within lock_timeout
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
 * What the statement lost, once it has run; `gone` is what the catalogs show. Rows that it deleted
 * are lost where none are left of them.
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
