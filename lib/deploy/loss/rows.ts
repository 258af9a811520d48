import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

import { type TableChange, tableName } from '../changes/changes.ts'
import type { Target } from './targets.ts'

/** A change that loses values. `rows`: rows affected, at most MAX_COUNTED; null if uncountable. */
export interface Loss extends TableChange {
  rows: number | null
  /** More than MAX_COUNTED rows are affected. */
  hasMore: boolean
}

/** Rows are counted up to this limit, to keep the table's lock short. */
export const MAX_COUNTED = 10_000

/**
 * Locks the targets and returns those that have rows, with the count (see `countRows`).
 * @throws {PostgresError} 55P03 if a lock is not granted within lock_timeout
 */
export async function countLosses(sql: Sql, targets: Target[]): Promise<Loss[]> {
  const rows = await countRows(sql, targets)
  return targets.flatMap((target) => {
    const count = rows.get(target.oid) ?? 0
    if (count === 0) return []
    return {
      oid: target.oid,
      number: target.number,
      table: tableName(target),
      column: target.column,
      change: target.change,
      class: 'data_loss',
      from: target.from,
      to: target.to,
      rows: target.kind === 'S' ? null : Math.min(count, MAX_COUNTED),
      hasMore: count > MAX_COUNTED,
    }
  })
}

/**
 * Locks the targets until the transaction ends, and counts their rows up to MAX_COUNTED + 1. A
 * sequence that was used counts as one row. Forced row level security is lifted for the count;
 * `row_security = off` would raise an error instead.
 * @returns row counts by oid
 */
async function countRows(sql: Sql, targets: Target[]): Promise<Map<string, number>> {
  const relations = [...new Map(targets.map((target) => [target.oid, target])).values()]
  const tables = relations.filter(({ kind }) => kind === 'r' || kind === 'p' || kind === 'v')
  const forced = tables.filter(({ isForced }) => isForced)
  const alter = (action: string) =>
    forced.map((table) =>
      send(sql.unsafe(`alter table ${nameOf(table)} ${action} row level security`)),
    )

  const locks =
    tables.length > 0
      ? [send(sql.unsafe(`lock table ${tables.map(nameOf).join(', ')} in access exclusive mode`))]
      : []
  const unforced = alter('no force')
  const counted = send(
    sql.unsafe<{ oid: string; rows: number }[]>(relations.map(countOf).join(' union all ')),
  )
  await answers([...locks, ...unforced, counted, ...alter('force')])
  return new Map((await counted).map(({ oid, rows }) => [oid, rows]))
}

function countOf(relation: Target): string {
  const { oid, kind, isPopulated } = relation
  if (kind === 'S') {
    return `select '${oid}' as oid, (pg_sequence_last_value(${oid}) is not null)::integer as rows`
  }
  if (!isPopulated) return `select '${oid}' as oid, 0 as rows`
  const limited = `select from ${nameOf(relation)} limit ${MAX_COUNTED + 1}`
  return `select '${oid}' as oid, (select count(*)::integer from (${limited}) as found) as rows`
}

function nameOf({ schema, name }: Target): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}
