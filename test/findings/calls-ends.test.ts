import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BehindProxy, startBehindProxy } from '../helpers/behind-proxy.ts'
import type { FaultProxy } from '../helpers/fault-proxy.ts'
import { queryDatabase, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { parseAnswer, sendRaw } from '../helpers/raw-http.ts'

const platform = uniqueName('ends')
const database = `${platform}_main`
let behind: BehindProxy
let proxy: FaultProxy
let gateway: TestGateway

beforeAll(async () => {
  behind = await startBehindProxy()
  gateway = behind.gateway
  proxy = behind.proxy
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await define(`
    create function many(p_count int) returns table (n int, word text) language sql stable
      as $$ select n, 'a "word"' from generate_series(1, p_count) n $$;
    create table notes (n int);
    create function write_note() returns int language sql
      as $$ insert into notes values (1) returning n $$;
    create function write_secretly() returns int language plpgsql stable
      as $$ begin return write_note(); end $$;
  `)
})
afterAll(() => behind.stop())

const define = (sql: string) => queryDatabase(database, sql)
const get = (path: string, headers = {}) => gateway.get(`/call/${platform}/${path}`, headers)

describe('Where it cannot be found out whether a function is as it was known', () => {
  /** Another argument type, by hand, so that PostgreSQL refuses the statement; and no look. */
  async function meetChange(name: string, call: () => Promise<unknown>): Promise<unknown> {
    await define(`create function ${name}(p int) returns int language sql as $$ select p $$`)
    await gateway.call(platform, name, [1])
    await define(`
      drop function ${name}(int);
      create function ${name}(p text) returns text language sql as $$ select p $$`)
    // What compares the versions reads pg_amproc.
    proxy.inspect((bytes) => (bytes.includes('pg_amproc') ? 'cut' : 'forward'))
    try {
      return await call()
    } finally {
      proxy.heal()
    }
  }
  const lost = { error: 'connection_failed' }

  test('a call says that PostgreSQL does not answer', async () => {
    const call = () => gateway.call(platform, 'one_call', [1])
    expect(await meetChange('one_call', call)).toMatchObject({ status: 503, body: lost })
  })

  test.each([false, true])('so does a batch, with "transaction": %s', async (transaction) => {
    const name = `in_batch_${transaction}`
    const calls = [{ function: name, params: [1] }]
    const answer = await meetChange(name, () =>
      gateway.post('/batch', { platform, transaction, calls }),
    )
    expect(answer).toMatchObject(
      transaction
        ? { status: 503, body: lost }
        : { status: 200, body: { results: [{ status: 503, ...lost }] } },
    )
  })

  test('so does a stream', async () => {
    const body = { platform, function: 'in_stream', params: [1] }
    const accept = { accept: 'application/x-ndjson' }
    const call = () => gateway.post('/call', body, accept)
    expect(await meetChange('in_stream', call)).toMatchObject({ status: 503, body: lost })
  })
})

describe('A request', () => {
  test('may begin with a byte order mark', async () => {
    const body = `\ufeff${JSON.stringify({ platform, function: 'ping' })}`
    expect(await gateway.post('/call', body)).toMatchObject({
      status: 200,
      body: { rows: [{ ping: 'pong' }] },
    })
    expect(await gateway.post('/call', '\ufeff')).toMatchObject({ status: 400 })
    expect(await gateway.post('/call', `\ufeff${body}`)).toMatchObject({ status: 400 })
  })

  test.each(['', 'null'])('whose tenant_id is "%s" does not mean the main database', async (id) => {
    expect(await gateway.call(platform, 'ping', [], id)).toMatchObject({
      status: 400,
      body: { error: 'invalid_request', message: expect.stringContaining('leave it out') },
    })
    const calls = [{ function: 'ping' }]
    expect(await gateway.post('/batch', { platform, tenant_id: id, calls })).toMatchObject({
      status: 400,
    })
    const meant = { platform, tenant_id: null, function: 'ping' }
    expect(await gateway.post('/call', meant)).toMatchObject({ status: 200 })
    // A form has no null.
    const archive = await pack(textFunction('ping', 'pong'))
    expect(await gateway.register(platform, archive, id)).toMatchObject({
      status: 200,
      body: { database },
    })
  })

  test('OPTIONS * is about the server as a whole', async () => {
    const text = await sendRaw(
      gateway.url,
      'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    )
    const { status, headers } = parseAnswer(text)
    expect(status).toBe(204)
    expect(headers.get('allow')).toContain('POST')
    expect(headers.get('x-request-id')).toBeDefined()
  })
})

describe('GET /call', () => {
  test('gives JSON lines and CSV to who accepts them', async () => {
    const lines = await get('many?p_count=2', { accept: 'application/x-ndjson' })
    expect(lines.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8')
    expect(lines.body).toBe('{"n":1,"word":"a \\"word\\""}\n{"n":2,"word":"a \\"word\\""}\n')
    const csv = await get('many?p_count=1', { accept: 'text/csv' })
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present')
    expect(csv.body).toBe('n,word\n1,"a ""word"""\n')
    for (const { headers } of [lines, csv, await get('many?p_count=1')]) {
      expect(headers.get('vary')).toBe('accept, accept-encoding, prefer')
      expect(headers.get('cache-control')).toBe('private, no-cache')
    }
  })

  test('gives them of functions alone that change nothing', async () => {
    const accept = { accept: 'text/csv' }
    expect(await get('write_note', accept)).toMatchObject({ status: 405 })
    expect(await get('write_secretly', accept)).toMatchObject({ body: { sqlstate: '25006' } })
    expect(await define('select * from notes')).toEqual([])
    expect(await get('many?p_count=x', accept)).toMatchObject({ status: 400 })
  })
})

describe('What a procedure sets for its transaction', () => {
  test.each([
    ['client_encoding', 'LATIN1', 'text', 'é €', 'query_failed'],
    ['client_encoding', 'LATIN1', 'text', 'déjà vu', 'déjà vu'],
    ['datestyle', 'German', 'date', '2026-05-04', '2026-05-04'],
    ['datestyle', 'SQL, DMY', 'timestamptz', '2026-05-04T00:00:00Z', '2026-05-04T00:00:00+00:00'],
    ['timezone', 'Asia/Tokyo', 'timestamp', '2026-05-04T00:00:00', '2026-05-04T00:00:00'],
    ['intervalstyle', 'sql_standard', 'interval', '-1 day +2 hours', '-1 days +02:00:00'],
  ])('%s to %s: its %s is right', async (setting, value, type, given, expected) => {
    await define(`
      create or replace procedure changes_format(inout p ${type}) language plpgsql as $$
      begin set local ${setting} = '${value}'; end $$`)
    const { body } = await gateway.call(platform, 'changes_format', [given])
    expect(body.rows ? body.rows[0].p : body.error).toEqual(expected)
    await define(`drop procedure changes_format(${type})`)
  })
})
