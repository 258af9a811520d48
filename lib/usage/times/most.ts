import type { Sql } from '../../postgres/pools/connection.ts'
import { partsOf, type RowsQuery, type StepRow } from './rows.ts'
import type { Step } from './table.ts'
import { keyOf, type TallyKey } from './tally.ts'

/** What functions are ordered by, the greatest first. */
export const ORDERS = [
  'database_seconds',
  'calls',
  'errors',
  'p50_ms',
  'p95_ms',
  'p99_ms',
  'max_ms',
  'rows',
  'bytes',
] as const

export type Order = (typeof ORDERS)[number]

const EXPRESSIONS: Partial<Record<Order, string>> = {
  database_seconds: 'sum(held_ms)',
  errors: 'sum(errors)',
  max_ms: 'max(max_ms)',
  rows: 'sum(rows)',
  bytes: 'sum(bytes)',
}

/** Functions among which those with the greatest quantiles are looked for: those called most. */
const AMONG = 1000

/** Functions of which a server tells its sums at most, for those of all servers to be added up. */
const MOST_SUMS = 10_000

/** What functions are chosen by, by their keys. */
export type Sums = Map<string, number>

/**
 * Returns the functions that are first in an order, from sums that PostgreSQL makes: it
 * may know hundreds of thousands of functions in databases, each with a histogram. By a quantile, it
 * is the functions called most.
 * @param live rows that are not in the tables
 */
export async function readMost(
  sql: Sql,
  step: Step,
  { order, limit, ...query }: RowsQuery & { order: Order; limit: number },
  live: StepRow[],
): Promise<Sums> {
  const value = sql.unsafe(EXPRESSIONS[order] ?? 'sum(calls)')
  const tables = partsOf(sql, step, query).map(
    (part) => sql`
      select platform, database, function, calls, errors, held_ms, max_ms, rows, bytes ${part}
      union all
    `,
  )
  const rows = await sql<(TallyKey & { value: number })[]>`
    select platform, database, function, (${value})::float8 as value
    from (
      ${tables}
      select * from jsonb_to_recordset(${JSON.stringify(live.map(numbersOf))}::text::jsonb) as t (
        platform text, database text, function text, calls bigint, errors bigint, held_ms float8,
        max_ms float8, rows bigint, bytes bigint
      )
    ) as t
    group by platform, database, function
    order by ${value} desc,
      (platform || '/' || function || '/' || coalesce(database, 'null')) collate "C"
    limit ${limitOf(order, limit)}
  `
  return new Map(rows.map((row) => [keyOf(row), row.value]))
}

/**
 * Returns how many functions each of several servers tells of, so that those that are first in all
 * together are among them: all of a platform, but of a tenant's no more than are shown, since it is on
 * one server.
 */
export function limitOfEach(order: Order, limit: number, perDatabase: boolean): number {
  return perDatabase ? limitOf(order, limit) : MOST_SUMS
}

/** Returns the keys of the functions that are first in all servers together. */
export function joinMost(all: Sums[], order: Order, limit: number): Set<string> {
  const sums: Sums = new Map()
  for (const [key, value] of all.flatMap((one) => [...one])) {
    const known = sums.get(key) ?? 0
    sums.set(key, order === 'max_ms' ? Math.max(known, value) : known + value)
  }
  const ordered = [...sums].sort(([a, one], [b, other]) => other - one || (a < b ? -1 : 1))
  return new Set(ordered.slice(0, limitOf(order, limit)).map(([key]) => key))
}

function limitOf(order: Order, limit: number): number {
  return /^p\d/.test(order) ? Math.max(limit, AMONG) : limit
}

function numbersOf({ platform, database, function: name, ...row }: StepRow) {
  const { calls, errors, heldMs, maxMs, rows, bytes } = row
  return {
    ...{ platform, database, function: name },
    ...{ calls, errors, held_ms: heldMs, max_ms: maxMs, rows, bytes },
  }
}
