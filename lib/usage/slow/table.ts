import { createTables } from '../../postgres/create-tables.ts'
import { distinctPlatforms } from '../../postgres/distinct-platforms.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { joinHolder } from '../join-holder.ts'

/** A slow call, without its values. Times in milliseconds. */
export interface SlowCall {
  id: string
  at: string
  platform: string
  database: string
  function: string | null
  request_id: string | null
  ms: number
  wait_ms: number
  connect_ms: number
  query_ms: number
  rows: number
  bytes: number
  sqlstate: string | null
  /** Error code of the answer. */
  error: string | null
  /** What auto_explain told, without values. */
  plan: string | null
}

export type ShownSlowCall = Omit<SlowCall, 'id'> & { tenant_id: string | null }

export interface SlowQuery {
  /** Undefined: all platforms. */
  platform: string | undefined
  database: string | undefined
  function: string | undefined
  limit: number
  /** Whether the client may see a platform; undefined: all of them. */
  mayName: ((platform: string) => boolean) | undefined
}

/** Creates the table if it does not exist. */
export async function prepareSlow(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_slow_calls (
      id uuid primary key,
      at timestamptz not null,
      platform text not null,
      tenant_id text,
      database text not null,
      function text,
      request_id text,
      ms double precision not null,
      wait_ms double precision not null,
      connect_ms double precision not null,
      query_ms double precision not null,
      rows bigint not null,
      bytes bigint not null,
      sqlstate text,
      error text,
      plan text
    );
    create index if not exists _db_gateway_slow_calls_at on _db_gateway_slow_calls (platform, at);
    create index if not exists _db_gateway_slow_calls_newest on _db_gateway_slow_calls (at, id)
  `,
  )
}

/** Adds calls; of each of their platforms the newest `kept` stay. A repeated call changes nothing. */
export async function writeSlow(sql: Sql, calls: SlowCall[], kept: number): Promise<void> {
  await sql`
    insert into _db_gateway_slow_calls
    select c.id, c.at, c.platform, d.tenant_id, coalesce(d.database, c.database), c.function, c.request_id, c.ms,
      c.wait_ms, c.connect_ms, c.query_ms, c.rows, c.bytes, c.sqlstate, c.error, c.plan
    from jsonb_populate_recordset(
      null::_db_gateway_slow_calls, ${JSON.stringify(calls)}::text::jsonb
    ) as c
    ${joinHolder(sql, 'c')}
    on conflict do nothing
  `
  const platforms = [...new Set(calls.map(({ platform }) => platform))]
  await sql`
    delete from _db_gateway_slow_calls s
    using json_array_elements_text(${JSON.stringify(platforms)}::text::json) as p (platform)
    where s.platform = p.platform and (s.at, s.id) < (
      select at, id from _db_gateway_slow_calls n
      where n.platform = p.platform
      order by at desc, id desc offset ${kept - 1} limit 1
    )
  `
}

/** Returns slow calls, the newest first. */
export async function readSlow(
  sql: Sql,
  { platform, database, function: name, limit, mayName }: SlowQuery,
): Promise<ShownSlowCall[]> {
  const hidden =
    mayName &&
    (await distinctPlatforms(sql, '_db_gateway_slow_calls')).filter((one) => !mayName(one))
  const found: ShownSlowCall[] = []
  const rows = sql<{ call: ShownSlowCall }[]>`
    select to_json(s) as call from (
      select at, platform, tenant_id, database, function, request_id, ms, wait_ms, connect_ms,
        query_ms, rows, bytes, sqlstate, error, plan
      from _db_gateway_slow_calls
      where true
        ${platform === undefined ? sql`` : sql`and platform = ${platform}`}
        ${hidden ? sql`and not ${JSON.stringify(hidden)}::text::jsonb ? platform` : sql``}
        ${database === undefined ? sql`` : sql`and database = ${database}`}
        ${name === undefined ? sql`` : sql`and function = ${name}`}
      order by at desc, id desc
      limit ${limit}
    ) as s
  `
  // A call may have 16,000 characters of plans.
  await rows.cursor(100, (some) => {
    for (const { call } of some) found.push(call)
  })
  return found
}

/** Deletes calls that are older than so many milliseconds by PostgreSQL's clock. */
export async function deleteOldSlow(sql: Sql, keptMs: number): Promise<void> {
  await sql`
    delete from _db_gateway_slow_calls
    where at < now() - ${keptMs}::float8 * interval '1 millisecond'
  `
}

/** Gives the calls of a database to the one that it is renamed to. */
export async function moveSlow(
  sql: Sql,
  from: string,
  to: { database: string; tenantId: string | null },
): Promise<void> {
  await sql`
    update _db_gateway_slow_calls set database = ${to.database}, tenant_id = ${to.tenantId}
    where database = ${from}
  `
}
