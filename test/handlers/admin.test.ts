import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

describe('POST /admin/create-tenant', () => {
  test('creates an empty database', async () => {
    const platform = uniqueName('p')
    const { status, body } = await gateway.post('/admin/create-tenant', {
      platform,
      tenant_id: 'clinic_042',
    })
    expect(status).toBe(201)
    expect(body).toEqual({
      status: 'created',
      database: `${platform}_clinic_042`,
      message: 'Database created. Run /register or /migrate to deploy schema.',
    })
    expect(await queryDatabase(`${platform}_clinic_042`, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('says that a tenant is there already', async () => {
    const tenant = { platform: uniqueName('p'), tenant_id: 't' }
    await gateway.post('/admin/create-tenant', tenant)
    const { status, body } = await gateway.post('/admin/create-tenant', tenant)
    expect([status, body.error]).toEqual([409, 'database_already_exists'])
  })

  test('refuses the name of another platform’s database', async () => {
    const platform = uniqueName('p')
    await gateway.post('/admin/create-tenant', { platform: `${platform}_a`, tenant_id: 'b' })
    const { status, body } = await gateway.post('/admin/create-tenant', {
      platform,
      tenant_id: 'a_b',
    })
    expect([status, body.error]).toEqual([409, 'name_conflict'])
  })

  test.each([
    [{ platform: 'p' }, 'tenant_id is missing'],
    [{ tenant_id: 't' }, 'platform is missing'],
    [{ platform: 'p', tenant_id: null }, 'tenant_id is missing'],
    [{ platform: 'p', tenant_id: 'main' }, 'reserved'],
    [{ platform: 'p', tenant_id: 5 }, 'tenant_id must be'],
  ])('names the field that is wrong: %j', async (fields, message) => {
    const { status, body } = await gateway.post('/admin/create-tenant', fields)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })

  test('ten at once for one tenant: one creates it', async () => {
    const tenant = { platform: uniqueName('p'), tenant_id: 't' }
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => gateway.post('/admin/create-tenant', tenant)),
    )
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array(9).fill(409)])
  })
})

describe('GET /admin/databases', () => {
  test('lists main and tenants with their sizes', async () => {
    const platform = uniqueName('p')
    const archive = await pack(textFunction('f', 'x'))
    await gateway.register(platform, archive, 'Tenant-1')
    await gateway.register(platform, archive)
    const { status, body } = await gateway.get(`/admin/databases?platform=${platform}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      platform,
      count: 2,
      databases: [
        { name: `${platform}_main`, type: 'main', tenant_id: null },
        { name: `${platform}_tenant_1`, type: 'tenant', tenant_id: 'Tenant-1' },
      ],
    })
    for (const database of body.databases) {
      expect(database.size_bytes).toBeGreaterThan(1_000_000)
      expect(database.size_mb).toBe(Math.round(database.size_bytes / 1024 / 1024))
    }
  })

  test('lists nothing of a platform whose name merely starts alike', async () => {
    const platform = uniqueName('p')
    const archive = await pack(textFunction('f', 'x'))
    await gateway.register(`${platform}_app`, archive)
    await gateway.register(`${platform}xapp`, archive)
    const { body } = await gateway.get(`/admin/databases?platform=${platform}`)
    expect(body).toEqual({ platform, databases: [], count: 0 })
  })

  test('needs a platform', async () => {
    const { status, body } = await gateway.get('/admin/databases')
    expect([status, body.message]).toEqual([400, 'platform is missing'])
  })
})

/** A first call is followed by a look whether the schema is as it is known. */
const untilIdle = (database: string) =>
  eventually(`${database} is idle`, async () => {
    const { body } = await gateway.get('/admin/pools')
    return body.pools.every((one: Json) => one.database !== database || one.busy === 0)
  })

describe('GET /admin/pools', () => {
  test('tells of each database: its connections, who waits, what has been', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('f', 'x')), 't')
    await gateway.call(platform, 'f', undefined, 't')
    await untilIdle(`${platform}_t`)
    const { status, body } = await gateway.get('/admin/pools')
    expect(status).toBe(200)
    const pool = body.pools.find((one: Json) => one.database === `${platform}_t`)
    expect(pool).toEqual({
      database: `${platform}_t`,
      platform,
      open: 1,
      busy: 0,
      idle: 1,
      waiting: 0,
      oldest_wait_ms: 0,
      opened: expect.any(Number),
      closed: pool.opened - 1,
      evicted: 0,
      exhausted: 0,
    })
    expect(body.count).toBe(body.pools.length)
    const { capacity } = gateway.gateway.pools
    expect(body.permits).toEqual({ held: expect.any(Number), capacity })
    expect(body.permits.held).toBeGreaterThanOrEqual(1)
    expect(body.totals.opened - body.totals.closed).toBe(body.permits.held)
  })

  test('tells how long the first one has waited', async () => {
    const { pools, server } = gateway.gateway
    const leases = await Promise.all(Array.from({ length: 10 }, () => pools.lease(server.database)))
    const waiting = [1, 2].map(() => pools.lease(server.database))
    await sleep(50)
    const { body } = await gateway.get('/admin/pools')
    for (const lease of leases) lease.release()
    for (const lease of waiting) (await lease).release()
    const pool = body.pools.find((one: Json) => one.database === server.database)
    expect(pool).toMatchObject({ platform: null, busy: 10, idle: 0, waiting: 2 })
    expect(pool.oldest_wait_ms).toBeGreaterThanOrEqual(49)
  })
})

describe('GET /metrics', () => {
  const scrape = async () => {
    const { status, headers, body } = await gateway.get('/metrics')
    expect([status, headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ])
    const lines: string[] = body.split('\n').filter((line: string) => !line.startsWith('#'))
    return (name: string) => {
      const line = lines.find((one) => one.startsWith(`${name} `))
      return line === undefined ? undefined : Number(line.slice(name.length + 1))
    }
  }

  test('is text in the format of Prometheus', async () => {
    const { body } = await gateway.get('/metrics')
    for (const line of body.trim().split('\n')) {
      expect(line).toMatch(
        /^(?:|# (?:HELP|TYPE) \w+ .+|\w+(?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)+\})? (?:[-\d.e+]+|NaN|\+Inf))$/,
      )
    }
    const types = body.match(/^# TYPE \w+/gm)
    expect(new Set(types).size).toBe(types.length)
  })

  test('counts requests by route and status, and how long they took', async () => {
    const before = await scrape()
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('f', 'x')))
    await gateway.call(platform, 'f')
    await gateway.call(platform, 'f')
    await gateway.call(platform, 'no_such')
    await gateway.get(`/no_such_path`)
    const after = await scrape()
    const more = (name: string) => (after(name) ?? 0) - (before(name) ?? 0)
    const requests = 'db_gateway_http_requests_total'
    expect(more(`${requests}{method="POST",route="/call",status="200"}`)).toBe(2)
    expect(more(`${requests}{method="POST",route="/call",status="404"}`)).toBe(1)
    expect(more(`${requests}{method="",route="/**",status="404"}`)).toBe(1)
    const duration = 'db_gateway_http_request_duration_seconds'
    const route = 'method="POST",route="/call"'
    expect(more(`${duration}_count{${route}}`)).toBe(3)
    expect(more(`${duration}_bucket{${route},le="+Inf"}`)).toBe(3)
    expect(more(`${duration}_bucket{${route},le="30"}`)).toBe(3)
    expect(more(`${duration}_sum{${route}}`)).toBeGreaterThan(0)
  })

  test('tells of connections, queues, memory and the event loop', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('f', 'x')))
    await gateway.call(platform, 'f')
    await untilIdle(`${platform}_main`)
    const metric = await scrape()
    const labels = `database="${platform}_main",platform="${platform}"`
    expect(metric(`db_gateway_pool_connections{${labels},state="idle"}`)).toBe(1)
    expect(metric(`db_gateway_pool_waiting{${labels}}`)).toBe(0)
    expect(metric(`db_gateway_pool_connections_opened_total{${labels}}`)).toBeGreaterThan(0)
    expect(metric('db_gateway_permits_capacity')).toBe(gateway.gateway.pools.capacity)
    expect(metric('db_gateway_permits_held')).toBeGreaterThan(0)
    expect(metric('process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(metric('nodejs_eventloop_lag_p99_seconds')).toEqual(expect.any(Number))
  })

  test('is for those who have the admin token, where there is one', async () => {
    const guarded = await startTestGateway({ ADMIN_TOKEN: 'secret' })
    expect((await guarded.get('/metrics')).status).toBe(401)
    expect((await guarded.get('/metrics', { authorization: 'Bearer secret' })).status).toBe(200)
    await guarded.stop()
  })
})

describe('GET /health', () => {
  test('tells that all is well, and how much is in use', async () => {
    const { status, body } = await gateway.get('/health')
    expect(status).toBe(200)
    expect(body).toEqual({
      status: 'healthy',
      version: '0.1.0',
      postgres_connected: true,
      active_pools: expect.any(Number),
      total_connections: expect.any(Number),
      uptime_seconds: expect.any(Number),
      gateways: 1,
      isolation: 'platform-roles',
    })
    expect(body.active_pools).toBeGreaterThanOrEqual(1)
    expect(body.total_connections).toBeGreaterThanOrEqual(1)
  })
})
