import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

const platform = 'control'
const database = `${platform}_main`
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway({ MAX_RESULT_BYTES: '100000', STATEMENT_TIMEOUT_SECS: '3' })
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await define(`
    create table runs (id text primary key);
    create function slow(p_seconds float8) returns text language sql
      as $$ select pg_sleep(p_seconds); select 'slept' $$;
    create function note(p_id text, p_seconds float8 default 0) returns text language plpgsql as $$
      begin
        insert into runs values (p_id);
        perform pg_sleep(p_seconds);
        return p_id;
      end $$;
    create function setting(p_name text) returns text language sql stable
      as $$ select current_setting(p_name, true) $$;
    create function settings_and_write(p_id text) returns text language plpgsql as $$
      begin
        insert into runs values (p_id);
        return current_setting('app.user_id');
      end $$;
    create function wide(p_bytes int) returns table (text text) language sql
      as $$ select repeat('x', p_bytes) $$;
    create function fail() returns void language plpgsql
      as $$ begin raise exception 'no' using errcode = 'P0001'; end $$;
    create function backend() returns int language sql as $$ select pg_backend_pid() $$;
  `)
})
afterAll(() => gateway.stop())

/** Runs SQL in the platform's database, behind the gateway's back. */
const define = (sql: string) => queryDatabase(database, sql)

const call = async (name: string, params: unknown, more: object = {}): Promise<Json> => {
  const { status, headers, body } = await gateway.post('/call', {
    platform,
    function: name,
    params,
    ...more,
  })
  return { status, headers, ...body }
}

/** How many sessions run a statement like this one. */
const running = (text: string) => sessionsRunning(database, text)

/** A call whose client goes away when PostgreSQL runs it. */
async function abandon(name: string, params: unknown, more: object = {}): Promise<void> {
  const body = JSON.stringify({ platform, function: name, params, ...more })
  const req = httpRequest(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  })
  const closed = new Promise((resolve) => req.once('close', resolve))
  req.on('error', () => {})
  req.end(body)
  await until(async () => (await running(name)) > 0)
  req.destroy()
  await closed
}

/** Calls a function until it has shown itself quick. */
async function warmUp(name: string, params: () => unknown): Promise<void> {
  for (let i = 0; i < 12; i++) expect((await call(name, params())).status).toBe(200)
}

let lastId = 0
const newId = () => `id${++lastId}`

describe('timeout_ms', () => {
  test('cancels the function in PostgreSQL: 504', async () => {
    // The time for reading what there is counts, too.
    await call('slow', [0])
    const answer = await call('slow', [2], { timeout_ms: 100 })
    expect(answer).toMatchObject({
      status: 504,
      error: 'query_timeout',
      message: 'The function was cancelled after 100 ms (timeout_ms)',
      database,
    })
    expect(await running('slow')).toBe(0)
    expect((await call('ping', [])).rows).toEqual([{ ping: 'pong' }])
  })

  test('leaves nothing of what the function did', async () => {
    const id = newId()
    expect((await call('note', [id, 2], { timeout_ms: 100 })).status).toBe(504)
    expect(await define(`select from runs where id = '${id}'`)).toHaveLength(0)
  })

  test('that is longer than the call does nothing', async () => {
    expect((await call('slow', [0.01], { timeout_ms: 2000 })).rows).toEqual([{ slow: 'slept' }])
  })

  test('never goes beyond STATEMENT_TIMEOUT_SECS', async () => {
    const answer = await call('slow', [20], { timeout_ms: 60_000 })
    expect(answer).toMatchObject({ status: 504, error: 'query_timeout', sqlstate: '57014' })
    expect(answer.message).toContain('statement timeout')
  })

  test.each([0, -1, 1.5, '100', true, []])(
    'is a whole number of milliseconds, not %j',
    async (ms) => {
      expect(await call('ping', [], { timeout_ms: ms })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringContaining('timeout_ms'),
      })
    },
  )

  test('may be null: none', async () => {
    expect((await call('ping', [], { timeout_ms: null })).status).toBe(200)
  })
})

describe('a client that goes away', () => {
  test('has its query cancelled', async () => {
    await abandon('slow', [3])
    await until(async () => (await running('slow')) === 0)
    await until(async () => gateway.logged.some((line) => line.status === 499))
    expect((await call('ping', [])).status).toBe(200)
  })

  test('leaves nothing of what its function did', async () => {
    const id = newId()
    await abandon('note', [id, 3])
    await until(async () => (await running('note')) === 0)
    expect(await define(`select from runs where id = '${id}'`)).toHaveLength(0)
  })

  test('has its query cancelled in a session of its own settings too', async () => {
    await abandon('slow', [3], { session: { 'app.user_id': 1 } })
    await until(async () => (await running('slow')) === 0)
    expect((await call('setting', ['app.user_id'])).rows[0].setting || null).toBeNull()
  })

  test('leaves the queue for a connection', async () => {
    const busy = Array.from({ length: 10 }, () => call('slow', [2.5]))
    await until(async () => (await running('slow')) === 10)
    const id = newId()
    const body = JSON.stringify({ platform, function: 'note', params: [id] })
    const req = httpRequest(`${gateway.url}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    req.on('error', () => {})
    req.end(body)
    await until(async () => gateway.gateway.pools.status().waiting === 1)
    req.destroy()
    await until(async () => gateway.gateway.pools.status().waiting === 0)
    expect((await Promise.all(busy)).map((answer) => answer.status)).toEqual(Array(10).fill(200))
    expect(await define(`select from runs where id = '${id}'`)).toHaveLength(0)
  })
})

describe('session', () => {
  const setting = async (name: string, session?: object) =>
    (await call('setting', [name], { session })).rows[0].setting

  test('is visible to the function by current_setting', async () => {
    expect(await setting('app.user_id', { 'app.user_id': 'anna' })).toBe('anna')
  })

  test('numbers, booleans, null, arrays and objects are text', async () => {
    const session = {
      'app.n': 12,
      'app.big': '12345678901234567890.10',
      'app.b': true,
      'app.null': null,
      'app.claims': { roles: ['a', 'b'] },
    }
    expect(await setting('app.n', session)).toBe('12')
    expect(await setting('app.b', session)).toBe('true')
    expect(await setting('app.null', session)).toBe('')
    expect(JSON.parse(await setting('app.claims', session))).toEqual({ roles: ['a', 'b'] })
    const raw = `{"platform":"${platform}","function":"setting","params":["app.big"],"session":{"app.big":12345678901234567890.10}}`
    expect((await gateway.post('/call', raw)).body.rows).toEqual([
      { setting: '12345678901234567890.10' },
    ])
  })

  test('a value may be any text', async () => {
    const value = `'; drop table runs; -- "\\ \n ü 𝄞`
    expect(await setting('app.user_id', { 'app.user_id': value })).toBe(value)
  })

  test('is gone after the call, also after one that failed', async () => {
    const session = { 'app.user_id': 'secret' }
    await call('fail', [], { session })
    await call('setting', ['app.user_id'], { session })
    const rest = await Promise.all(Array.from({ length: 40 }, () => setting('app.user_id')))
    expect(rest.filter((value) => value)).toEqual([])
  })

  test('never leaks to another call, however many run at once', async () => {
    await warmUp('setting', () => ['app.user_id'])
    const answers = await Promise.all(
      Array.from({ length: 600 }, async (_, i) => {
        const own = i % 3 === 0 ? '' : `user${i}`
        const got = await setting('app.user_id', own ? { 'app.user_id': own } : undefined)
        return (got ?? '') === own
      }),
    )
    expect(answers.filter((isOwn) => !isOwn)).toHaveLength(0)
  })

  test('a function that writes does so, once', async () => {
    const id = newId()
    const answer = await call('settings_and_write', [id], { session: { 'app.user_id': 'x' } })
    expect(answer.rows).toEqual([{ settings_and_write: 'x' }])
    expect(await define(`select from runs where id = '${id}'`)).toHaveLength(1)
  })

  test('what the function raises is the answer', async () => {
    expect(await call('fail', [], { session: { 'app.user_id': 'x' } })).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: 'P0001',
      message: 'no',
    })
  })

  test('an empty one is none', async () => {
    expect((await call('ping', [], { session: {} })).status).toBe(200)
    expect((await call('ping', [], { session: null })).status).toBe(200)
  })

  test.each([
    'role',
    'search_path',
    'statement_timeout',
    'app.',
    '.x',
    'a b.c',
    'plpgsql.extra_errors',
    `app.${'x'.repeat(80)}`,
  ])('refuses the name %s', async (name) => {
    const answer = await call('ping', [], { session: { [name]: 'x' } })
    expect(answer).toMatchObject({ status: 400, error: 'invalid_request' })
    expect(answer.message).toContain('session')
  })

  test.each([[['a']], ['x'], [5]])('refuses %j', async (session) => {
    expect((await call('ping', [], { session })).status).toBe(400)
  })

  test('refuses a NUL', async () => {
    const answer = await call('ping', [], { session: { 'app.user_id': 'a\0b' } })
    expect(answer).toMatchObject({ status: 400, message: expect.stringContaining('app.user_id') })
  })
})

describe('a result over MAX_RESULT_BYTES', () => {
  test('is refused: 413, and is not even sent by PostgreSQL', async () => {
    const answer = await call('wide', [100_001])
    expect(answer).toMatchObject({ status: 413, error: 'result_too_large' })
    expect(answer.message).toContain('100000 bytes')
  })

  test('one of just that size is not', async () => {
    const shell = '[{"text":""}]'.length
    const answer = await call('wide', [100_000 - shell])
    expect(answer.rows[0].text).toHaveLength(100_000 - shell)
    expect((await call('wide', [100_001 - shell])).status).toBe(413)
  })
})

test('Server-Timing tells the wait for a connection, the query, and the whole', async () => {
  const { headers } = await call('slow', [0.05])
  const timing = headers.get('server-timing')
  expect(timing).toMatch(/^wait;dur=[\d.]+, query;dur=[\d.]+, total;dur=[\d.]+$/)
  const [, query, total] = timing.match(/[\d.]+/g).map(Number)
  expect(query).toBeGreaterThanOrEqual(50)
  expect(total).toBeGreaterThanOrEqual(query)
})

test('the wait has the opening of a connection in it', async () => {
  const waitOf = async () => {
    const { headers } = await call('slow', [0])
    return Number(/wait;dur=([\d.]+)/.exec(headers.get('server-timing'))![1])
  }
  await gateway.gateway.pools.closeDatabase(database)
  // PostgreSQL starts a process for it, and checks a password.
  expect(await waitOf()).toBeGreaterThan(1)
})

describe('quick calls share a connection', () => {
  const backends = async (name: string, params: () => unknown, count: number) => {
    const answers = await Promise.all(Array.from({ length: count }, () => call(name, params())))
    expect(answers.map(({ status }) => status)).toEqual(Array(count).fill(200))
    return new Set(answers.map(({ rows }) => rows[0][name])).size
  }

  test('once they have shown themselves quick', async () => {
    // On a machine that has much else to do, they are not quick at once.
    const used = async () => {
      await warmUp('backend', () => [])
      return backends('backend', () => [], 20)
    }
    await expect.poll(used, { timeout: 30_000 }).toBeLessThan(5)
  })

  test('slow ones do not, and do not hold up the quick ones', async () => {
    await warmUp('backend', () => [])
    const slow = Array.from({ length: 9 }, () => call('slow', [2.5]))
    await until(async () => (await running('slow')) === 9)
    // One that is held up waits for all of that time.
    for (let i = 0; i < 3; i++) expect((await call('backend', [])).status).toBe(200)
    expect(await running('slow')).toBe(9)
    await Promise.all(slow)
  })

  test('an error of one does not touch the others', async () => {
    await warmUp('note', () => [newId()])
    const taken = newId()
    await call('note', [taken])
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => call('note', [i % 2 ? taken : newId()])),
    )
    expect(answers.map(({ status }) => status)).toEqual(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? 409 : 200)),
    )
  })

  test('when one of them is slow for once and is cancelled, the others run once all the same', async () => {
    for (let round = 0; round < 5; round++) {
      await warmUp('note', () => [newId()])
      const ids = Array.from({ length: 30 }, newId)
      const answers = await Promise.all(
        ids.map((id, i) =>
          i === 5 ? call('note', [id, 2], { timeout_ms: 50 }) : call('note', [id]),
        ),
      )
      expect(answers.map(({ status }) => status)).toEqual(ids.map((_, i) => (i === 5 ? 504 : 200)))
      const found = await define(`select id from runs where id in ('${ids.join("','")}')`)
      expect(found).toHaveLength(29)
    }
  })
})
