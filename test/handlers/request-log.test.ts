import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLog } from '../../lib/log.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

describe('C13: the line of a call in the log', () => {
  let gateway: TestGateway
  let platform: string
  beforeAll(async () => {
    gateway = await startTestGateway({ MAX_CONNECTIONS_PER_POOL: '2' })
    platform = uniqueName('line')
    await gateway.register(
      platform,
      await pack({
        'functions/all.pssql': `
          create function ping() returns text language sql stable as $$ select 'pong' $$;
          create function wait(p_seconds float8) returns text language sql
            as $$ select 'waited' from pg_sleep(p_seconds) $$;
          create function fail_at(p_row int) returns setof int language sql stable
            as $$ select 1 / (p_row - i) from generate_series(1, 100000) i $$;
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
  const call = async (
    id: string,
    name: string,
    params: unknown[] = [],
    more = {},
    headers = {},
  ) => {
    const body = { platform, function: name, params, ...more }
    await gateway.post('/call', body, { 'x-request-id': id, ...headers }).catch(() => {})
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
      wait_ms: expect.any(Number),
      query_ms: expect.any(Number),
    })
  })

  test('tells of a call whose time was up whether it ran or waited for its connection', async () => {
    const ran = await call('ran', 'wait', [5], { timeout_ms: 200 })
    expect(ran).toMatchObject({ status: 504, error: 'query_timeout' })
    expect(ran.query_ms).toBeGreaterThan(100)
    const running = ['first', 'second'].map((id) => call(id, 'wait', [1]))
    const database = `${platform}_main`
    await eventually('they run', () =>
      gateway.gateway.pools
        .report()
        .pools.some((one) => one.database === database && one.busy === 2),
    )
    const waited = await call('third', 'wait', [1], { timeout_ms: 200 })
    expect(waited).toMatchObject({ status: 504, error: 'query_timeout' })
    expect(waited.wait_ms).toBeGreaterThan(100)
    expect(waited).not.toHaveProperty('query_ms')
    await Promise.all(running)
  })

  test('has of a stream what it has of a call, and so has the line of one that was cut', async () => {
    const headers = { accept: 'application/x-ndjson' }
    const times = { wait_ms: expect.any(Number), query_ms: expect.any(Number) }
    expect(await call('stream', 'ping', [], {}, headers)).toMatchObject({ status: 200, ...times })
    const line = await call('cut', 'fail_at', [50_000], {}, headers)
    expect(line).toMatchObject({ function: 'fail_at', error: 'query_failed', ...times })
    expect(gateway.logged.find(({ message }) => message === 'A stream was cut')).toMatchObject({
      request_id: 'cut',
      platform,
      database: `${platform}_main`,
      function: 'fail_at',
      error: 'query_failed',
    })
  })

  test('has the error of a call that did not run', async () => {
    const line = await call('missing', 'nowhere')
    expect(line).toMatchObject({ function: 'nowhere', error: 'function_not_found', status: 404 })
    expect(line).not.toHaveProperty('sqlstate')
    expect(line).not.toHaveProperty('wait_ms')
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
