import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { IS_PRESENCE } from '../../lib/postgres/pools/call-sessions.ts'
import {
  type Answer,
  becomePlatform,
  connectTo,
  queryDatabase,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const platform = 'stream'
const database = `${platform}_main`
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway({
    MAX_RESULT_BYTES: '100000',
    STATEMENT_TIMEOUT_SECS: '2',
    MAX_BUFFERED_BYTES: '8000000',
    POOL_WAIT_TIMEOUT_SECS: '3',
  })
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await define(`
    create table runs (id text primary key);
    create function numbers(p_count int) returns table (n int, text text) language sql
      as $$ select i, 'number ' || i from generate_series(1, p_count) i $$;
    create function odd_values() returns table (a text, "b c" text, j json, t timestamptz, n numeric)
      language sql as $$ values
        ('plain', null, '{"x":\n 1,\r"y": "line\\nend"}'::json, '2026-01-02 03:04:05+02'::timestamptz, 1.50),
        ('', 'say "hi", please', null, null, 12345678901234567890.123),
        ('\\.', E'two\nlines', '[]', 'infinity', 'NaN') $$;
    create function lone_values() returns table (v text) language sql
      as $$ values ('\\.'), (''), (null), ('\\..'), (' \\.'), ('.') $$;
    create function "back_slash"() returns table ("\\." text) language sql as $$ values ('\\.') $$;
    create function lines_of(p_megabytes int) returns table (chunk text) language sql
      as $$ select repeat('x', 100000) from generate_series(1, p_megabytes * 10) $$;
    create function large(p_bytes int, p_rows int) returns table (n numeric, text text) language sql
      as $$ select i, repeat('x', p_bytes) from generate_series(1, p_rows) i $$;
    create function growing() returns table (n numeric, text text) language sql
      as $$ select i, case when i <= 3000 then 'a' else repeat('x', 20000) end from generate_series(1, 3500) i $$;
    create function fail_at(p_row int) returns table (n int) language sql stable
      as $$ select 1 / (p_row - i) from generate_series(1, 100000) i $$;
    create function fail_at_once() returns setof int language plpgsql
      as $$ begin raise exception 'no rows today' using errcode = 'P0001'; end $$;
    create function slow(p_seconds float8) returns table (n int) language sql
      as $$ select 1 from pg_sleep(p_seconds) $$;
    create function note(p_id text) returns setof text language plpgsql as $$
      begin insert into runs values (p_id); return query select repeat('x', 1000000) from generate_series(1, 100); end $$;
    create function who() returns text language sql stable
      as $$ select current_setting('app.user_id', true) $$;
    create function nothing() returns void language sql as $$ select $$;
    create function unlocks() returns setof text language plpgsql as
      $$ begin perform pg_advisory_unlock_all(); perform pg_sleep(0.5); return next 'x'; end $$;
    create procedure proceed(inout p_n int) language plpgsql as $$ begin p_n := p_n + 1; end $$;
  `)
})
afterAll(() => gateway.stop())

const define = (sql: string) => queryDatabase(database, sql)

const NDJSON = 'application/x-ndjson'

const call = (accept: string, name: string, params: unknown = [], more: object = {}) =>
  gateway.post('/call', { platform, function: name, params, ...more }, { accept })

const linesOf = ({ body }: Answer) => (body as string).split('\n').slice(0, -1)

/** Opens a stream and reads nothing of it yet. */
async function open(
  name: string,
  params: unknown,
  headers = {},
  more = {},
): Promise<IncomingMessage> {
  const req = httpRequest(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: NDJSON, ...headers },
  })
  req.end(JSON.stringify({ platform, function: name, params, ...more }))
  const [response] = await once(req, 'response')
  response.pause()
  return response
}

/** What PostgreSQL's own COPY makes of it. */
async function copied(source: string): Promise<string> {
  const sql = connectTo(database)
  await becomePlatform(sql)
  await sql`set timezone to 'UTC'`
  const copy = `copy (select * from ${source}) to stdout (format csv, header)`
  let text = ''
  for await (const chunk of await sql.unsafe(copy).readable()) text += chunk
  await sql.end()
  return text
}

/** The lines of a stream that has no proper end, read from so many milliseconds on. */
async function cutLines(response: IncomingMessage, afterMs = 0): Promise<string[]> {
  const closed = new Promise((resolve) => response.once('close', resolve))
  // Without it, Node.js takes one that is cut for whole.
  response.on('error', () => {})
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  const chunks: Buffer[] = []
  response.on('data', (chunk) => chunks.push(chunk)).resume()
  await closed
  expect(response.complete).toBe(false)
  return Buffer.concat(chunks).toString().trim().split('\n')
}

async function read(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Sessions of the platform that are in a transaction. */
async function inTransaction(): Promise<number> {
  const [{ n }] = await define(`
    select count(*)::int as n from pg_stat_activity
    where datname = '${database}' and xact_start is not null and pid <> pg_backend_pid()`)
  return n
}

describe('with Accept: application/x-ndjson', () => {
  test('each row is a JSON object on a line', async () => {
    const answer = await call(NDJSON, 'numbers', [3])
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8')
    expect(answer.headers.get('x-request-id')).toBeTruthy()
    expect(answer.headers.get('server-timing')).toMatch(/^first;dur=\d/)
    expect(linesOf(answer)).toEqual([
      '{"n":1,"text":"number 1"}',
      '{"n":2,"text":"number 2"}',
      '{"n":3,"text":"number 3"}',
    ])
  })

  test('all rows come, in order, however many they are', async () => {
    const lines = linesOf(await call(NDJSON, 'numbers', [100_000]))
    expect(lines.map((line) => JSON.parse(line).n)).toEqual(
      Array.from({ length: 100_000 }, (_, i) => i + 1),
    )
  })

  test('values are exact, and a json with line ends stays on its line', async () => {
    const lines = linesOf(await call(NDJSON, 'odd_values'))
    expect(lines).toHaveLength(3)
    expect(lines[0]).toContain('"n":1.50')
    expect(JSON.parse(lines[0]!).j).toEqual({ x: 1, y: 'line\nend' })
    expect(JSON.parse(lines[0]!).t).toBe('2026-01-02T01:04:05+00:00')
    expect(lines[1]).toContain('12345678901234567890.123')
    expect(JSON.parse(lines[2]!)['b c']).toBe('two\nlines')
  })

  test('no rows are no lines', async () => {
    const { status, body } = await call(NDJSON, 'numbers', [0])
    expect({ status, body }).toEqual({ status: 200, body: '' })
  })

  test('a scalar function has its name as column, and void is ""', async () => {
    expect((await call(NDJSON, 'ping')).body).toBe('{"ping":"pong"}\n')
    expect((await call(NDJSON, 'nothing')).body).toBe('{"nothing":""}\n')
  })

  test('MAX_RESULT_BYTES does not hold', async () => {
    expect((await call('application/json', 'lines_of', [1])).body.error).toBe('result_too_large')
    expect(linesOf(await call(NDJSON, 'lines_of', [3]))).toHaveLength(30)
  })

  test('a session is seen, and gone for the next call', async () => {
    const session = { 'app.user_id': 'anna' }
    expect((await call(NDJSON, 'who', [], { session })).body).toBe('{"who":"anna"}\n')
    expect(JSON.parse((await call(NDJSON, 'who')).body).who ?? '').toBe('')
  })

  test('a session stays one that a deploy sees, whatever locks the function releases', async () => {
    const answer = call(NDJSON, 'unlocks')
    const [{ locks }] = await eventually('it runs', async () => {
      const rows = await queryDatabase(
        database,
        `select (select count(*)::int from pg_locks l where l.pid = a.pid and ${IS_PRESENCE}) as locks
         from pg_stat_activity a
         where a.datname = '${database}' and a.wait_event = 'PgSleep' and a.query like '%unlocks%'`,
        { asGateway: true },
      )
      return rows.length > 0 && rows
    })
    expect(locks).toBe(1)
    expect(linesOf(await answer)).toHaveLength(1)
  })

  test('a procedure is refused', async () => {
    const { status, body } = await call(NDJSON, 'proceed', [1])
    expect({ status, ...body }).toMatchObject({ status: 400, error: 'invalid_request' })
    expect(body.message).toContain('procedure')
  })

  test('a function that was replaced meanwhile runs as it is now', async () => {
    const make = (type: string, value: string) =>
      define(`drop function if exists changing(); create function changing() returns ${type}
        language sql as $$ select ${value} $$`)
    await make('text', `'old'`)
    expect((await call(NDJSON, 'changing')).body).toBe('{"changing":"old"}\n')
    await make('int', '2')
    expect((await call(NDJSON, 'changing')).body).toBe('{"changing":2}\n')
  })
})

describe('with Accept: text/csv', () => {
  test('the rows are what copy … with (format csv, header) writes', async () => {
    const answer = await call('text/csv', 'odd_values')
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    expect(answer.body).toBe(await copied('odd_values()'))
  })

  test.each(['lone_values', 'back_slash'])('%s: so is a lone \\. in one column', async (name) => {
    expect((await call('text/csv', name)).body).toBe(await copied(`${name}()`))
  })

  test('without rows there is the header', async () => {
    expect((await call('text/csv', 'numbers', [0])).body).toBe('n,text\n')
  })
})

describe('what a client prefers is what it gets', () => {
  test.each([
    ['*/*', 'application/json'],
    ['text/csv;q=0.5, application/json', 'application/json'],
    ['text/csv, application/json;q=0.9', 'text/csv'],
    ['application/x-ndjson;q=0, application/json', 'application/json'],
    ['text/*', 'text/csv'],
    ['application/xml', 'application/json'],
  ])('%s: %s', async (accept, type) => {
    const { headers } = await call(accept, 'ping')
    expect(headers.get('content-type')).toContain(type)
  })
})

describe('what fails', () => {
  test('before the first row, is an error as any other', async () => {
    expect(await call(NDJSON, 'fail_at_once')).toMatchObject({
      status: 400,
      body: { error: 'query_failed', sqlstate: 'P0001', message: 'no rows today' },
    })
    expect(await call(NDJSON, 'numbers', ['x'])).toMatchObject({
      status: 400,
      body: { error: 'invalid_request', parameter: 'p_count', type: 'integer' },
    })
    expect(await call('text/csv', 'numbres')).toMatchObject({
      status: 404,
      body: { error: 'function_not_found' },
    })
  })

  test('behind the first rows, is the last line, and the answer has no proper end', async () => {
    const lines = await cutLines(await open('fail_at', [50_000]))
    expect(lines.length).toBeGreaterThan(100)
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ error: 'query_failed', sqlstate: '22012' })
    expect((await call(NDJSON, 'ping')).body).toBe('{"ping":"pong"}\n')
  })

  test('STATEMENT_TIMEOUT_SECS is how long the next rows may take', async () => {
    const { status, body } = await call(NDJSON, 'slow', [10])
    expect({ status, error: body.error }).toEqual({ status: 504, error: 'query_timeout' })
    expect(body.message).toContain('STATEMENT_TIMEOUT_SECS')
    expect(await inTransaction()).toBe(0)
  })

  test('timeout_ms is how long all of them may', async () => {
    const { status, body } = await call(NDJSON, 'slow', [10], { timeout_ms: 100 })
    expect({ status, error: body.error }).toEqual({ status: 504, error: 'query_timeout' })
    expect(body.message).toContain('timeout_ms')
  })

  test('timeout_ms that is over while the client reads speaks of the function alone', async () => {
    const response = await open('lines_of', [100], {}, { timeout_ms: 1000 })
    const lines = await cutLines(response, 1200)
    expect(JSON.parse(lines.at(-1)!)).toEqual({
      error: 'query_timeout',
      message: 'The function did not end within 1000 ms (timeout_ms); it was rolled back',
      database,
      may_have_run: false,
    })
  })

  test('a session that ends behind the first rows: nothing of it is left, and it says so', async () => {
    const response = await open('note', ['ended'])
    await define(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = '${database}' and xact_start is not null and pid <> pg_backend_pid()`)
    const lines = await cutLines(response)
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({
      error: 'connection_failed',
      // What it said may be behind rows that nothing reads any more.
      message: expect.stringMatching(/; the function was rolled back$/),
      may_have_run: false,
    })
    expect(await define(`select * from runs where id = 'ended'`)).toEqual([])
  })
})

describe('a client that reads slowly', () => {
  test('holds PostgreSQL back: the gateway keeps little of what it does not read', async () => {
    const before = process.memoryUsage()
    const response = await open('lines_of', [150])
    await new Promise((resolve) => setTimeout(resolve, 500))
    const after = process.memoryUsage()
    expect(after.rss - before.rss).toBeLessThan(64 * 1024 * 1024)
    expect(await inTransaction()).toBe(1)
    expect((await read(response)).length).toBe(1500 * (100_000 + '{"chunk":""}\n'.length))
    await eventually('its connection is free', async () => (await inTransaction()) === 0)
  })

  test('of rows that are large holds one, which is counted', async () => {
    const { buffered } = gateway.gateway
    for (const [accept, start] of [
      [NDJSON, '{"n":'],
      ['text/csv', 'n,text\n1,xxx'],
    ] as const) {
      const response = await open('large', [3_000_000, 6], { accept })
      await eventually('a row waits for the client', () => buffered.taken > 3_000_000)
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect(buffered.taken).toBeLessThan(3_200_000)
      const text = (await read(response)).toString('latin1')
      expect(text.startsWith(start)).toBe(true)
      expect(text.split('\n').filter((line) => line.length > 3_000_000)).toHaveLength(6)
      await eventually('nothing is held', () => buffered.taken === 0)
    }
  })

  test('of rows that turn out large holds few at once', async () => {
    const { buffered } = gateway.gateway
    let most = 0
    const hold = buffered.hold.bind(buffered)
    const spy = vi.spyOn(buffered, 'hold').mockImplementation((holder, bytes) => {
      hold(holder, bytes)
      most = Math.max(most, buffered.taken)
    })
    for (const numeric of ['string', 'number']) {
      const { body } = await call(NDJSON, 'growing', [], { numeric })
      const lines = (body as string)
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
      const known = (n: number) => (numeric === 'string' ? String(n) : n)
      expect(lines.every(({ n }, i) => n === known(i + 1))).toBe(true)
      expect(lines.filter(({ text }) => text.length === 20_000)).toHaveLength(500)
    }
    spy.mockRestore()
    expect(most).toBeGreaterThan(64 * 1024)
    expect(most).toBeLessThan(256 * 1024)
    await eventually('nothing is held', () => buffered.taken === 0)
  })

  test('waits for room with a row that is large, and short ones need none', async () => {
    const { buffered } = gateway.gateway
    const holder = buffered.newHolder()
    buffered.take(holder, buffered.capacity)
    const inTime = call(NDJSON, 'large', [1_000_000, 2])
    await eventually('it waits', () => buffered.waiting === 1)
    expect(linesOf(await call(NDJSON, 'numbers', [10_000]))).toHaveLength(10_000)
    buffered.end(holder, new Error('over'))
    expect(linesOf(await inTime)).toHaveLength(2)

    buffered.hold(holder, buffered.capacity)
    const late = await call(NDJSON, 'note', ['no room'])
    expect(late).toMatchObject({
      status: 503,
      body: { error: 'pool_exhausted', may_have_run: false },
    })
    expect(await define(`select * from runs where id = 'no room'`)).toEqual([])
    buffered.end(holder, new Error('over'))
    await eventually('nothing is held', () => buffered.taken === 0 && buffered.waiting === 0)
  })

  test('and goes away ends the query, and nothing of it is left', async () => {
    const response = await open('note', ['gone'])
    expect(await inTransaction()).toBe(1)
    response.destroy()
    await eventually('it has ended', async () => (await inTransaction()) === 0)
    expect(await define(`select * from runs where id = 'gone'`)).toEqual([])
  })

  test('and stops reading is cut after STATEMENT_TIMEOUT_SECS', async () => {
    const response = await open('lines_of', [100])
    await eventually('its connection is free', async () => (await inTransaction()) === 0)
    await expect(read(response)).rejects.toThrow('aborted')
  })

  test('does not hold up calls: streams hold half of the connections, the others wait', async () => {
    const streams = await Promise.all(Array.from({ length: 5 }, () => open('lines_of', [100])))
    let isAnswered = false
    const sixth = call(NDJSON, 'numbers', [1]).finally(() => {
      isAnswered = true
    })
    expect((await gateway.call(platform, 'ping')).body.rows).toEqual([{ ping: 'pong' }])
    expect([await inTransaction(), isAnswered]).toEqual([5, false])
    streams[0]!.destroy()
    expect(linesOf(await sixth)).toHaveLength(1)
    for (const response of streams) response.destroy()
    await eventually('they have ended', async () => (await inTransaction()) === 0)
  })

  test('one that reads to the end has what the function wrote', async () => {
    await read(await open('note', ['read']))
    expect(await define(`select * from runs where id = 'read'`)).toEqual([{ id: 'read' }])
  })
})

describe('with Accept-Encoding', () => {
  const decode = { gzip: gunzipSync, br: brotliDecompressSync }

  test.each(['gzip', 'br'] as const)('%s, a stream is compressed', async (encoding) => {
    const response = await open('numbers', [20_000], { 'accept-encoding': encoding })
    expect(response.headers['content-encoding']).toBe(encoding)
    const bytes = await read(response)
    const text = decode[encoding](bytes).toString()
    expect(text.split('\n')).toHaveLength(20_001)
    expect(bytes.length).toBeLessThan(text.length / 3)
  })

  test.each(['gzip', 'br'] as const)('%s, a large answer is compressed', async (encoding) => {
    const headers = { accept: 'application/json', 'accept-encoding': encoding }
    const response = await open('numbers', [1000], headers)
    expect(response.headers).toMatchObject({
      'content-encoding': encoding,
      vary: 'accept, accept-encoding',
    })
    const bytes = await read(response)
    expect(Number(response.headers['content-length'])).toBe(bytes.length)
    expect(JSON.parse(decode[encoding](bytes).toString()).row_count).toBe(1000)
  })

  test('a small answer is not', async () => {
    const headers = { accept: 'application/json', 'accept-encoding': 'gzip' }
    const response = await open('numbers', [3], headers)
    expect(response.headers['content-encoding']).toBeUndefined()
    expect(JSON.parse((await read(response)).toString()).row_count).toBe(3)
  })

  test.each(['identity', 'gzip;q=0', 'deflate'])('%s, nothing is', async (encoding) => {
    const response = await open('numbers', [1000], { 'accept-encoding': encoding })
    expect(response.headers['content-encoding']).toBeUndefined()
    expect((await read(response)).toString().split('\n')).toHaveLength(1001)
  })
})
