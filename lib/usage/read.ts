import { GatewayError } from '../errors.ts'
import { distinctPlatforms } from '../postgres/distinct-platforms.ts'
import type { Sql } from '../postgres/pools/connection.ts'

export const GROUPS = ['tenant', 'function'] as const
export const ORDERS = ['database_seconds', 'calls', 'errors', 'bytes'] as const

/** What usage is asked for. */
export interface UsageQuery {
  /** Undefined: all platforms. */
  platform: string | undefined
  /** Database of the one tenant that is meant; undefined: all of the platform. */
  database?: string | undefined
  /** Whether the client may see a platform; undefined: all of them. */
  mayName?: ((platform: string) => boolean) | undefined
  by: (typeof GROUPS)[number]
  /** First and last day, in UTC, such as 2026-11-26. */
  from: string
  to: string
  order: (typeof ORDERS)[number]
  /** Key of the last entry of the page before. */
  after: string | undefined
  /** Undefined: all entries. */
  limit: number | undefined
}

/** Sums as they are shown. */
export interface ShownCounts {
  calls: number
  errors: number
  database_seconds: number
  bytes: number
  deploys: number
}

/** Sums of a tenant, or of a function in all databases that are meant. */
export interface UsageSum extends ShownCounts {
  /** Names the entry in `after`: its database, or platform and function. */
  key: string
  platform: string
  tenant_id?: string | null
  schema_name?: string | null
  database?: string
  function?: string
}

/** Sums of one entry on one day. */
export interface DaySum extends ShownCounts {
  key: string
  day: string
}

/**
 * Returns a page of sums over the days, the largest first.
 * @param perDay true: with the sums of each day too
 * @throws {GatewayError} invalid_request if there is no entry `after`
 */
export async function readUsage(
  sql: Sql,
  query: UsageQuery,
  perDay: boolean,
): Promise<{ sums: UsageSum[]; days: DaySum[] | undefined }> {
  const where = whereOf(sql, query, await visiblePlatforms(sql, query))
  const sums = await readSums(sql, query, where)
  const keys = sums.map(({ key }) => key)
  return { sums, days: perDay ? await readDays(sql, query.by, where, keys) : undefined }
}

/** Returns the sums of each day of some entries, in the order of days. */
export async function readUsageDays(
  sql: Sql,
  query: UsageQuery,
  keys: string[],
): Promise<DaySum[]> {
  return readDays(sql, query.by, whereOf(sql, query, await visiblePlatforms(sql, query)), keys)
}

async function readSums(
  sql: Sql,
  { by, order, after, limit }: UsageQuery,
  where: Condition,
): Promise<UsageSum[]> {
  const names =
    by === 'tenant'
      ? sql`max(tenant_id) as tenant_id, max(schema_name) as schema_name, database`
      : sql`function`
  const rows = await sql<{ sum: UsageSum | null }[]>`
    with sums as (
      select ${keyOf(sql, by)} as key, platform, ${names}, ${sumsOf(sql)}
      from _db_gateway_usage
      where ${where}
      group by platform, ${by === 'tenant' ? sql`database` : sql`function`}
    ),
    mark as (select key, ${sql(order)} as value from sums where key = ${after ?? ''})
    (
      select to_json(s) as sum from sums s
      where ${after === undefined}::boolean or exists (
        select from mark
        where s.${sql(order)} < value or (s.${sql(order)} = value and s.key > mark.key)
      )
      order by s.${sql(order)} desc, s.key
      limit ${limit ?? null}::bigint
    )
    union all
    select null where ${after !== undefined}::boolean and not exists (select from mark)
  `
  if (rows.some(({ sum }) => sum === null)) {
    throw new GatewayError('invalid_request', `after names no entry of these days: ${after}`)
  }
  return rows.map(({ sum }) => sum!)
}

/** Returns the sums of these entries for each day, in the order of days. */
async function readDays(
  sql: Sql,
  by: UsageQuery['by'],
  where: Condition,
  keys: string[],
): Promise<DaySum[]> {
  const key = keyOf(sql, by)
  const rows = await sql<{ sum: DaySum }[]>`
    select to_json(d) as sum from (
      select ${key} as key, day, ${sumsOf(sql)}
      from _db_gateway_usage
      where ${where}
        and ${key} = any (array(select json_array_elements_text(${JSON.stringify(keys)}::text::json)))
      group by 1, day
      order by day
    ) as d
  `
  return rows.map(({ sum }) => sum)
}

function keyOf(sql: Sql, by: UsageQuery['by']) {
  return by === 'tenant' ? sql`database` : sql`platform || '/' || function`
}

function sumsOf(sql: Sql) {
  return sql`
    sum(calls)::bigint as calls, sum(errors)::bigint as errors,
    round(sum(database_seconds)::numeric, 6) as database_seconds,
    sum(bytes)::bigint as bytes, sum(deploys)::bigint as deploys
  `
}

/** Returns the platforms that the client may see; undefined: the one of the query, or all. */
async function visiblePlatforms(
  sql: Sql,
  { platform, mayName }: UsageQuery,
): Promise<string[] | undefined> {
  if (platform !== undefined || !mayName) return undefined
  return (await distinctPlatforms(sql, '_db_gateway_usage')).filter(mayName)
}

type Condition = ReturnType<typeof whereOf>

function whereOf(
  sql: Sql,
  { platform, database, from, to }: UsageQuery,
  platforms: string[] | undefined,
) {
  return sql`
    day between ${from}::text::date and ${to}::text::date
    ${platform === undefined ? sql`` : sql`and platform = ${platform}`}
    ${database === undefined ? sql`` : sql`and database = ${database}`}
    ${platforms ? sql`and platform = any (array(select json_array_elements_text(${JSON.stringify(platforms)}::text::json)))` : sql``}
  `
}
