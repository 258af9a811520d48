import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

import { tableName } from '../changes/changes.ts'
import type { Loss } from './rows.ts'

interface Named {
  oid: string
  schema: string
  name: string
  isForced: boolean
}

/** Counters and state of a table's rows, as the open transaction has changed them so far. */
export interface Trace extends Omit<Named, 'isForced'> {
  /** The table has no pages. */
  isEmpty: boolean
  /** The table has no pages, or PostgreSQL's statistics know of no row in it. */
  seemsEmpty: boolean
  /** pg_class.relfilenode; TRUNCATE assigns a new one. */
  file: string
  inserted: number
  deleted: number
}

/** SQL condition on `pg_class c`: PostgreSQL's statistics know of no row. Takes no lock. */
export const KNOWS_NO_ROW = 'pg_stat_get_live_tuples(c.oid) = 0 and c.reltuples <= 0'

/** SQL select list over `pg_class c` and its `pg_namespace n`. Takes no lock on the table. */
export const TRACE = `
  c.oid::text as oid, n.nspname as schema, c.relname as name,
  c.relfilenode::text as file,
  pg_stat_get_xact_tuples_inserted(c.oid)::float8 as inserted,
  pg_stat_get_xact_tuples_deleted(c.oid)::float8 as deleted
`

/** Returns the traces of plain tables by oid; other relations are left out. */
export async function readTraces(sql: Sql, oids: string[]): Promise<Map<string, Trace>> {
  const rows = await sql.unsafe<Trace[]>(
    `select ${TRACE},
       pg_relation_size(c.oid) = 0 as "isEmpty",
       pg_relation_size(c.oid) = 0 or ${KNOWS_NO_ROW} as "seemsEmpty"
     from json_array_elements_text($1::text::json) as known (oid)
     join pg_class c on c.oid = known.oid::oid and c.relkind = 'r'
     join pg_namespace n on n.oid = c.relnamespace`,
    [JSON.stringify(oids)],
  )
  return new Map(rows.map((row) => [row.oid, row]))
}

/**
 * Locks the empty tables in SHARE mode, so that no other transaction writes to them until this one
 * ends.
 * @returns oids of the empty tables
 * @throws {PostgresError} 55P03 if a lock is not granted within lock_timeout
 */
export async function lockEmpty(sql: Sql, traces: Map<string, Trace>): Promise<string[]> {
  const candidates = [...traces.values()].filter(({ seemsEmpty }) => seemsEmpty)
  const empty = await withoutRows(sql, oidsOf(candidates), 'as they are seen')
  if (empty.size === 0) return []
  const names = candidates.filter(({ oid }) => empty.has(oid)).map((one) => `only ${nameOf(one)}`)
  await sql.unsafe(`lock table ${names.join(', ')} in share mode`)
  return [...(await withoutRows(sql, [...empty], 'as they are seen'))]
}

function oidsOf(tables: { oid: string }[]): string[] {
  return tables.map(({ oid }) => oid)
}

/**
 * Returns the tables that had rows when `before` was read, lost some in this transaction, and are
 * empty now.
 * @param traces current traces, if they have been read already
 */
export async function emptiedSince(
  sql: Sql,
  before: Map<string, Trace>,
  traces?: Map<string, Trace>,
): Promise<Loss[]> {
  const now = traces ?? (await readTraces(sql, [...before.keys()]))
  const suspects = [...now.values()].flatMap((after) => {
    const was = before.get(after.oid)
    if (!was) return []
    const deleted = after.deleted - was.deleted - (after.inserted - was.inserted)
    const isTruncated = after.file !== was.file && !was.isEmpty
    return isTruncated || deleted > 0 ? [{ ...after, isTruncated, deleted }] : []
  })
  const empty = await withoutRows(sql, oidsOf(suspects), 'all')
  return suspects
    .filter(({ oid }) => empty.has(oid))
    .map((one) => ({
      oid: one.oid,
      number: null,
      table: tableName(one),
      column: null,
      change: one.isTruncated ? 'table_truncated' : 'rows_deleted',
      class: 'data_loss',
      from: null,
      to: null,
      rows: one.isTruncated ? null : one.deleted,
      hasMore: false,
    }))
}

/**
 * Returns which of the tables and views exist and have no rows; a parent includes its partitions.
 * @param rows `all`: also counts rows that forced row level security hides, by lifting it for the
 *   query; `as they are seen`: leaves such tables out
 */
export async function withoutRows(
  sql: Sql,
  oids: string[],
  rows: 'all' | 'as they are seen',
): Promise<Set<string>> {
  if (oids.length === 0) return new Set()
  const found = await sql.unsafe<Named[]>(
    `select c.oid::text as oid, n.nspname as schema, c.relname as name,
       c.relrowsecurity and c.relforcerowsecurity as "isForced"
     from json_array_elements_text($1::text::json) as known (oid)
     join pg_class c on c.oid = known.oid::oid
     join pg_namespace n on n.oid = c.relnamespace`,
    [JSON.stringify(oids)],
  )
  const tables = found.filter(({ isForced }) => rows === 'all' || !isForced)
  if (tables.length === 0) return new Set()
  const force = (action: string) =>
    tables
      .filter(({ isForced }) => isForced)
      .map((one) => send(sql.unsafe(`alter table ${nameOf(one)} ${action} row level security`)))
  const asked = tables.map(
    (one) => `select '${one.oid}' as oid where not exists (select from ${nameOf(one)})`,
  )
  const unforced = force('no force')
  const empty = send(sql.unsafe<{ oid: string }[]>(asked.join(' union all ')))
  await answers([...unforced, empty, ...force('force')])
  return new Set((await empty).map(({ oid }) => oid))
}

function nameOf({ schema, name }: { schema: string; name: string }): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}
