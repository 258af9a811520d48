import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { UsageChange } from './counters.ts'
import { joinHolder } from './join-holder.ts'

/** A change, with the day on which it was counted and the platform of its database. */
export interface UsageRow extends UsageChange {
  /** Day in UTC, such as 2026-11-26. */
  day: string
  /** Platform as far as this gateway knows it; the catalog's takes precedence. */
  platform: string | null
}

/** Rows that are written in one statement. */
export interface UsageBatch {
  /** Number of the batch, ascending. */
  number: number
  rows: UsageRow[]
}

const ROWS_AT_ONCE = 5000

/** Creates the tables of usage if they do not exist. */
export async function prepareTable(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_usage (
      day date not null,
      platform text not null,
      tenant_id text,
      schema_name text,
      database text not null,
      function text not null,
      calls bigint not null,
      errors bigint not null,
      database_seconds double precision not null,
      bytes bigint not null,
      deploys bigint not null,
      primary key (platform, day, database, function)
    ) with (fillfactor = 70);
    create index if not exists _db_gateway_usage_day on _db_gateway_usage (day);
    -- the last batch that each gateway has written
    create table if not exists _db_gateway_usage_batches (
      gateway uuid primary key,
      number bigint not null,
      written_at timestamptz not null default now()
    )
  `,
  )
}

/**
 * Adds a batch to the table, unless this gateway has written it already: a repeated batch changes
 * nothing. The rows are locked in one order, so that gateways do not deadlock.
 */
export async function writeBatch(
  sql: Sql,
  gateway: string,
  { number, rows }: UsageBatch,
): Promise<void> {
  await sql`
    with batch as (
      insert into _db_gateway_usage_batches as b (gateway, number) values (${gateway}, ${number})
      on conflict (gateway) do update set number = excluded.number, written_at = now()
        where b.number < excluded.number
      returning true
    ),
    -- a dropped database keeps the names that it had; a renamed one is counted under its new name
    named as (
      select u.day, u.function, u.calls, u.errors, u.ms, u.bytes, u.deploys,
        coalesce(d.database, u.database) as database, coalesce(d.platform, u.platform) as owner,
        case when d.database is null then last.tenant_id else d.tenant_id end as tenant_id,
        case when d.database is null then last.schema_name else d.schema_name end as schema_name
      from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb) as u (
        day date, platform text, database text, function text, calls bigint, errors bigint,
        ms double precision, bytes bigint, deploys bigint
      )
      ${joinHolder(sql, 'u')}
      left join lateral (
        select p.tenant_id, p.schema_name from _db_gateway_usage p
        where d.database is null and p.platform = u.platform and p.database = u.database
        order by p.day desc limit 1
      ) as last on true
    )
    insert into _db_gateway_usage as t (
      day, platform, tenant_id, schema_name, database, function,
      calls, errors, database_seconds, bytes, deploys
    )
    select day, owner, max(tenant_id), max(schema_name), database, function,
      sum(calls), sum(errors), sum(ms) / 1000, sum(bytes), sum(deploys)
    from named
    where owner is not null and exists (select from batch)
    group by owner, day, database, function
    order by owner, day, database, function
    ${sql.unsafe(ADD_TO_COUNTS)}
  `
}

/** Adds what a database has used to the database that it is renamed to, which goes on with it. */
export async function moveUsage(
  sql: Sql,
  from: string,
  to: { database: string; tenantId: string | null },
): Promise<void> {
  if (from === to.database) {
    await sql`update _db_gateway_usage set tenant_id = ${to.tenantId} where database = ${from}`
    return
  }
  await sql`
    with moved as (delete from _db_gateway_usage where database = ${from} returning *)
    insert into _db_gateway_usage as t (
      day, platform, tenant_id, schema_name, database, function,
      calls, errors, database_seconds, bytes, deploys
    )
    select day, platform, ${to.tenantId}, schema_name, ${to.database}, function,
      calls, errors, database_seconds, bytes, deploys
    from moved
    ${sql.unsafe(ADD_TO_COUNTS)}
  `
}

/** End of an insert that adds to the counts `t` of a day what is inserted for it again. */
export const ADD_TO_COUNTS = `
  on conflict (platform, day, database, function) do update set
    calls = t.calls + excluded.calls,
    errors = t.errors + excluded.errors,
    database_seconds = t.database_seconds + excluded.database_seconds,
    bytes = t.bytes + excluded.bytes,
    deploys = t.deploys + excluded.deploys
`

/**
 * Deletes at most 5,000 rows of days before `day`, and the batch numbers of gateways that have
 * written nothing for two days.
 * @returns whether more such rows may be left
 */
export async function deleteBefore(sql: Sql, day: string): Promise<boolean> {
  await sql`
    delete from _db_gateway_usage_batches where written_at < now() - interval '2 days'
  `
  const { count } = await sql`
    delete from _db_gateway_usage where ctid = any (array(
      select ctid from _db_gateway_usage where day < ${day}::text::date limit ${ROWS_AT_ONCE}
    ))
  `
  return count === ROWS_AT_ONCE
}
