import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

let url: string
let gateway: TestGateway
beforeAll(async () => {
  url = await createAdminDatabase()
  gateway = await startTestGateway({
    DATABASE_URL: url,
    MAX_QUEUE_PER_DATABASE: '40',
    POOL_WAIT_TIMEOUT_SECS: '30',
  })
  await gateway.register('look', await pack(textFunction('ping', 'pong')))
})
afterAll(async () => {
  await gateway?.stop()
  await dropAdminDatabase(url)
})

const ping = (tenantId?: string) => gateway.call('look', 'ping', [], tenantId)

test('a tenant that was asked for before it was there can be called as soon as it is', async () => {
  for (let i = 0; i < 5; i++) {
    const tenant = `soon_${i}`
    expect((await ping(tenant)).body.error).toBe('database_not_found')
    if (i % 2) {
      await gateway.post('/admin/create-tenant', { platform: 'look', tenant_id: tenant })
      expect((await ping(tenant)).body.error).toBe('function_not_found')
    } else {
      await gateway.register('look', await pack(textFunction('ping', 'pong')), tenant)
      expect((await ping(tenant)).status).toBe(200)
    }
  }
})

test('one that another gateway makes is seen by its notification', async () => {
  const other = await startTestGateway({ DATABASE_URL: url })
  try {
    expect((await ping('elsewhere')).status).toBe(404)
    await other.register('look', await pack(textFunction('ping', 'pong')), 'elsewhere')
    await eventually('it is seen', async () => (await ping('elsewhere')).status === 200)
  } finally {
    await other.stop()
  }
})

describe('requests for tenants that are not there', () => {
  test('are 404 without a query, the second time', async () => {
    expect((await ping('invented')).status).toBe(404)
    const sql = connectTo(gateway.server.database)
    try {
      await sql.begin(async (lock) => {
        await lock`lock table _db_gateway_databases in access exclusive mode`
        expect((await ping('invented')).status).toBe(404)
      })
    } finally {
      await sql.end()
    }
  })

  test('queue few queries, and are refused where many wait', async () => {
    expect((await ping()).status).toBe(200)
    const sql = connectTo(gateway.server.database, 2)
    const statuses = new Map<string, number>()
    let answers: Promise<unknown> = Promise.resolve()
    try {
      await sql.begin(async (lock) => {
        await lock`lock table _db_gateway_databases in access exclusive mode`
        answers = Promise.all(
          Array.from({ length: 200 }, async (_, i) => {
            const tenant = `invented_${i}`
            statuses.set(tenant, (await ping(tenant)).status)
          }),
        )
        const waiting = () => sql`
          select from pg_stat_activity
          where datname = current_database() and query like '%_db_gateway_databases%any%'
            and wait_event_type = 'Lock'`
        await eventually('two wait', async () => (await waiting()).length === 2)
        await eventually('the others are refused', () => statuses.size === 158)
        const waited = Array.from({ length: 200 }, (_, i) => `invented_${i}`).find(
          (tenant) => !statuses.has(tenant),
        )
        expect(await waiting()).toHaveLength(2)
        expect(gateway.gateway.pools.status().waiting).toBe(0)
        const limited = { platform: 'look', function: 'ping', timeout_ms: 100 }
        const other = { ...limited, tenant_id: waited }
        expect(await gateway.post('/call', other)).toMatchObject({
          status: 504,
          body: { error: 'query_timeout', message: expect.stringContaining('timeout_ms') },
        })
        // Who is known is not held up.
        expect((await ping()).status).toBe(200)
      })
      await answers
      const all = [...statuses.values()]
      expect(all.filter((one) => one === 404)).toHaveLength(42)
      expect(all.filter((one) => one === 503)).toHaveLength(158)
    } finally {
      await sql.end()
    }
  })

  test('one that writes a name that is taken is told so', async () => {
    await gateway.post('/admin/create-tenant', { platform: 'look', tenant_id: 'berlin' })
    const { status, body } = await ping('Berlin')
    expect({ status, error: body.error }).toEqual({ status: 404, error: 'database_not_found' })
    expect(body.message).toBe(
      'Tenant Berlin of platform look has no database: the name look_berlin is taken by ' +
        'tenant berlin of platform look (tenant_id is spelled "berlin")',
    )
    const refused = await gateway.register('look', await pack({}), 'Berlin')
    expect(refused.body.error).toMatch(/name_conflict|schema_extraction_failed/)
    const again = await gateway.post('/admin/create-tenant', {
      platform: 'look',
      tenant_id: 'Berlin',
    })
    expect([again.status, again.body.message]).toEqual([409, body.message])
  })

  test('one of a platform in another spelling is told that, of another platform no more', async () => {
    const create = (platform: string, tenant_id: string) =>
      gateway.post('/admin/create-tenant', { platform, tenant_id })
    await create('look', 'a_b')
    const spelled = await create('Look', 'a_b')
    const message =
      'Tenant a_b of platform Look has no database: the name look_a_b is taken by ' +
      'tenant a_b of platform look (platform is spelled "look")'
    expect([spelled.status, spelled.body.message]).toEqual([409, message])
    const call = { platform: 'Look', tenant_id: 'a_b', function: 'ping' }
    const called = await gateway.post('/call', call)
    expect([called.status, called.body.message]).toEqual([403, message])
    expect((await create('look_a', 'b')).body.message).toBe(
      'Tenant b of platform look_a has no database: the name look_a_b is taken by another platform',
    )
  })
})
