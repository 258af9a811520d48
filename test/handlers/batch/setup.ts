import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll } from 'vitest'
import {
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { pack, textFunction } from '../../helpers/platforms.ts'
import { until } from '../../helpers/process.ts'

export const platform = uniqueName('batches')

export const database = `${platform}_main`

export const MAX_RESULT_BYTES = 100_000

export let gateway: TestGateway

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    gateway = await startTestGateway({ MAX_RESULT_BYTES: String(MAX_RESULT_BYTES) })
    await gateway.register(platform, await pack(textFunction('ping', 'pong')))
    await gateway.register(platform, await pack(textFunction('ping', 'pong of north')), 'north')
    await define(`
      create table note (id text primary key, by text, at int generated always as identity);
      create table line (note text references note (id) deferrable initially deferred);
      create function add_note(p_id text) returns text language sql
        as $$ insert into note values (p_id, current_setting('app.user_id', true)) returning id $$;
      create procedure one_note(p_id text) language sql as $$ insert into note values (p_id) $$;
      create function add_line(p_note text) returns void language sql
        as $$ insert into line values (p_note) $$;
      create function notes_like(p_id text) returns setof text language sql stable
        as $$ select id from note where id like p_id order by at $$;
      create function echo(p_n int) returns int language sql immutable as $$ select p_n $$;
      create function slow(p_seconds float8) returns text language sql
        as $$ select pg_sleep(p_seconds); select 'slept' $$;
      create function backend() returns int language sql as $$ select pg_backend_pid() $$;
      create function user_id() returns text language sql stable
        as $$ select current_setting('app.user_id', true) $$;
      create function is_read_only() returns text language sql stable
        as $$ select current_setting('transaction_read_only') $$;
      create function transaction_id() returns text language sql
        as $$ select pg_current_xact_id()::text $$;
      create function wide(p_bytes int) returns table (text text) language sql
        as $$ select repeat('x', p_bytes) $$;
      create function fail(p_message text default 'no') returns void language plpgsql
        as $$ begin raise exception '%', p_message using hint = 'Say yes'; end $$;
      create function die() returns boolean language sql
        as $$ select pg_terminate_backend(pg_backend_pid()) $$;
    `)
  })

  afterAll(() => gateway.stop())
}

/** Runs SQL in the platform's database, behind the gateway's back. */
export const define = (sql: string) => queryDatabase(database, sql)

export type Call = [name: string, ...params: unknown[]]

export const batchBody = (calls: Call[], more: object = {}) => ({
  platform,
  calls: calls.map(([name, ...params]) => ({ function: name, params })),
  ...more,
})

export async function batch(calls: Call[], more: object = {}): Promise<Json> {
  const { status, headers, body } = await gateway.post('/batch', batchBody(calls, more))
  return { status, headers, ...body }
}

export const inTransaction = (calls: Call[], more: object = {}) =>
  batch(calls, { transaction: true, ...more })

export async function post(body: unknown): Promise<Json> {
  const answer = await gateway.post('/batch', body)
  return { status: answer.status, ...answer.body }
}

export let lastId = 0

export const newId = () => `note${++lastId}.`

/** Those of these notes that are in the database, in the order in which they came. */
export async function kept(ids: string[]): Promise<string[]> {
  const rows = await define(`select id from note where id in ('${ids.join("','")}') order by at`)
  return rows.map(({ id }) => id)
}

/** How many sessions run a statement like this one. */
export const running = (text: string) => sessionsRunning(database, text)

/** A batch whose client goes away as soon as PostgreSQL runs `name`. */
export async function abandon(calls: Call[], name: string, more: object = {}): Promise<void> {
  const req = httpRequest(`${gateway.url}/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  })
  const closed = new Promise((resolve) => req.once('close', resolve))
  req.on('error', () => {})
  req.end(JSON.stringify(batchBody(calls, more)))
  await until(async () => (await running(name)) > 0)
  req.destroy()
  await closed
}
