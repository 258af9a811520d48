import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Json, startTestGateway, type TestGateway } from '../../helpers/gateway.ts'

import {
  batch,
  batchBody,
  type Call,
  database,
  define,
  gateway,
  inTransaction,
  kept,
  newId,
  setUp,
} from './setup.ts'

setUp()

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

  test('a function that raises the error of a read-only transaction itself runs once', async () => {
    await define(`
      create sequence refused_runs;
      create function refuse(p_id text) returns void language plpgsql as $$
        begin
          perform nextval('refused_runs');
          insert into note values (p_id);
          raise exception 'no' using errcode = '25006';
        end $$;
    `)
    const id = newId()
    expect(await inTransaction([['refuse', id]])).toMatchObject({ status: 500, sqlstate: '25006' })
    // A sequence goes on although its transaction is rolled back.
    expect([...(await define('select last_value::int from refused_runs'))]).toEqual([
      { last_value: 1 },
    ])
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
      // The gateway's own statements, such as its heartbeat, come at any time on other connections.
      let isOfCalls = false
      client.on('data', (bytes) => {
        isOfCalls ||= bytes.includes('/* slow */')
        if (isOfCalls && hasAnswered) late.push(bytes)
        server.write(bytes)
      })
      server.on('data', (bytes) => {
        if (isOfCalls) hasAnswered = true
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
