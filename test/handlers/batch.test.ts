import { request as httpRequest } from 'node:http'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { mostHeld } from '../helpers/most-held.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

const platform = 'batches'
const database = `${platform}_main`
const MAX_RESULT_BYTES = 100_000
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway({ MAX_RESULT_BYTES: String(MAX_RESULT_BYTES) })
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await gateway.register(platform, await pack(textFunction('ping', 'pong of north')), 'north')
  await define(`
    create table note (id text primary key, by text, at int generated always as identity);
    create table line (note text references note (id) deferrable initially deferred);
    create function add_note(p_id text) returns text language sql
      as $$ insert into note values (p_id, current_setting('app.user_id', true)) returning id $$;
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

/** Runs SQL in the platform's database, behind the gateway's back. */
const define = (sql: string) => queryDatabase(database, sql)

type Call = [name: string, ...params: unknown[]]

const batchBody = (calls: Call[], more: object = {}) => ({
  platform,
  calls: calls.map(([name, ...params]) => ({ function: name, params })),
  ...more,
})

async function batch(calls: Call[], more: object = {}): Promise<Json> {
  const { status, headers, body } = await gateway.post('/batch', batchBody(calls, more))
  return { status, headers, ...body }
}

const inTransaction = (calls: Call[], more: object = {}) =>
  batch(calls, { transaction: true, ...more })

async function post(body: unknown): Promise<Json> {
  const answer = await gateway.post('/batch', body)
  return { status: answer.status, ...answer.body }
}

let lastId = 0
const newId = () => `note${++lastId}.`

/** Those of these notes that are in the database, in the order in which they came. */
async function kept(ids: string[]): Promise<string[]> {
  const rows = await define(`select id from note where id in ('${ids.join("','")}') order by at`)
  return rows.map(({ id }) => id)
}

/** How many sessions run a statement like this one. */
const running = (text: string) => sessionsRunning(database, text)

/** A batch whose client goes away as soon as PostgreSQL runs `name`. */
async function abandon(calls: Call[], name: string, more: object = {}): Promise<void> {
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

describe.each([
  ['each by itself', {}],
  ['in one transaction', { transaction: true }],
  ['each by itself, with a session', { session: { 'app.user_id': 'anna' } }],
  ['in one transaction, with a session', { transaction: true, session: { 'app.user_id': 'anna' } }],
])('the calls of a batch, %s,', (_, more) => {
  test('are answered in their order, as /call answers them', async () => {
    const calls: Call[] = [['echo', 1], ['ping'], ['notes_like', 'none'], ['echo', null]]
    const { headers, ...answer } = await batch(calls, more)
    expect(answer).toEqual({
      status: 200,
      results: [
        { rows: [{ echo: 1 }], row_count: 1 },
        { rows: [{ ping: 'pong' }], row_count: 1 },
        { rows: [], row_count: 0 },
        { rows: [{ echo: null }], row_count: 1 },
      ],
      execution_time_ms: expect.any(Number),
    })
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(headers.get('server-timing')).toMatch(/^wait;dur=[\d.]+, query;dur=[\d.]+, total;dur=/)
    expect(headers.has('x-request-id')).toBe(true)
  })

  test('run in their order: each sees what those before it did', async () => {
    const id = newId()
    const calls: Call[] = [
      ['notes_like', `${id}%`],
      ['add_note', `${id}a`],
      ['notes_like', `${id}%`],
      ['add_note', `${id}b`],
      ['notes_like', `${id}%`],
    ]
    const { results } = await batch(calls, more)
    expect([results[0], results[2], results[4]].map(({ row_count }) => row_count)).toEqual([
      0, 1, 2,
    ])
    expect(await kept([`${id}a`, `${id}b`])).toEqual([`${id}a`, `${id}b`])
  })

  test('may be 100', async () => {
    const ids = Array.from({ length: 100 }, newId)
    const { results } = await batch(
      ids.map((id) => ['add_note', id]),
      more,
    )
    expect(results.map(({ rows }: Json) => rows[0].add_note)).toEqual(ids)
    expect(await kept(ids)).toEqual(ids)
  })

  test('go over one connection', async () => {
    const { results } = await batch(Array(20).fill(['backend']), more)
    expect(new Set(results.map(({ rows }: Json) => rows[0].backend)).size).toBe(1)
  })

  test('take their parameters by name, too, or none', async () => {
    const calls = [{ function: 'echo', params: { p_n: 7 } }, { function: 'ping' }]
    const { results } = await post({ platform, calls, ...more })
    expect(results.map(({ rows }: Json) => rows[0])).toEqual([{ echo: 7 }, { ping: 'pong' }])
  })

  test('keep every digit, both ways', async () => {
    await define(`
      create or replace function exactly(p_n numeric) returns numeric language sql
      as $$ select p_n $$
    `)
    const digits = '12345678901234567890.1230'
    const body = JSON.stringify({
      platform,
      calls: [{ function: 'exactly', params: ['?'] }],
      ...more,
    })
    const response = await fetch(`${gateway.url}/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: body.replace('"?"', digits),
    })
    expect(await response.text()).toContain(`[{"exactly":${digits}}]`)
  })

  test('that are large are answered in full', async () => {
    const { results } = await batch(
      [
        ['wide', 40_000],
        ['wide', 40_000],
        ['echo', 1],
      ],
      more,
    )
    expect(results.map(({ rows }: Json) => rows[0].text?.length)).toEqual([
      40_000,
      40_000,
      undefined,
    ])
  })

  test('run in the database of the tenant', async () => {
    const { results } = await batch([['ping']], { tenant_id: 'north', ...more })
    expect(results[0].rows).toEqual([{ ping: 'pong of north' }])
  })

  test('whose functions were replaced by a deploy run as they are now', async () => {
    const edition = uniqueName('edition')
    await define(`
      create function ${edition}() returns text language sql as $$ select 'old' $$;
      create function ${edition}(p_n int) returns text language sql as $$ select 'old' || p_n $$;
    `)
    const before: string = newId()
    const calls: Call[] = [[edition], ['add_note', before], [edition, 2], [edition]]
    const texts = ({ results }: Json) => results.map(({ rows }: Json) => rows[0][edition])
    expect(texts(await batch(calls, more))).toEqual(['old', undefined, 'old2', 'old'])
    await define(`
      drop function ${edition}(), ${edition}(int);
      create function ${edition}() returns table (${edition} text) language sql as $$ select 'new' $$;
      create function ${edition}(p_n text) returns text language sql as $$ select 'new' || p_n $$;
      delete from note where id = '${before}';
    `)
    expect(texts(await batch(calls, more))).toEqual(['new', undefined, 'new2', 'new'])
    expect(await kept([before])).toEqual([before])
    await define(`drop function ${edition}(), ${edition}(text)`)
  })

  test('whose functions were read-only and are not any more, write', async () => {
    const turning = uniqueName('turning')
    await define(`
      create function ${turning}(p_id text) returns text language sql stable as $$ select p_id $$
    `)
    const [first, second] = [newId(), newId()]
    expect((await batch([[turning, first]], more)).results[0].row_count).toBe(1)
    await define(`
      create or replace function ${turning}(p_id text) returns text language sql volatile
      as $$ insert into note values (p_id) returning id $$
    `)
    expect((await batch([[turning, second]], more)).results[0].rows).toEqual([
      { [turning]: second },
    ])
    expect(await kept([first, second])).toEqual([second])
    await define(`drop function ${turning}`)
  })

  test('leave nothing open behind them', async () => {
    await batch([['echo', 1], ['fail'], ['backend']], more)
    const open = await define(`
      select state from pg_stat_activity
      where datname = '${database}' and state like 'idle in transaction%'
    `)
    expect(open).toEqual([])
  })
})

describe('each by itself', () => {
  test('an error is the result of its call, as an error answer, and touches no other', async () => {
    const [before, behind] = [newId(), newId()]
    const calls: Call[] = [
      ['add_note', before],
      ['fail', 'not today'],
      ['add_note', before],
      ['no_such_function'],
      ['echo', 'x'],
      ['echo', 1, 2],
      ['add_line', 'no such note'],
      ['add_note', behind],
    ]
    const { status, results } = await batch(calls)
    expect(status).toBe(200)
    expect(results).toMatchObject([
      { row_count: 1 },
      {
        status: 400,
        error: 'query_failed',
        message: 'not today',
        sqlstate: 'P0001',
        hint: 'Say yes',
        database,
      },
      { status: 409, error: 'query_failed', sqlstate: '23505' },
      {
        status: 404,
        error: 'function_not_found',
        message: 'There is no function no_such_function',
      },
      {
        status: 400,
        error: 'invalid_request',
        message: expect.stringMatching(/^Parameter p_n \(integer\) does not convert: /),
      },
      { status: 404, error: 'function_not_found', candidates: ['echo(p_n integer)'] },
      { status: 409, error: 'query_failed', sqlstate: '23503' },
      { row_count: 1 },
    ])
    expect(results.map((result: Json) => 'rows' in result)).toEqual(
      calls.map((_, i) => i === 0 || i === 7),
    )
    expect(await kept([before, behind])).toEqual([before, behind])
  })

  test('an error touches no other with a session, either', async () => {
    const [before, behind] = [newId(), newId()]
    const session = { 'app.user_id': 'anna' }
    const calls: Call[] = [
      ['add_note', before],
      ['fail'],
      ['add_line', 'no such note'],
      ['add_note', behind],
    ]
    const { results } = await batch(calls, { session })
    expect(results).toMatchObject([
      { row_count: 1 },
      { status: 400, sqlstate: 'P0001' },
      { status: 409, sqlstate: '23503' },
      { row_count: 1 },
    ])
    expect(await kept([before, behind])).toEqual([before, behind])
  })

  test('each has a transaction of its own', async () => {
    const ids = ({ results }: Json) => results.map(({ rows }: Json) => rows[0].transaction_id)
    expect(new Set(ids(await batch(Array(5).fill(['transaction_id'])))).size).toBe(5)
    const session = { 'app.user_id': 'anna' }
    expect(new Set(ids(await batch(Array(5).fill(['transaction_id']), { session }))).size).toBe(5)
  })

  test('a function that is dropped meanwhile is the error of its call', async () => {
    await define('create function going() returns int language sql as $$ select 1 $$')
    expect((await batch([['going']])).results[0].row_count).toBe(1)
    await define('drop function going')
    const { results } = await batch([['echo', 1], ['going'], ['going'], ['echo', 2]])
    expect(results).toMatchObject([
      { row_count: 1 },
      { status: 404, error: 'function_not_found' },
      { status: 404, error: 'function_not_found' },
      { row_count: 1 },
    ])
  })

  test('results over MAX_RESULT_BYTES together: those that have no room are errors', async () => {
    const { results } = await batch([
      ['wide', 60_000],
      ['wide', 60_000],
      ['wide', 30_000],
      ['wide', 100_000],
    ])
    expect(results).toMatchObject([
      { row_count: 1 },
      {
        status: 413,
        error: 'result_too_large',
        message: expect.stringContaining(`${MAX_RESULT_BYTES} bytes together`),
      },
      { row_count: 1 },
      { status: 413, error: 'result_too_large' },
    ])
  })

  test('of what is over MAX_RESULT_BYTES nothing is read, however many calls there are', async () => {
    for (const more of [{ transaction: true }, {}, { numeric: 'string' }]) {
      const calls: Call[] = Array.from({ length: 30 }, () => ['wide', 70_000])
      const most = await mostHeld(gateway, () => batch(calls, more))
      expect(most).toBeGreaterThan(70_000)
      expect(most).toBeLessThan(MAX_RESULT_BYTES + 10_000)
    }
  })

  test('answers that are small each are counted together', async () => {
    const calls: Call[] = Array.from({ length: 9 }, () => ['wide', 10_000])
    expect(await mostHeld(gateway, () => batch(calls))).toBeGreaterThan(90_000)
  })

  test('when PostgreSQL ends the connection, those before it have their results, and those behind it run', async () => {
    const id = newId()
    const { status, results } = await batch([['add_note', id], ['die'], ['echo', 1]])
    expect(status).toBe(200)
    expect(results).toMatchObject([
      { row_count: 1 },
      { status: 503, error: 'connection_failed' },
      { row_count: 1 },
    ])
    expect(await kept([id])).toEqual([id])
    expect((await batch([['echo', 1]])).results[0].row_count).toBe(1)
  })

  test('an error that looks like a stale statement is told, and the call does not run again', async () => {
    await define(`
      create table typed (n int);
      create function mistyped(p_id text) returns void language plpgsql as $$
      begin
        if current_setting('app.user_id', true) = 'anna' then
          insert into typed select t from (values (p_id)) v (t);
        else
          insert into note values (p_id);
        end if;
      end $$
    `)
    const id = newId()
    const session = { 'app.user_id': 'anna' }
    for (let i = 0; i < 3; i++) {
      const answer = await gateway.post('/call', {
        platform,
        session,
        function: 'mistyped',
        params: [id],
      })
      expect(answer.body).toMatchObject({ error: 'query_failed', sqlstate: '42804' })
      expect((await batch([['mistyped', id]], { session })).results[0].sqlstate).toBe('42804')
      expect(await inTransaction([['mistyped', id]], { session })).toMatchObject({
        sqlstate: '42804',
        call: 0,
      })
    }
    expect(await kept([id])).toEqual([])
  })
})

describe('in one transaction', () => {
  test('the first error is the answer, and nothing is left', async () => {
    const ids = [newId(), newId()] as const
    const calls: Call[] = [['add_note', ids[0]], ['add_note', ids[1]], ['fail', 'third'], ['fail']]
    const { headers: _, ...answer } = await inTransaction(calls)
    expect(answer).toEqual({
      status: 400,
      error: 'query_failed',
      message: 'third',
      call: 2,
      database,
      cause: 'third | HINT: Say yes',
      sqlstate: 'P0001',
      hint: 'Say yes',
      context: expect.stringContaining('PL/pgSQL function fail(text)'),
    })
    expect(await kept([...ids])).toEqual([])
  })

  test.each<[what: string, call: Call, expected: object]>([
    ['what the database refuses', ['add_note', 'taken'], { status: 409, sqlstate: '23505' }],
    ['no such function', ['no_such'], { status: 404, error: 'function_not_found' }],
    ['a wrong number of parameters', ['echo'], { status: 404, error: 'function_not_found' }],
    [
      'a value that does not convert',
      ['echo', 'x'],
      { status: 400, error: 'invalid_request', parameter: 'p_n', type: 'integer' },
    ],
    ['a result that is too large', ['wide', 100_000], { status: 413, error: 'result_too_large' }],
  ])('%s: nothing is left', async (_, call, expected) => {
    await define(`insert into note values ('taken') on conflict do nothing`)
    const [before, behind] = [newId(), newId()]
    const answer = await inTransaction([['add_note', before], call, ['add_note', behind]])
    expect(answer).toMatchObject({ ...expected, call: 1 })
    expect(answer.results).toBeUndefined()
    expect(await kept([before, behind])).toEqual([])
  })

  test('results over MAX_RESULT_BYTES together: 413, and nothing is left', async () => {
    const id = newId()
    const answer = await inTransaction([
      ['add_note', id],
      ['wide', 60_000],
      ['wide', 60_000],
    ])
    expect(answer).toMatchObject({ status: 413, error: 'result_too_large', call: 2 })
    expect(await kept([id])).toEqual([])
  })

  test('a deferred constraint that fails at the end is the error of no call', async () => {
    const id = newId()
    const answer = await inTransaction([
      ['add_note', id],
      ['add_line', 'no such note'],
    ])
    expect(answer).toMatchObject({ status: 409, error: 'query_failed', sqlstate: '23503' })
    expect(answer.call).toBeUndefined()
    expect(await kept([id])).toEqual([])
  })

  test('a deferred constraint may be met by a later call', async () => {
    const id = newId()
    const answer = await inTransaction([
      ['add_line', id],
      ['add_note', id],
    ])
    expect(answer.status).toBe(200)
    expect(await kept([id])).toEqual([id])
  })

  test('all have the same transaction', async () => {
    const { results } = await inTransaction(Array(5).fill(['transaction_id']))
    expect(new Set(results.map(({ rows }: Json) => rows[0].transaction_id)).size).toBe(1)
  })

  test('it is read-only where all functions are STABLE or IMMUTABLE', async () => {
    const readOnly = async (calls: Call[]) =>
      (await inTransaction(calls)).results[0].rows[0].is_read_only
    expect(await readOnly([['is_read_only'], ['echo', 1]])).toBe('on')
    expect(await readOnly([['is_read_only'], ['add_note', newId()]])).toBe('off')
  })

  test('when the connection is lost, nothing is left: 503', async () => {
    const id = newId()
    const answer = await inTransaction([['add_note', id], ['die'], ['echo', 1]])
    expect(answer).toMatchObject({ status: 503, error: 'connection_failed' })
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(await kept([id])).toEqual([])
  })

  test('a function that is dropped meanwhile is a 404 with its place', async () => {
    await define('create function leaving() returns int language sql as $$ select 1 $$')
    const id = newId()
    const calls: Call[] = [['add_note', id], ['leaving']]
    await batch([['leaving']])
    await define('drop function leaving')
    expect(await inTransaction(calls)).toMatchObject({
      status: 404,
      error: 'function_not_found',
      call: 1,
    })
    expect(await kept([id])).toEqual([])
  })
})

describe('session', () => {
  const session = { 'app.user_id': 'anna', 'app.role': 'nurse' }

  test.each([{}, { transaction: true }])('is seen by every call: %j', async (more) => {
    const { results } = await batch([['user_id'], ['echo', 1], ['user_id']], { session, ...more })
    expect([results[0], results[2]].map(({ rows }) => rows[0].user_id)).toEqual(['anna', 'anna'])
  })

  test.each([{}, { transaction: true }])('is gone afterwards: %j', async (more) => {
    await batch([['user_id'], ['fail']], { session, ...more })
    await batch([['user_id']], { session, ...more })
    const answers = await Promise.all(Array.from({ length: 30 }, () => batch([['user_id']])))
    expect(answers.filter(({ results }) => results[0].rows[0].user_id)).toEqual([])
  })

  test('what a call changes of it is for that call alone, where each is by itself', async () => {
    await define(`
      create function become(p_name text, p_locally boolean) returns text language sql
      as $$ select set_config('app.user_id', p_name, p_locally) $$
    `)
    const calls: Call[] = [
      ['become', 'eve', true],
      ['user_id'],
      ['become', 'eve', false],
      ['user_id'],
    ]
    const { results } = await batch(calls, { session })
    expect([results[1], results[3]].map(({ rows }) => rows[0].user_id)).toEqual(['anna', 'anna'])
    await define('drop function become')
  })
})

describe('procedures', () => {
  beforeAll(async () => {
    await define(`
      create procedure two_notes(p_a text, p_b text, inout p_count int default 0)
      language plpgsql as $$
      begin
        insert into note values (p_a, current_setting('app.user_id', true));
        commit;
        insert into note values (p_b, current_setting('app.user_id', true));
        p_count := p_count + 2;
      end $$;
      create procedure one_note(p_id text) language sql as $$ insert into note values (p_id) $$;
    `)
  })

  test('run in their order, and may commit', async () => {
    const [a, b, c, d] = [newId(), newId(), newId(), newId()]
    const { results } = await batch([
      ['add_note', a],
      ['two_notes', b, c],
      ['add_note', d],
      ['two_notes', a, newId()],
      ['echo', 1],
    ])
    expect(results).toMatchObject([
      { row_count: 1 },
      { rows: [{ p_count: 2 }], row_count: 1 },
      { row_count: 1 },
      { status: 409, sqlstate: '23505' },
      { rows: [{ echo: 1 }] },
    ])
    expect(await kept([a, b, c, d])).toEqual([a, b, c, d])
  })

  test('find the session', async () => {
    const [a, b] = [newId(), newId()]
    const session = { 'app.user_id': 'anna' }
    const { results } = await batch([['user_id'], ['two_notes', a, b], ['user_id']], { session })
    expect(results.map(({ row_count }: Json) => row_count)).toEqual([1, 1, 1])
    const rows = await define(`select by from note where id in ('${a}', '${b}')`)
    expect(rows).toEqual([{ by: 'anna' }, { by: 'anna' }])
  })

  test('are part of the transaction', async () => {
    const [a, b, c] = [newId(), newId(), newId()]
    expect(await inTransaction([['one_note', a], ['fail']])).toMatchObject({ status: 400, call: 1 })
    expect(
      (
        await inTransaction([
          ['one_note', b],
          ['add_note', c],
        ])
      ).status,
    ).toBe(200)
    expect(await kept([a, b, c])).toEqual([b, c])
  })

  test('must not commit in a transaction', async () => {
    const [a, b, c] = [newId(), newId(), newId()]
    const answer = await inTransaction([
      ['add_note', a],
      ['two_notes', b, c],
      ['echo', 1],
    ])
    expect(answer).toMatchObject({ status: 500, error: 'query_failed', sqlstate: '2D000', call: 1 })
    expect(await kept([a, b, c])).toEqual([])
  })
})

describe('timeout_ms', () => {
  test.each([{}, { session: { 'app.user_id': 'anna' } }])(
    'is for all calls together: those that were cancelled say query_timeout: %j',
    async (more) => {
      const startedAt = Date.now()
      const { status, results } = await batch(
        [['echo', 1], ['slow', 0.05], ...Array(98).fill(['slow', 3])],
        { timeout_ms: 1500, ...more },
      )
      expect(status).toBe(200)
      expect(results.slice(0, 2)).toMatchObject([{ row_count: 1 }, { row_count: 1 }])
      for (const result of results.slice(2)) {
        expect(result).toMatchObject({ status: 504, error: 'query_timeout' })
      }
      expect(Date.now() - startedAt).toBeLessThan(6000)
      expect(await running('slow')).toBe(0)
    },
  )

  test.each([
    ['as it ran', 'pg_sleep(0.02)', 40, 50],
    ['at any moment', 'null', 100, 3],
  ])(
    'what was cancelled %s has left nothing, and nothing ran without the session',
    async (_, pause, size, leastMs) => {
      await define(`
      create or replace function note_by_user(p_id text) returns text language sql as $$
        insert into note values (p_id, current_setting('app.user_id', true));
        select ${pause};
        select p_id;
      $$
    `)
      const user = newId()
      const session = { 'app.user_id': user }
      for (let round = 0; round < 20; round++) {
        const ids = Array.from({ length: size }, newId)
        const { error, results = ids.map(() => ({ error })) } = await batch(
          ids.map((id) => ['note_by_user', id]),
          { session, timeout_ms: leastMs + round },
        )
        const done = ids.filter((_, i) => results[i].rows)
        const errors = results.filter(({ rows }: Json) => !rows).map(({ error }: Json) => error)
        expect(errors).toEqual(Array(size - done.length).fill('query_timeout'))
        expect(await kept(ids)).toEqual(done)
        const byOthers = `by is distinct from '${user}'`
        const others = `select from note where id in ('${ids.join("','")}') and ${byOthers}`
        expect(await define(others)).toEqual([])
      }
    },
  )

  test('in a transaction: 504, and nothing is left', async () => {
    const id = newId()
    const answer = await inTransaction(
      [
        ['add_note', id],
        ['slow', 3],
        ['echo', 1],
      ],
      {
        timeout_ms: 200,
      },
    )
    expect(answer).toMatchObject({ status: 504, error: 'query_timeout', call: 1 })
    expect(await kept([id])).toEqual([])
  })

  test('procedures that did not start say so', async () => {
    const id = newId()
    const { results } = await batch(
      [
        ['slow', 3],
        ['one_note', id],
      ],
      { timeout_ms: 200 },
    )
    expect(results).toMatchObject([
      { error: 'query_timeout', message: expect.stringContaining('200 ms') },
      { error: 'query_timeout', message: expect.stringContaining('has not run') },
    ])
    expect(await kept([id])).toEqual([])
  })
})

describe('a client that goes away', () => {
  test.each([{}, { transaction: true }, { session: { 'app.user_id': 'anna' } }])(
    'has its batch cancelled: %j',
    async (more) => {
      await abandon(Array(50).fill(['slow', 5]), 'slow', more)
      await until(async () => (await running('slow')) === 0)
      expect((await batch([['echo', 1]])).status).toBe(200)
    },
  )

  test('leaves nothing of its transaction', async () => {
    const id = newId()
    await abandon(
      [
        ['add_note', id],
        ['slow', 5],
      ],
      'slow',
      { transaction: true },
    )
    await until(async () => (await running('slow')) === 0)
    expect(await kept([id])).toEqual([])
  })
})

describe('the request', () => {
  const calls = [{ function: 'ping' }]

  test.each([
    ['calls', {}],
    ['calls', { calls: null }],
    ['calls', { calls: [] }],
    ['calls', { calls: {} }],
    ['calls', { calls: 'ping' }],
    ['calls', { calls: Array(101).fill({ function: 'ping' }) }],
    ['calls[0]', { calls: ['ping'] }],
    ['calls[1]', { calls: [...calls, null] }],
    ['calls[1].function', { calls: [...calls, {}] }],
    ['calls[1].function', { calls: [...calls, { function: 'Ping' }] }],
    ['calls[2].function', { calls: [...calls, ...calls, { function: 5 }] }],
    ['calls[0].params', { calls: [{ function: 'ping', params: 5 }] }],
    ['calls[0].session', { calls: [{ function: 'ping', session: {} }] }],
    ['calls[0].timeout_ms', { calls: [{ function: 'ping', timeout_ms: 5 }] }],
    ['calls[0].tenant_id', { calls: [{ function: 'ping', tenant_id: 'north' }] }],
    ['transaction', { calls, transaction: 'true' }],
    ['transaction', { calls, transaction: 1 }],
    ['timeout_ms', { calls, timeout_ms: 0 }],
    ['session', { calls, session: 5 }],
    ['session', { calls, session: { role: 'x' } }],
  ])('with wrong %s is a 400 that names it: %j', async (field, fields) => {
    const answer = await post({ platform, ...fields })
    expect(answer).toMatchObject({ status: 400, error: 'invalid_request' })
    expect(answer.message.slice(0, field.length + 1)).toMatch(/[ :.]$/)
    expect(answer.message.startsWith(field)).toBe(true)
  })

  test('of 101 calls runs none', async () => {
    const ids = Array.from({ length: 101 }, newId)
    expect((await batch(ids.map((id) => ['add_note', id]))).status).toBe(400)
    expect(await kept(ids)).toEqual([])
  })

  test('may leave out, or have null for, what is optional', async () => {
    const fields = { transaction: null, timeout_ms: null, session: null, tenant_id: null }
    expect((await post({ platform, calls, ...fields })).status).toBe(200)
    expect((await post({ platform, calls })).status).toBe(200)
  })

  test('needs a platform that is there', async () => {
    expect(await post({ calls })).toMatchObject({ status: 400, message: 'platform is missing' })
    expect(await post({ platform: 'nobody', calls })).toMatchObject({ error: 'database_not_found' })
    expect(await batch([['ping']], { tenant_id: 'nobody' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
    })
  })

  test('is a POST', async () => {
    const { status, headers } = await gateway.get('/batch')
    expect([status, headers.get('allow')]).toEqual([405, 'POST, OPTIONS'])
  })
})

describe('in one pipeline', () => {
  /** What came from the gateway after PostgreSQL's first word since the last look. */
  let late: Buffer[] = []
  let hasAnswered = false
  let proxy: Server
  let behindProxy: TestGateway

  beforeAll(async () => {
    const { host, port, user, password } = gateway.server
    const upstream = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
    proxy = createServer((client) => {
      const server = connect(upstream as NetConnectOpts)
      client.on('data', (bytes) => {
        if (hasAnswered) late.push(bytes)
        server.write(bytes)
      })
      server.on('data', (bytes) => {
        hasAnswered = true
        client.write(bytes)
      })
      client.on('close', () => server.destroy()).on('error', () => {})
      server.on('close', () => client.destroy()).on('error', () => {})
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const at = `127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const DATABASE_URL = `postgres://${user}:${encodeURIComponent(password)}@${at}/${gateway.server.database}`
    behindProxy = await startTestGateway({ DATABASE_URL })
    // The look for changes by hand, behind the first call, has a connection of its own.
    await behindProxy.post('/batch', batchBody([['echo', 1]]))
    await sleep(500)
  })
  afterAll(async () => {
    await behindProxy.stop()
    proxy.close()
  })

  const calls: Call[] = [['slow', 0.1], ...Array.from({ length: 20 }, (): Call => ['echo', 1])]

  test.each([
    ['each by itself', {}, /^$/],
    ['each by itself, with a session', { session: { 'app.user_id': 'anna' } }, /^$/],
    ['in one transaction', { transaction: true }, /^Q....commit\0$/s],
  ])('%s: all calls are sent before the first is answered', async (_, more, expected) => {
    // The second time, its statements are prepared.
    for (let i = 0; i < 2; i++) {
      hasAnswered = false
      late = []
      const { status, body } = await behindProxy.post('/batch', batchBody(calls, more))
      expect([status, body.results.length]).toEqual([200, 21])
    }
    expect(Buffer.concat(late).toString('latin1')).toMatch(expected)
  })
})

test('functions that nobody has called yet are read once each, however often they are called', async () => {
  await define(`
    create function fresh_a() returns text language sql as $$ select 'a' $$;
    create function fresh_b(p_n int) returns int language sql as $$ select p_n $$;
  `)
  const calls: Call[] = [['fresh_a'], ['fresh_b', 1], ['fresh_a'], ['fresh_b', 2]]
  expect((await inTransaction(calls)).results.map(({ rows }: Json) => rows[0])).toEqual([
    { fresh_a: 'a' },
    { fresh_b: 1 },
    { fresh_a: 'a' },
    { fresh_b: 2 },
  ])
})

test('the log has one line for a batch, with its platform and database', async () => {
  await gateway.post('/batch', batchBody([['ping'], ['ping']]), { 'x-request-id': 'one-batch' })
  await sleep(50)
  const lines = gateway.logged.filter((line) => line.request_id === 'one-batch')
  expect(lines).toMatchObject([{ method: 'POST', path: '/batch', status: 200, platform, database }])
})
