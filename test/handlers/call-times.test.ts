import { beforeAll, describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import { type Json, startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const { url, gateway, other } = await startTwoGateways({
  SLOW_CALL_MS: '200',
  SLOW_CALLS_KEPT: '12',
})

const platform = uniqueName('times')

const archive = await pack({
  'functions/all.pssql': `
    create or replace function nap(p_seconds float8) returns text language sql
    as $$ select 'slept' from pg_sleep(p_seconds) $$;
    create or replace function boom(p_secret text) returns void language plpgsql
    as $$ begin perform pg_sleep(0.25); raise exception 'no %', p_secret using errcode = 'P0404'; end $$;
    create or replace function numbers(p_count int) returns table (n int) language sql stable
    as $$ select generate_series(1, p_count) $$;`,
})

const functions = async (query = '', from = gateway): Promise<Json> =>
  (await from.get(`/admin/functions?platform=${platform}${query}`)).body

const slow = async (query = '', from = gateway): Promise<Json> =>
  (await from.get(`/admin/slow?platform=${platform}${query}`)).body

beforeAll(async () => {
  for (const tenant of ['north', 'south']) await gateway.register(platform, archive, tenant)
  await gateway.call(platform, 'nap', [0.3], 'north')
  for (let i = 0; i < 4; i++) await gateway.call(platform, 'numbers', [3], 'north')
  await gateway.call(platform, 'numbers', [2], 'south')
  await gateway.call(platform, 'no_such_function', [], 'south')
  const error = await gateway.post(
    '/call',
    { platform, tenant_id: 'south', function: 'boom', params: ['s3cret'] },
    { 'x-request-id': 'of-boom' },
  )
  expect(error.body.error).toBe('query_failed')
})

describe('GET /admin/functions', () => {
  test('has the calls of each function with quantiles', async () => {
    const body = await functions()
    expect(body).toMatchObject({ platform, step: 'minute', by: 'function', count: 4 })
    const byName = Object.fromEntries(body.functions.map((one: Json) => [one.function, one]))
    const { nap, boom } = byName
    expect(nap).toMatchObject({ function: 'nap', database: null, calls: 1, errors: 0, rows: 1 })
    expect(nap.p50_ms).toBeGreaterThan(290)
    expect(nap.database_seconds).toBeGreaterThan(0.29)
    expect(boom).toMatchObject({ function: 'boom', calls: 1, errors: 1 })
    expect(byName.numbers).toMatchObject({ calls: 5, errors: 0, rows: 14 })
    expect(byName['(other)']).toMatchObject({ calls: 1, errors: 1 })
    expect(body.series.reduce((sum: number, { calls }: Json) => sum + calls, 0)).toBe(8)
    expect(body.series.at(-1).p99_ms).toBeGreaterThan(body.series.at(-1).p50_ms)
  })

  test('by tenant, of one tenant, of one function, in another order', async () => {
    const { functions: all } = await functions('&by=tenant&function=numbers&order=calls')
    expect(all.map(({ tenant_id, calls }: Json) => [tenant_id, calls])).toEqual([
      ['north', 4],
      ['south', 1],
    ])
    const { functions: south } = await functions('&tenant_id=south&order=calls')
    expect(south.map((one: Json) => [one.database, one.function]).sort()).toEqual([
      [`${platform}_south`, 'boom'],
      [`${platform}_south`, 'numbers'],
    ])
    const { functions: one, series } = await functions('&function=nap&step=hour')
    expect(one).toHaveLength(1)
    expect(series).toMatchObject([{ calls: 1, errors: 0 }])
  })

  test('counts batches, streams, calls with a key and GET', async () => {
    const before = (await functions('&function=numbers')).functions[0]
    const target = { platform, tenant_id: 'north' }
    const numbers = { function: 'numbers', params: [2] }
    await gateway.post('/batch', { ...target, calls: [numbers, numbers] })
    await gateway.post('/call', { ...target, ...numbers }, { accept: 'application/x-ndjson' })
    await gateway.post('/call', { ...target, ...numbers }, { 'idempotency-key': '"one"' })
    await gateway.get(`/call/${platform}/numbers?tenant_id=north&p_count=2`)
    const after = (await functions('&function=numbers')).functions[0]
    expect(after.errors).toBe(0)
    expect(after.rows - before.rows).toBe(2 * (after.calls - before.calls))
    expect(after.calls - before.calls).toBeGreaterThanOrEqual(4)
  })

  test.each([
    ['from=yesterday', 'from must be a time with its zone'],
    ['from=2026-02-30T18:00:00Z', 'from must be a time with its zone'],
    ['to=2026-11-31T18:00:00%2B02:00', 'to must be a time with its zone'],
    ['from=2026-11-26T12:00:00%2B24:00', 'from must be a time with its zone'],
    ['from=2026-11-26T12:61:00Z', 'from must be a time with its zone'],
    ['from=2026-11-26T12:00:00Z&to=2026-11-26T12:00:00Z', 'from must be before to'],
    ['step=day', 'step must be one of minute, hour'],
    ['order=name', 'order must be one of'],
    ['functions=nap', 'functions'],
  ])('refuses %s', async (query, message) => {
    const { status, body } = await gateway.get(`/admin/functions?platform=${platform}&${query}`)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })

  test.each([
    ['2026-11-26T18:30:00+02:00', '2026-11-26T16:00:00.000Z'],
    ['2026-11-26T18:30:00%2B02:00', '2026-11-26T16:00:00.000Z'],
    ['2026-11-26T18:30-02:00', '2026-11-26T20:00:00.000Z'],
    ['2024-02-29T23:30:00.123456789Z', '2024-02-29T23:00:00.000Z'],
  ])('reads the time %s', async (time, from) => {
    expect(await functions(`&step=hour&to=2026-11-27T00:00:00Z&from=${time}`)).toMatchObject({
      from,
    })
  })

  test('forgets nothing over a restart', async () => {
    const third = await startTestGateway({ DATABASE_URL: url })
    await third.call(platform, 'numbers', [1], 'south')
    const count = async () => (await functions('&function=numbers')).functions[0].calls
    const before = await count()
    await third.stop()
    expect(await count()).toBe(before + 1)
  })
})

describe('GET /admin/slow', () => {
  test('has slow calls of all gateways without their values, and so has the log', async () => {
    const body = await slow()
    expect(body).toMatchObject({ slow_call_ms: 200, count: body.slow.length })
    // Others may have waited for their first session.
    const { nap, boom } = Object.fromEntries(body.slow.map((one: Json) => [one.function, one]))
    expect(boom).toMatchObject({
      platform,
      tenant_id: 'south',
      database: `${platform}_south`,
      function: 'boom',
      request_id: 'of-boom',
      rows: 0,
      bytes: 0,
      sqlstate: 'P0404',
      error: 'query_failed',
      plan: null,
    })
    expect(boom.query_ms).toBeGreaterThan(240)
    // Each is read from the clock a moment before or after the other, in which others may have the CPU.
    expect(boom.ms + 20).toBeGreaterThanOrEqual(boom.query_ms)
    expect(nap).toMatchObject({ function: 'nap', rows: 1, sqlstate: null, error: null })
    expect(nap.wait_ms + nap.connect_ms + nap.query_ms).toBeLessThanOrEqual(nap.ms + 20)
    // Its session was opened for it.
    expect(nap.connect_ms).toBeGreaterThanOrEqual(0)
    expect(JSON.stringify(body)).not.toContain('s3cret')
    expect((await slow('', other)).slow).toEqual(body.slow)
    expect((await slow('&tenant_id=north&function=nap')).slow).toEqual([nap])
    expect((await slow('&tenant_id=south&function=nap')).slow).toEqual([])
    expect((await slow('&function=boom&limit=1')).slow).toEqual([boom])

    const lines = gateway.logged.filter(
      ({ message, function: name }) =>
        message === 'A call was slow' && (name === 'nap' || name === 'boom'),
    )
    expect(lines).toMatchObject([
      { function: 'nap', database: `${platform}_north`, level: 'warn' },
      { function: 'boom', request_id: 'of-boom', sqlstate: 'P0404', rows: 0, bytes: 0 },
    ])
    for (const name of ['ms', 'wait_ms', 'connect_ms', 'query_ms']) {
      expect(lines[0][name]).toBe(nap[name])
    }
    expect(JSON.stringify(lines)).not.toContain('s3cret')
  })

  test('keeps the newest', async () => {
    const nap = { function: 'nap', params: [0.21] }
    const call = { platform, tenant_id: 'north', ...nap }
    await Promise.all(Array.from({ length: 14 }, () => other.post('/call', call)))
    await slow('', other)
    const { slow: kept } = await slow()
    expect(kept.map((one: Json) => one.function)).toEqual(Array(12).fill('nap'))
  })
})

test('A plan that is cut within a character keeps no slow call from being written', async () => {
  const wide = uniqueName('wide')
  const text = `'Query Text: ' || repeat('😀', 8000)`
  const functions = `create function wide() returns int language plpgsql as $$ begin
      raise notice '%', 'duration: 9.0 ms  plan:' || chr(10) || ${text};
      perform pg_sleep(0.25);
      return 1;
    end $$;`
  await gateway.register(wide, await pack({ 'functions/all.pssql': functions }))
  await gateway.call(wide, 'wide')
  const { slow: found } = (await gateway.get(`/admin/slow?platform=${wide}`)).body
  expect(found).toHaveLength(1)
  expect(found[0].plan).toMatch(/^Duration: 9 ms\nQuery Text: 😀/)
})

test('/metrics has a histogram by platform and function', async () => {
  const { body } = await gateway.get('/metrics')
  const samples = body
    .split('\n')
    .filter((line: string) => line.includes(`platform="${platform}",function="nap"`))
  const buckets = samples.filter((line: string) => line.includes('_bucket'))
  expect(buckets.at(-1)).toMatch(/^db_gateway_call_duration_seconds_bucket\{.*le="\+Inf"\} 1$/)
  expect(buckets.find((line: string) => line.includes('le="0.256"'))).toMatch(/ 0$/)
  expect(samples.join('\n')).toMatch(/^db_gateway_call_duration_seconds_count\{.*\} 1$/m)
  expect(body).toMatch(
    new RegExp(`^db_gateway_call_errors_total\\{platform="${platform}",function="boom"\\} 1$`, 'm'),
  )
})
