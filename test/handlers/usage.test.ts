import { beforeAll, describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import { type Json, startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const { url, gateway, other } = await startTwoGateways({ USAGE_RETENTION_DAYS: '30' })

const platform = uniqueName('use')
const second = uniqueName('use')
const today = new Date().toISOString().slice(0, 10)

const archive = await pack({
  'functions/all.pssql': `
    create or replace function nap(p_seconds float8) returns text language sql
    as $$ select 'slept' from pg_sleep(p_seconds) $$;
    create or replace function boom() returns void language plpgsql
    as $$ begin raise exception 'boom'; end $$;
    create or replace function numbers(p_count int) returns table (n int) language sql stable
    as $$ select generate_series(1, p_count) $$;`,
})

const usage = async (query: string, from = gateway): Promise<Json> =>
  (await from.get(`/admin/usage?${query}`)).body

beforeAll(async () => {
  for (const tenant of ['loud', 'quiet']) await gateway.register(platform, archive, tenant)
  await gateway.register(second, archive)
  await gateway.call(platform, 'nap', [0.3], 'loud')
  await other.call(platform, 'nap', [0.2], 'loud')
  await gateway.call(platform, 'boom', [], 'loud')
  await gateway.call(platform, 'no_such_function', [], 'loud')
  for (let i = 0; i < 8; i++) await gateway.call(platform, 'numbers', [3], 'quiet')
  await other.call(second, 'numbers', [1])
  // What it has counted is written with the first request for usage, as every minute.
  await usage(`platform=${platform}`, other)
})

describe('GET /admin/usage', () => {
  test('has the sums of all gateways by tenant, the loudest first', async () => {
    const body = await usage(`platform=${platform}&by=tenant`)
    expect(body).toMatchObject({
      platform,
      by: 'tenant',
      order: 'database_seconds',
      to: today,
      started_at: expect.stringMatching(/^\d{4}-.*Z$/),
      count: 2,
      next_after: null,
    })
    const [loud, quiet] = body.usage
    expect(loud).toMatchObject({
      platform,
      tenant_id: 'loud',
      database: `${platform}_loud`,
      calls: 4,
      errors: 2,
      deploys: 1,
    })
    expect(loud.database_seconds).toBeGreaterThan(0.5)
    // This gateway has run but one of the two naps.
    expect(loud.since_start).toMatchObject({ calls: 3, errors: 2, deploys: 1 })
    expect(loud.since_start.database_seconds).toBeLessThan(loud.database_seconds - 0.19)
    expect(quiet).toMatchObject({ tenant_id: 'quiet', calls: 8, errors: 0, deploys: 1 })
    expect(quiet.bytes).toBe(8 * '[{"n":1}, \n {"n":2}, \n {"n":3}]'.length)
    expect(loud.days).toBeUndefined()
  })

  test('by function, of the platform or of one tenant', async () => {
    const { usage: functions } = await usage(`platform=${platform}&by=function`)
    expect(functions.map((one: Json) => [one.function, one.calls, one.errors])).toEqual([
      ['nap', 2, 0],
      expect.anything(),
      expect.anything(),
      expect.anything(),
    ])
    const byName = Object.fromEntries(functions.map((one: Json) => [one.function, one]))
    expect(byName.boom).toMatchObject({ calls: 1, errors: 1 })
    expect(byName.numbers).toMatchObject({ calls: 8, errors: 0, since_start: { calls: 8 } })
    // A name that no function has is not kept.
    expect(byName['(other)']).toMatchObject({ calls: 1, errors: 1, deploys: 2 })
    const one = await usage(`platform=${platform}&by=function&tenant_id=quiet`)
    expect(one.usage.map((entry: Json) => entry.function).sort()).toEqual(['(other)', 'numbers'])
  })

  test('for days, with the sums of each one', async () => {
    const { usage: entries } = await usage(
      `platform=${platform}&from=${today}&to=${today}&days=true&order=calls`,
    )
    expect(entries.map((one: Json) => one.tenant_id)).toEqual(['quiet', 'loud'])
    expect(entries[0].days).toEqual([
      {
        day: today,
        calls: 8,
        errors: 0,
        database_seconds: entries[0].database_seconds,
        bytes: entries[0].bytes,
        deploys: 1,
      },
    ])
    expect(await usage(`platform=${platform}&to=2020-01-31`)).toMatchObject({
      from: '2020-01-02',
      count: 0,
    })
  })

  test('of all platforms, in pages', async () => {
    const seen: string[] = []
    let after = ''
    do {
      const body = await usage(`by=tenant&order=calls&limit=1${after}`)
      expect(body.platform).toBeNull()
      seen.push(...body.usage.map((one: Json) => one.database))
      after = body.next_after && `&after=${encodeURIComponent(body.next_after)}`
    } while (after)
    expect(seen).toEqual([`${platform}_quiet`, `${platform}_loud`, `${second}_main`])
    const byFunction = await usage(`by=function&order=calls&limit=2`)
    const rest = await usage(
      `by=function&order=calls&after=${encodeURIComponent(byFunction.next_after)}`,
    )
    expect(byFunction.usage[0]).toMatchObject({ platform, function: 'numbers' })
    expect(rest.count).toBeGreaterThan(2)
  })

  test('shows nothing of platforms that the client may not name', async () => {
    const bound = await startTestGateway({
      DATABASE_URL: url,
      PLATFORM_NETWORKS: `${second}=10.9.9.9`,
    })
    try {
      const names = (await usage('by=tenant', bound)).usage.map((one: Json) => one.platform)
      expect(new Set(names)).toEqual(new Set([platform]))
      const { status, body } = await bound.get(`/admin/usage?platform=${second}`)
      expect([status, body.error]).toEqual([403, 'platform_isolation_violation'])
    } finally {
      await bound.stop()
    }
  })

  test.each([
    ['by=day', 'by must be one of tenant, function'],
    ['order=name', 'order must be one of database_seconds, calls, errors, bytes'],
    ['from=yesterday', 'from must be a day in UTC'],
    ['to=2026-02-30', 'to must be a day in UTC'],
    ['from=2026-02-02&to=2026-02-01', 'from must not be after to, which is 2026-02-01'],
    ['after=no_such_database', 'after names no entry of these days: no_such_database'],
    ['limit=0', 'limit must be a whole number from 1 to 1000'],
    ['days=yes', 'days must be true or false'],
    ['sort=calls', 'sort'],
  ])('refuses %s', async (query, message) => {
    const { status, body } = await gateway.get(`/admin/usage?${query}`)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })
})

describe('the database time of calls', () => {
  const secondsOf = async (tenant: string, name: string): Promise<number> => {
    const body = await usage(`platform=${platform}&by=function&tenant_id=${tenant}`)
    return body.usage.find((one: Json) => one.function === name)?.database_seconds ?? 0
  }

  test('of a batch is divided among its functions', async () => {
    const before = [await secondsOf('loud', 'nap'), await secondsOf('loud', 'numbers')]
    await gateway.post('/batch', {
      platform,
      tenant_id: 'loud',
      calls: [
        { function: 'numbers', params: [2] },
        { function: 'nap', params: [0.3] },
      ],
    })
    expect((await secondsOf('loud', 'nap')) - before[0]!).toBeGreaterThan(0.29)
    expect((await secondsOf('loud', 'numbers')) - before[1]!).toBeLessThan(0.2)
  })

  test('of a call that is cancelled, of a stream and of one with a key counts', async () => {
    const count = () => secondsOf('quiet', 'nap')
    const body = { platform, tenant_id: 'quiet', function: 'nap', params: [0.3] }
    await gateway.post('/call', { ...body, params: [5], timeout_ms: 300 })
    const cancelled = await count()
    expect(cancelled).toBeGreaterThan(0.29)
    expect(cancelled).toBeLessThan(4)
    await gateway.post('/call', body, { accept: 'application/x-ndjson' })
    const streamed = await count()
    expect(streamed - cancelled).toBeGreaterThan(0.29)
    await gateway.post('/call', body, { 'idempotency-key': '"one"' })
    const keyed = await count()
    expect(keyed - streamed).toBeGreaterThan(0.29)
    // The kept answer costs next to nothing.
    await gateway.post('/call', body, { 'idempotency-key': '"one"' })
    expect((await count()) - keyed).toBeLessThan(0.25)
    const { usage: functions } = await usage(`platform=${platform}&by=function&tenant_id=quiet`)
    const nap = functions.find((one: Json) => one.function === 'nap')
    expect(nap).toMatchObject({ calls: 4, errors: 1 })
    expect(nap.bytes).toBeGreaterThan(3 * '"slept"'.length)
  })

  test('of quick calls that share a session is no more than the time that passed', async () => {
    const count = () => secondsOf('quiet', 'numbers')
    const began = performance.now()
    const before = await count()
    for (let i = 0; i < 10; i++) {
      await Promise.all(
        Array.from({ length: 20 }, () => gateway.call(platform, 'numbers', [50], 'quiet')),
      )
    }
    const seconds = (await count()) - before
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThan((10 * (performance.now() - began)) / 1000)
  })

  test('is in /metrics by platform', async () => {
    const { body } = await gateway.get('/metrics')
    const [, seconds] = body.match(
      new RegExp(`^db_gateway_database_seconds_total\\{platform="${platform}"\\} (\\S+)$`, 'm'),
    )
    expect(Number(seconds)).toBeGreaterThan(1)
  })
})

test('what a gateway has counted is written when it stops', async () => {
  const third = await startTestGateway({ DATABASE_URL: url })
  for (let i = 0; i < 3; i++) await third.call(second, 'numbers', [1])
  const before = (await usage(`platform=${second}`)).usage[0].calls
  await third.stop()
  expect((await usage(`platform=${second}`)).usage[0].calls).toBe(before + 3)
})

test('A renamed tenant takes its usage along, what other gateways have not written yet too', async () => {
  await gateway.register(platform, archive, 'before')
  await other.call(platform, 'numbers', [1], 'before')
  await usage(`platform=${platform}`, other)
  await other.call(platform, 'numbers', [1], 'before')
  const rename = { platform, tenant_id: 'before', to: 'after' }
  expect((await gateway.post('/admin/rename-tenant', rename)).status).toBe(200)
  await other.call(platform, 'numbers', [1], 'after')
  await usage(`platform=${platform}`, other)
  const entries = (await usage(`platform=${platform}&by=tenant`)).usage.filter((one: Json) =>
    ['before', 'after'].includes(one.tenant_id),
  )
  expect(entries).toMatchObject([
    { tenant_id: 'after', database: `${platform}_after`, calls: 3, deploys: 1 },
  ])
})

test('What is not written yet of a renamed tenant does not go to one that takes its name', async () => {
  await gateway.register(platform, archive, 'first')
  for (let i = 0; i < 2; i++) await other.call(platform, 'numbers', [1], 'first')
  const rename = { platform, tenant_id: 'first', to: 'second' }
  expect((await gateway.post('/admin/rename-tenant', rename)).status).toBe(200)
  expect((await gateway.register(platform, archive, 'first')).status).toBe(200)
  expect((await other.call(platform, 'numbers', [1], 'first')).status).toBe(200)
  await usage(`platform=${platform}`)
  const entries = (await usage(`platform=${platform}&by=tenant`, other)).usage
  const find = (id: string) => entries.find((one: Json) => one.tenant_id === id)
  expect(find('first')).toMatchObject({ calls: 1, deploys: 1, since_start: { calls: 1 } })
  expect(find('second')).toMatchObject({ calls: 2, deploys: 1, since_start: { calls: 2 } })
})
