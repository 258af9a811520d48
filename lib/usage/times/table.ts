import { createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { joinHolder } from '../join-holder.ts'
import type { TallyRow } from './tally.ts'

/** What one gateway has counted in a minute. */
export interface MinuteBatch {
  /** Begin of the minute, in milliseconds since 1970. */
  at: number
  /** Number of the first row within the minute. */
  slot: number
  rows: TallyRow[]
}

export const STEPS = ['minute', 'hour'] as const
export type Step = (typeof STEPS)[number]

export const TABLES = { minute: '_db_gateway_call_minutes', hour: '_db_gateway_call_hours' }

/** Key of the advisory lock of who numbers rows of hours: one transaction at a time. */
export const HOURS_LOCK = "hashtext('_db_gateway_call_hours')"

export const STEP_MS = { minute: 60_000, hour: 3_600_000 }

const ROWS_AT_ONCE = 5000

const COLUMNS = `
  platform text not null,
  tenant_id text,
  -- null: of all databases of the platform
  database text,
  function text not null,
  calls bigint not null,
  errors bigint not null,
  held_ms double precision not null,
  sum_ms double precision not null,
  max_ms double precision not null,
  rows bigint not null,
  bytes bigint not null,
  -- number of calls by duration: see lib/usage/times/histogram.ts
  durations bytea not null`

/** Creates the tables if they do not exist. */
export async function prepareTables(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_call_minutes (
      at timestamptz not null,
      gateway uuid not null,
      slot integer not null,
      written_at timestamptz not null default now(),
      ${COLUMNS},
      primary key (at, gateway, slot)
    );
    create index if not exists _db_gateway_call_minutes_platform
      on _db_gateway_call_minutes (platform, at);
    create index if not exists _db_gateway_call_minutes_database
      on _db_gateway_call_minutes (database) where database is not null;
    create table if not exists _db_gateway_call_hours (
      at timestamptz not null,
      slot integer not null,
      made_at timestamptz not null default now(),
      ${COLUMNS},
      primary key (at, slot)
    );
    create index if not exists _db_gateway_call_hours_platform
      on _db_gateway_call_hours (platform, at);
    create index if not exists _db_gateway_call_hours_database
      on _db_gateway_call_hours (database) where database is not null
  `,
  )
}

/**
 * Writes what a gateway has counted in a minute; a batch that is repeated changes nothing. Rows of a
 * database that was renamed go to its new name.
 */
export async function writeMinute(
  sql: Sql,
  gateway: string,
  { at, slot, rows }: MinuteBatch,
): Promise<void> {
  await sql`
    insert into _db_gateway_call_minutes (
      at, gateway, slot, platform, tenant_id, database, function,
      calls, errors, held_ms, sum_ms, max_ms, rows, bytes, durations
    )
    select to_timestamp(${at}::float8 / 1000), ${gateway}, t.slot, t.platform, d.tenant_id,
      coalesce(d.database, t.database), t.function,
      t.calls, t.errors, t.held_ms, t.sum_ms, t.max_ms, t.rows, t.bytes, decode(t.durations, 'base64')
    from jsonb_to_recordset(${JSON.stringify(rows.map(toJson(slot)))}::text::jsonb) as t (
      slot integer, platform text, database text, function text, calls bigint, errors bigint,
      held_ms float8, sum_ms float8, max_ms float8, rows bigint, bytes bigint, durations text
    )
    ${joinHolder(sql, 't')}
    on conflict do nothing
  `
}

/** Replaces the rows of an hour. */
export async function writeHour(sql: Sql, at: Date, rows: HourRow[]): Promise<void> {
  await sql`delete from _db_gateway_call_hours where at = ${at.toISOString()}::timestamptz`
  await sql`
    insert into _db_gateway_call_hours (
      at, slot, platform, tenant_id, database, function,
      calls, errors, held_ms, sum_ms, max_ms, rows, bytes, durations
    )
    select ${at.toISOString()}::timestamptz, t.slot, t.platform, t.tenant_id, t.database, t.function,
      t.calls, t.errors, t.held_ms, t.sum_ms, t.max_ms, t.rows, t.bytes, decode(t.durations, 'base64')
    from jsonb_to_recordset(${JSON.stringify(rows.map(toJson(0)))}::text::jsonb) as t (
      slot integer, platform text, tenant_id text, database text, function text, calls bigint,
      errors bigint, held_ms float8, sum_ms float8, max_ms float8, rows bigint, bytes bigint,
      durations text
    )
  `
}

/** A row of an hour, with the tenant of its database. */
export type HourRow = TallyRow & { tenantId: string | null }

function toJson(first: number) {
  return (row: TallyRow & { tenantId?: string | null }, i: number) => ({
    slot: first + i,
    platform: row.platform,
    tenant_id: row.tenantId,
    database: row.database,
    function: row.function,
    calls: row.calls,
    errors: row.errors,
    held_ms: row.heldMs,
    sum_ms: row.sumMs,
    max_ms: row.maxMs,
    rows: row.rows,
    bytes: row.bytes,
    durations: Buffer.from(row.packed).toString('base64'),
  })
}

/** Gives the rows of a database to the one that it is renamed to, which goes on with it. */
export async function moveTimes(
  sql: Sql,
  from: string,
  to: { database: string; tenantId: string | null },
): Promise<void> {
  for (const table of Object.values(TABLES)) {
    await sql`
      update ${sql(table)} set database = ${to.database}, tenant_id = ${to.tenantId}
      where database = ${from}
    `
  }
}

/**
 * Deletes at most 5,000 rows that are older than so many milliseconds by PostgreSQL's clock: that of
 * one gateway may be wrong.
 * @returns whether more such rows may be left
 */
export async function deleteOldTimes(sql: Sql, step: Step, keptMs: number): Promise<boolean> {
  const table = sql(TABLES[step])
  const { count } = await sql`
    delete from ${table} where ctid = any (array(
      select ctid from ${table}
      where at < now() - ${keptMs}::float8 * interval '1 millisecond' limit ${ROWS_AT_ONCE}
    ))
  `
  return count === ROWS_AT_ONCE
}
