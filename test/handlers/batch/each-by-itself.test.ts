import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../helpers/gateway.ts'
import { mostHeld } from '../../helpers/most-held.ts'

import {
  batch,
  batchBody,
  type Call,
  database,
  define,
  gateway,
  inTransaction,
  kept,
  MAX_RESULT_BYTES,
  newId,
  platform,
  post,
  setUp,
} from './setup.ts'

setUp()

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

test('the log has one line for a batch, with its platform and database', async () => {
  await gateway.post('/batch', batchBody([['ping'], ['ping']]), { 'x-request-id': 'one-batch' })
  await sleep(50)
  const lines = gateway.logged.filter((line) => line.request_id === 'one-batch')
  expect(lines).toMatchObject([{ method: 'POST', path: '/batch', status: 200, platform, database }])
})
