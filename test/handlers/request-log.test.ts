import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLog } from '../../lib/log.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

describe('C13: the line of a call in the log', () => {
  let gateway: TestGateway
  let platform: string
  beforeAll(async () => {
    gateway = await startTestGateway()
    platform = uniqueName('line')
    await gateway.register(
      platform,
      await pack({
        'functions/all.pssql': `
          create function ping() returns text language sql stable as $$ select 'pong' $$;
          create function refuse(p_state text) returns void language plpgsql as
          $$ begin raise exception 'no' using errcode = p_state; end $$;`,
      }),
    )
  })
  afterAll(() => gateway.stop())

  /** The line of a request with this id. */
  const lineOf = (id: string): Promise<Json> =>
    eventually('its line', () =>
      gateway.logged.find(({ request_id, path }) => request_id === id && path !== undefined),
    )
  const call = async (id: string, name: string, params: unknown[] = []) => {
    const body = { platform, function: name, params }
    await gateway.post('/call', body, { 'x-request-id': id })
    return lineOf(id)
  }

  test('has what was called, and how long it took', async () => {
    expect(await call('good', 'ping')).toMatchObject({
      level: 'info',
      status: 200,
      platform,
      database: `${platform}_main`,
      function: 'ping',
      wait_ms: expect.any(Number),
      query_ms: expect.any(Number),
    })
    await gateway.get(`/call/${platform}/ping`, { 'x-request-id': 'by-get' })
    expect(await lineOf('by-get')).toMatchObject({ function: 'ping', query_ms: expect.any(Number) })
  })

  test.each([
    ['P0001', 400, 'info'],
    ['PT503', 503, 'warn'],
    ['XX000', 500, 'warn'],
  ])('has the error and the SQLSTATE: %s is %i, level %s', async (sqlstate, status, level) => {
    expect(await call(`failed-${sqlstate}`, 'refuse', [sqlstate])).toMatchObject({
      level,
      status,
      function: 'refuse',
      error: 'query_failed',
      sqlstate,
    })
  })

  test('has the error of a call that did not run', async () => {
    const line = await call('missing', 'nowhere')
    expect(line).toMatchObject({ function: 'nowhere', error: 'function_not_found', status: 404 })
    expect(line).not.toHaveProperty('sqlstate')
  })
})

const LINE = {
  method: 'POST',
  path: '/call',
  ms: 1,
  address: '127.0.0.1',
  request_id: 'id',
  function: 'f',
  error: 'query_failed',
  sqlstate: 'P0001',
  wait_ms: 0.123,
  query_ms: 1.5,
}

test.each([
  [200, 'info', ['info']],
  [500, 'info', ['warn']],
  [200, 'warn', []],
  [503, 'warn', ['warn']],
  [503, 'error', []],
] as const)('a status of %i with LOG_LEVEL=%s', async (status, level, expected) => {
  for (const isTTY of [false, true]) {
    let text = ''
    const log = createLog(level, {
      isTTY,
      write: (part) => {
        text += part
      },
    })
    log.request({ ...LINE, status })
    await new Promise((resolve) => setImmediate(resolve))
    const lines = text.split('\n').filter((line) => line !== '')
    expect(lines.length).toBe(expected.length)
    const [one] = expected
    if (!one) continue
    if (isTTY) expect(text).toContain('function')
    else expect(JSON.parse(lines[0]!)).toMatchObject({ ...LINE, level: one, wait_ms: 0.12, status })
  }
})
