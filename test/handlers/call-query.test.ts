import { METHODS } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

// Node.js knows it from 20.19.2 on.
describe.skipIf(!METHODS.includes('QUERY'))('QUERY /call', () => {
  let gateway: TestGateway
  let platform: string
  beforeAll(async () => {
    gateway = await startTestGateway()
    platform = uniqueName('query')
    await gateway.register(
      platform,
      await pack({
        'migrations/001.pssql': 'create table seen (n integer);',
        'functions/all.pssql': `
          create function double_of(p_n bigint) returns bigint language sql immutable
          as $$ select 2 * p_n $$;
          create function setting() returns text language sql stable
          as $$ select current_setting('app.user', true) $$;
          create function note(p_n integer) returns integer language sql
          as $$ insert into seen values (p_n) returning n $$;
          create function sneak() returns integer language plpgsql stable
          as $$ begin execute 'insert into seen values (1)'; return 1; end $$;
          create function nap() returns void language sql stable as $$ select pg_sleep(5) $$;`,
      }),
    )
  })
  afterAll(() => gateway.stop())

  const query = async (body: Record<string, unknown>, init: RequestInit = {}) => {
    const response = await fetch(`${gateway.url}/call`, {
      method: 'QUERY',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ platform, ...body }),
      ...init,
    })
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Json,
    }
  }

  test('runs a function that only reads, with the body of POST', async () => {
    const exact = '9007199254740993'
    const byName = await query({ function: 'double_of', params: { p_n: 21 } })
    expect([byName.status, byName.body.rows]).toEqual([200, [{ double_of: 42 }]])
    const byPlace = await fetch(`${gateway.url}/call`, {
      method: 'QUERY',
      headers: { 'content-type': 'application/json' },
      body: `{"platform":"${platform}","function":"double_of","params":[${exact}]}`,
    })
    expect(await byPlace.text()).toContain('"double_of":18014398509481986')
    const session = { 'app.user': 'anna' }
    expect((await query({ function: 'setting', session })).body.rows).toEqual([{ setting: 'anna' }])
  })

  test('refuses one that may write, and runs nothing', async () => {
    const { status, headers, body } = await query({ function: 'note', params: [1] })
    expect([status, body.error]).toEqual([405, 'method_not_allowed'])
    expect(headers.get('allow')).toBe('POST, OPTIONS')
    expect((await query({ function: 'sneak' })).status).toBeGreaterThanOrEqual(400)
    expect(await gateway.query(`${platform}_main`, 'select * from seen')).toEqual([])
  })

  test('keeps timeout_ms, and tells its errors as POST does', async () => {
    const late = await query({ function: 'nap', timeout_ms: 50 })
    expect([late.status, late.body.error]).toEqual([504, 'query_timeout'])
    expect((await query({ function: 'missing' })).status).toBe(404)
    expect((await query({ function: 'double_of', params: ['x'] })).status).toBe(400)
    expect((await query({ function: 'double_of' }, { headers: {} })).status).toBe(415)
  })

  test('is named where another method is asked for', async () => {
    const { headers } = await gateway.get('/call')
    expect(headers.get('allow')?.split(', ').sort()).toEqual(['OPTIONS', 'POST', 'QUERY'])
  })
})
