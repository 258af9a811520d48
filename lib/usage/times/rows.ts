import type { Sql } from '../../postgres/pools/connection.ts'
import { type Step, TABLES } from './table.ts'
import type { TallyRow } from './tally.ts'

/** A row of a minute or an hour. */
export interface StepRow extends TallyRow {
  /** Begin of the minute or hour, in milliseconds since 1970. */
  at: number
  tenantId: string | null
}

/** Which rows are meant. */
export interface RowsQuery {
  /** Undefined: all platforms. */
  platform?: string | undefined
  /** Rows of one database; undefined: of functions in all databases, or, with `perDatabase`, each. */
  database?: string | undefined
  perDatabase?: boolean | undefined
  function?: string | undefined
  from: Date
  /** Exclusive. */
  to: Date
  /** Platforms whose rows are left out. */
  hidden?: string[] | undefined
  /** Minutes of a gateway that are left out, from the row with this number on. */
  except?: { gateway: string; slot: number }
}

const ROWS_AT_ONCE = 250

/**
 * Hands over the rows of these minutes or hours, some at a time, so that many do not block the event
 * loop.
 */
export async function eachRow(
  sql: Sql,
  step: Step,
  query: RowsQuery,
  take: (row: StepRow) => void,
): Promise<void> {
  for (const part of partsOf(sql, step, query)) await readPart(sql, part, take)
}

/**
 * Returns the tables that have the rows of these minutes or hours, each with its condition: an hour
 * that is not summed up yet is in its minutes.
 */
export function partsOf(sql: Sql, step: Step, query: RowsQuery) {
  const minutes = partOf(sql, 'minute', query, step === 'hour')
  return step === 'hour' ? [minutes, partOf(sql, 'hour', query, false)] : [minutes]
}

function partOf(
  sql: Sql,
  step: Step,
  {
    platform,
    database,
    perDatabase = false,
    function: name,
    from,
    to,
    hidden = [],
    except,
  }: RowsQuery,
  onlyOpenHours: boolean,
) {
  const ofDatabase =
    database !== undefined
      ? sql`and database = ${database}`
      : perDatabase
        ? sql`and database is not null`
        : sql`and database is null`
  const ofHours = onlyOpenHours
    ? sql`and date_trunc('hour', at, 'UTC') <> all (array(
        select distinct at from _db_gateway_call_hours
        where at >= ${from.toISOString()}::timestamptz and at < ${to.toISOString()}::timestamptz
      ))`
    : sql``
  const without =
    except && step === 'minute'
      ? sql`and not (gateway = ${except.gateway} and slot >= ${except.slot})`
      : sql``
  return sql`
    from ${sql(TABLES[step])}
    where at >= ${from.toISOString()}::timestamptz and at < ${to.toISOString()}::timestamptz
      ${platform === undefined ? sql`` : sql`and platform = ${platform}`}
      ${hidden.length === 0 ? sql`` : sql`and not ${JSON.stringify(hidden)}::text::jsonb ? platform`}
      ${name === undefined ? sql`` : sql`and function = ${name}`}
      ${ofDatabase}
      ${ofHours}
      ${without}
  `
}

async function readPart(
  sql: Sql,
  part: ReturnType<typeof partOf>,
  take: (row: StepRow) => void,
): Promise<void> {
  const rows = sql`
    select (extract(epoch from at) * 1000)::float8 as at, platform, tenant_id, database, function,
      calls::float8, errors::float8, held_ms, sum_ms, max_ms, rows::float8, bytes::float8,
      encode(durations, 'base64') as durations
    ${part}
  `
  await rows.cursor(ROWS_AT_ONCE, (some) => {
    for (const row of some) {
      take({
        at: row.at,
        platform: row.platform,
        tenantId: row.tenant_id,
        database: row.database,
        function: row.function,
        calls: row.calls,
        errors: row.errors,
        heldMs: row.held_ms,
        sumMs: row.sum_ms,
        maxMs: row.max_ms,
        rows: row.rows,
        bytes: row.bytes,
        packed: Buffer.from(row.durations, 'base64'),
      })
    }
  })
}
