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
  /** Minutes of a gateway that are left out, from the row with this number on. */
  except?: { gateway: string; slot: number }
}

const ROWS_AT_ONCE = 250

/**
 * Hands over the rows of these minutes or hours, some at a time, so that many do not block the event
 * loop. Hours that are not summed up yet come in their minutes.
 */
export async function eachRow(
  sql: Sql,
  step: Step,
  query: RowsQuery,
  take: (row: StepRow) => void,
): Promise<void> {
  await readTable(sql, 'minute', query, step === 'hour', take)
  if (step === 'hour') await readTable(sql, 'hour', query, false, take)
}

async function readTable(
  sql: Sql,
  step: Step,
  { platform, database, perDatabase = false, function: name, from, to, except }: RowsQuery,
  onlyOpenHours: boolean,
  take: (row: StepRow) => void,
): Promise<void> {
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
  const rows = sql`
    select (extract(epoch from at) * 1000)::float8 as at, platform, tenant_id, database, function,
      calls::float8, errors::float8, held_ms, sum_ms, max_ms, rows::float8, bytes::float8,
      encode(durations, 'base64') as durations
    from ${sql(TABLES[step])}
    where at >= ${from.toISOString()}::timestamptz and at < ${to.toISOString()}::timestamptz
      ${platform === undefined ? sql`` : sql`and platform = ${platform}`}
      ${name === undefined ? sql`` : sql`and function = ${name}`}
      ${ofDatabase}
      ${ofHours}
      ${without}
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
