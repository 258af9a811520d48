import { beforeEach, describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  type Answer,
  connectTo,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { store } from '../helpers/stored.ts'

const FILES: Files = {
  ...textFunction('ping', 'pong'),
  'functions/wait_for.pssql': `
    create or replace function wait_for(key integer) returns integer language plpgsql as $$
    begin
      perform pg_advisory_lock(key);
      perform pg_advisory_unlock(key);
      return key;
    end $$;`,
  'functions/one.pssql': `
    create or replace function one() returns integer language sql immutable as $$ select 1 $$;`,
}

const { url, gateway: one, other: two } = await startTwoGateways()
const archive = await pack(FILES)

let platform: string
let tenant: { platform: string; tenant_id: string }
beforeEach(async () => {
  platform = uniqueName('p')
  tenant = { platform, tenant_id: 't' }
  await one.register(platform, archive, 't')
  await one.register(platform, archive, 'other')
})

const suspend = (members: object = {}) =>
  one.post('/admin/suspend-tenant', { ...tenant, ...members })

/** What each way to call gives. */
async function callAll(gateway: TestGateway): Promise<Answer[]> {
  const query = async () => {
    const response = await fetch(`${gateway.url}/call`, {
      method: 'QUERY',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...tenant, function: 'one' }),
    })
    return { status: response.status, headers: response.headers, body: await response.json() }
  }
  return Promise.all([
    gateway.call(platform, 'ping', [], 't'),
    gateway.get(`/call/${platform}/t/one`),
    query(),
    gateway.post('/batch', { ...tenant, calls: [{ function: 'ping' }] }),
    gateway.post('/call', { ...tenant, function: 'ping' }, { accept: 'application/x-ndjson' }),
    gateway.get(`/call/${platform}/t/one`, { accept: 'application/x-ndjson' }),
  ])
}

const statuses = async (gateway: TestGateway) =>
  (await callAll(gateway)).map(({ status }) => status)

const EACH = 6

describe('POST /admin/suspend-tenant', () => {
  test('calls of each kind are 503 with the message on every gateway, until it is resumed', async () => {
    expect(await statuses(one)).toEqual(Array(EACH).fill(200))
    expect(await statuses(two)).toEqual(Array(EACH).fill(200))
    const members = { message: 'The invoice of May is open: ask billing', retry_after_s: 3600 }
    const { status, body } = await suspend(members)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'suspended',
      state: 'suspended',
      ...tenantIds(),
      ...members,
    })

    // Here at once, there as soon as the catalog has told it.
    for (const answer of await callAll(one)) expectSuspended(answer, members)
    await eventually('the other gateway knows', async () => {
      return (await two.call(platform, 'ping', [], 't')).status === 503
    })
    for (const answer of await callAll(two)) expectSuspended(answer, members)
    expect((await two.call(platform, 'ping', [], 'other')).status).toBe(200)

    const resumed = await two.post('/admin/resume-tenant', tenant)
    expect([resumed.status, resumed.body]).toEqual([
      200,
      expect.objectContaining({ status: 'resumed', state: 'active' }),
    ])
    expect(await statuses(two)).toEqual(Array(EACH).fill(200))
    await eventually('the first gateway knows', async () => {
      return (await one.call(platform, 'ping', [], 't')).status === 200
    })
    expect(await statuses(one)).toEqual(Array(EACH).fill(200))
  })

  test('another message replaces the first one, on the other gateway too', async () => {
    await suspend({ message: 'first' })
    await suspend({ message: 'second' })
    await eventually('the other gateway says it', async () => {
      return (await two.call(platform, 'ping', [], 't')).body.message === 'second'
    })
    await suspend()
    const answer = await one.call(platform, 'ping', [], 't')
    expectSuspended(answer, {
      message: `Tenant t of platform ${platform} is suspended`,
      retry_after_s: 60,
    })
  })

  test('a message may have 500 characters, of whatever length in bytes', async () => {
    const message = '🏥'.repeat(500)
    expect(await suspend({ message })).toMatchObject({ status: 200, body: { message } })
  })

  test('calls that run finish', async () => {
    const sql = connectTo(`${platform}_t`)
    await sql`select pg_advisory_lock(7)`
    const running = [one, two].map((gateway) => gateway.call(platform, 'wait_for', [7], 't'))
    await eventually(
      'both run',
      async () => (await sessionsRunning(`${platform}_t`, 'wait_for')) === 2,
    )
    await suspend()
    await eventually('no new call runs', async () => {
      return (await two.call(platform, 'ping', [], 't')).status === 503
    })
    await sql.end()
    const answers = await Promise.all(running)
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
  })

  test('deploys go on, and do not resume it', async () => {
    await suspend()
    const changed = await pack({ ...FILES, ...textFunction('ping', 'new') })
    expect((await two.register(platform, changed, 't')).body).toMatchObject({
      status: 'ready',
      functions_changed: 1,
    })
    const changedAgain = await pack({ ...FILES, ...textFunction('ping', 'newer') })
    expect((await one.migrate(platform, changedAgain, 't')).status).toBe(200)
    expect((await two.migrate(platform, changedAgain)).status).toBe(200)
    expect((await one.get(`/admin/deployments?platform=${platform}&tenant_id=t`)).status).toBe(200)
    expect((await one.call(platform, 'ping', [], 't')).body.error).toBe('tenant_suspended')
    expect((await two.call(platform, 'ping', [], 't')).body.error).toBe('tenant_suspended')
    await one.post('/admin/resume-tenant', tenant)
    expect((await one.call(platform, 'ping', [], 't')).body.rows).toEqual([{ ping: 'newer' }])
  })

  test('a gateway that starts later knows it', async () => {
    await suspend()
    const late = await startTestGateway({ DATABASE_URL: url })
    try {
      expect((await late.call(platform, 'ping', [], 't')).body.error).toBe('tenant_suspended')
    } finally {
      await late.stop()
    }
  })

  test('whoever is answered from the database of a suspended tenant is too', async () => {
    // A request of a schema finds the tenant of no schema, where it may be that one.
    const id = { database_id: 'x-1', schema_name: 'hr' }
    await store(one, platform, 'hr', FILES)
    expect((await one.post('/admin/database/create', { platform, ...id })).status).toBe(200)
    const spelled = () => two.call(platform, 'ping', [], 'X_1')
    expect((await spelled()).status).toBe(200)
    await one.post('/admin/suspend-tenant', { platform, tenant_id: 'x-1' })
    await eventually(
      'the other spelling is suspended',
      async () => (await spelled()).status === 503,
    )
  })

  test('is listed, and in the audit trail', async () => {
    await suspend({ message: 'open invoice', retry_after_s: 5 })
    const { tenants } = (await two.get(`/admin/tenants?platform=${platform}&state=suspended`)).body
    expect(tenants).toMatchObject([
      { ...tenantIds(), state: 'suspended', message: 'open invoice', retry_after_s: 5 },
    ])
    const active = (await two.get(`/admin/tenants?platform=${platform}&state=active`)).body
    expect(active.tenants).toMatchObject([{ tenant_id: 'other' }])
    await one.post('/admin/resume-tenant', tenant)
    const { entries } = (await one.get(`/admin/audit?platform=${platform}`)).body
    expect(entries.slice(0, 2)).toMatchObject([
      { action: 'resume_tenant', tenant_id: 't', status: 200 },
      { action: 'suspend_tenant', summary: { message: 'open invoice', retry_after_s: 5 } },
    ])
  })

  test.each([
    [{ tenant_id: null }, 400, 'tenant_id is missing'],
    [{ retry_after_s: 0 }, 400, 'retry_after_s must be a whole number'],
    [{ retry_after_s: '5' }, 400, 'retry_after_s must be a whole number'],
    [{ message: 'two\nlines' }, 400, 'message must have at most'],
    [{ message: '€'.repeat(501) }, 400, 'message must have at most'],
    [{ message: '🏥'.repeat(501) }, 400, 'message must have at most'],
    [{ tenant_id: 'nobody' }, 404, 'has no database'],
  ])('refuses %j', async (members, status, message) => {
    const answer = await suspend(members)
    expect([answer.status, answer.body.message]).toEqual([status, expect.stringContaining(message)])
  })
})

const tenantIds = () => ({ tenant_id: 't', database: `${platform}_t` })

function expectSuspended(
  { status, headers, body }: Answer,
  { message, retry_after_s }: { message: string; retry_after_s: number },
): void {
  expect([status, headers.get('retry-after')]).toEqual([503, `${retry_after_s}`])
  expect(body).toEqual({
    error: 'tenant_suspended',
    message,
    database: `${platform}_t`,
    retry_after_s,
  })
}
