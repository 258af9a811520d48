import { distinctPlatforms } from '../../postgres/distinct-platforms.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { OTHER } from '../counters.ts'
import { quantileOf } from './histogram.ts'
import { type Order, readMost, type Sums } from './most.ts'
import { eachRow, type RowsQuery, type StepRow } from './rows.ts'
import { STEP_MS, type Step, TABLES } from './table.ts'
import { keyOf, Tally } from './tally.ts'

/** What the durations of calls are asked for. */
export interface TimesQuery extends RowsQuery {
  step: Step
  order: Order
  limit: number
  /** Whether the client may see a platform; undefined: all of them. */
  mayName?: ((platform: string) => boolean) | undefined
}

interface ShownSums {
  calls: number
  errors: number
  p50_ms: number | null
  p95_ms: number | null
  p99_ms: number | null
  max_ms: number
  database_seconds: number
  rows: number
  bytes: number
}

/** Calls of a function over the time that is asked for. */
export interface ShownFunction extends ShownSums {
  platform: string
  database: string | null
  tenant_id: string | null
  function: string
}

/** Calls of all functions that are asked for in one minute or hour. */
export interface ShownStep extends Omit<ShownSums, 'max_ms' | 'rows' | 'bytes'> {
  at: string
}

export interface ShownTimesOf {
  /** The first of them, in the order that is asked for. */
  functions: ShownFunction[]
  series: ShownStep[]
}

interface FunctionSum {
  row: StepRow
  tenantId: string | null
  tally: Tally
}

/** Calls by function, by their keys, and by minute or hour. */
export interface CollectedTimes {
  functions: Map<string, FunctionSum>
  series: Map<number, Tally>
}

/** Rows that are not known to be in the tables, and from which row of which gateway on. */
export interface LiveRows {
  rows: StepRow[]
  own: NonNullable<RowsQuery['except']>
}

/** Returns the functions that are first in the order that is asked for, with what they are ordered by. */
export async function readFirst(sql: Sql, query: TimesQuery, live: LiveRows): Promise<Sums> {
  const { stored, meant } = await parametersOf(sql, query, live)
  return readMost(sql, query.step, stored, meant)
}

/**
 * Returns the calls of all gateways by function, and by minute or hour. Histograms are summed up of
 * the functions that are shown, and of the minutes or hours.
 * @param keys of the functions; default: those of `readFirst`
 */
export async function collectTimes(
  sql: Sql,
  query: TimesQuery,
  live: LiveRows,
  keys?: { has(key: string): boolean },
): Promise<CollectedTimes> {
  const { step } = query
  const { stored, meant } = await parametersOf(sql, query, live)
  const most = keys ?? (await readMost(sql, step, stored, meant))
  const functions = new Map<string, FunctionSum>()
  const series = new Map<number, Tally>()
  const take = (row: StepRow) => {
    const key = keyOf(row)
    if (most.has(key)) {
      const sum = functions.get(key) ?? { row, tenantId: row.tenantId, tally: new Tally() }
      sum.tally.addSums(row)
      functions.set(key, sum)
    }
    const at = row.at - (row.at % STEP_MS[step])
    const tally = series.get(at) ?? new Tally()
    tally.addSums(row)
    series.set(at, tally)
  }
  await eachRow(sql, step, stored, take)
  for (const row of meant) take(row)
  await nameTenants(sql, [...functions.values()])
  return { functions, series }
}

async function parametersOf(sql: Sql, query: TimesQuery, { rows, own }: LiveRows) {
  const hidden = query.mayName && (await hiddenPlatforms(sql, query.mayName))
  const meant = rows.filter((row) => isMeant(query, row))
  return { stored: { ...query, hidden, except: own }, meant }
}

/** Adds up what several servers have. */
export function joinTimes([first, ...others]: CollectedTimes[]): CollectedTimes {
  const { functions, series } = first!
  for (const other of others) {
    for (const [key, sum] of other.functions) {
      const known = functions.get(key)
      if (known) known.tally.addTally(sum.tally)
      else functions.set(key, sum)
    }
    for (const [at, tally] of other.series) {
      const known = series.get(at)
      if (known) known.addTally(tally)
      else series.set(at, tally)
    }
  }
  return first!
}

/** Returns what was collected as it is shown: the first functions in the order that is asked for. */
export function showTimes(
  { functions, series }: CollectedTimes,
  { order, limit }: Pick<TimesQuery, 'order' | 'limit'>,
): ShownTimesOf {
  const shown = [...functions.values()].map(({ row, tenantId, tally }) => ({
    platform: row.platform,
    database: row.database,
    tenant_id: tenantId,
    function: row.function,
    ...sumsOf(tally),
  }))
  shown.sort((a, b) => (b[order] ?? 0) - (a[order] ?? 0) || (nameOf(a) < nameOf(b) ? -1 : 1))
  return {
    functions: shown.slice(0, limit),
    series: [...series].sort(([a], [b]) => a - b).map(([at, tally]) => stepOf(at, tally)),
  }
}

function nameOf({ platform, function: name, database }: ShownFunction): string {
  return `${platform}/${name}/${database}`
}

/** Returns the platforms of rows that the client may not see; `OTHER` may be any of them. */
async function hiddenPlatforms(sql: Sql, mayName: (platform: string) => boolean) {
  const platforms = new Set([OTHER])
  for (const table of Object.values(TABLES)) {
    for (const platform of await distinctPlatforms(sql, table)) platforms.add(platform)
  }
  return [...platforms].filter((platform) => isHidden(platform, mayName))
}

function isHidden(platform: string, mayName: TimesQuery['mayName']): boolean {
  return mayName !== undefined && (platform === OTHER || !mayName(platform))
}

/** Adds the tenants of rows that are not in the tables yet. */
async function nameTenants(sql: Sql, sums: FunctionSum[]): Promise<void> {
  const unnamed = sums.filter(({ row, tenantId }) => row.database !== null && tenantId === null)
  if (unnamed.length === 0) return
  const databases = JSON.stringify(unnamed.map(({ row }) => row.database))
  const rows = await sql<{ database: string; tenant_id: string | null }[]>`
    select database, tenant_id from _db_gateway_databases
    where database = any (array(select json_array_elements_text(${databases}::text::json)))
  `
  const tenants = new Map(rows.map(({ database, tenant_id }) => [database, tenant_id]))
  for (const one of unnamed) one.tenantId = tenants.get(one.row.database!) ?? null
}

/** Returns whether a row is among those that a query reads from the tables. */
function isMeant(query: TimesQuery, row: StepRow): boolean {
  const { platform, database, perDatabase, function: name, from, to, mayName } = query
  if (isHidden(row.platform, mayName)) return false
  if (platform !== undefined && row.platform !== platform) return false
  if (name !== undefined && row.function !== name) return false
  if (row.at < from.getTime() || row.at >= to.getTime()) return false
  if (database !== undefined) return row.database === database
  return perDatabase ? row.database !== null : row.database === null
}

function sumsOf(tally: Tally): ShownSums {
  const { calls, errors, heldMs, maxMs, rows, bytes, counts } = tally
  const quantile = (share: number) => rounded(quantileOf(counts, share, maxMs))
  return {
    calls,
    errors,
    p50_ms: quantile(0.5),
    p95_ms: quantile(0.95),
    p99_ms: quantile(0.99),
    max_ms: rounded(maxMs)!,
    database_seconds: Math.round(heldMs * 1000) / 1e6,
    rows,
    bytes,
  }
}

function stepOf(at: number, tally: Tally): ShownStep {
  const { max_ms, rows, bytes, ...shown } = sumsOf(tally)
  return { at: new Date(at).toISOString(), ...shown }
}

/** Milliseconds to the microsecond. */
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000
}
