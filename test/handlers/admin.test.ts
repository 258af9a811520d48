import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

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

describe('GET /health', () => {
  test('tells that all is well, and how much is in use', async () => {
    const { status, body } = await gateway.get('/health')
    expect(status).toBe(200)
    expect(body).toEqual({
      status: 'healthy',
      postgres_connected: true,
      active_pools: expect.any(Number),
      total_connections: expect.any(Number),
      uptime_seconds: expect.any(Number),
    })
    expect(body.active_pools).toBeGreaterThanOrEqual(1)
    expect(body.total_connections).toBeGreaterThanOrEqual(1)
  })
})
