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
export const AMONG = 1000

/**
 * Returns the keys of the functions that are first in an order, from sums that PostgreSQL makes: it
 * may know hundreds of thousands of functions in databases, each with a histogram. By a quantile, it
 * is the functions called most.
 * @param live rows that are not in the tables
 */
export async function readMost(
  sql: Sql,
  step: Step,
  { order, limit, ...query }: RowsQuery & { order: Order; limit: number },
  live: StepRow[],
): Promise<Set<string>> {
  const isQuantile = /^p\d/.test(order)
  const tables = partsOf(sql, step, query).map(
    (part) => sql`
      select platform, database, function, calls, errors, held_ms, max_ms, rows, bytes ${part}
      union all
    `,
  )
  const rows = await sql<TallyKey[]>`
    select platform, database, function
    from (
      ${tables}
      select * from jsonb_to_recordset(${JSON.stringify(live.map(numbersOf))}::text::jsonb) as t (
        platform text, database text, function text, calls bigint, errors bigint, held_ms float8,
        max_ms float8, rows bigint, bytes bigint
      )
    ) as t
    group by platform, database, function
    order by ${sql.unsafe(EXPRESSIONS[order] ?? 'sum(calls)')} desc,
      (platform || '/' || function || '/' || coalesce(database, 'null')) collate "C"
    limit ${isQuantile ? Math.max(limit, AMONG) : limit}
  `
  return new Set(rows.map(keyOf))
}

function numbersOf({ platform, database, function: name, ...row }: StepRow) {
  const { calls, errors, heldMs, maxMs, rows, bytes } = row
  return {
    ...{ platform, database, function: name },
    ...{ calls, errors, held_ms: heldMs, max_ms: maxMs, rows, bytes },
  }
}
