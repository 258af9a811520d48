import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withDatabaseLock } from '../../lib/deploy/database/with-lock.ts'
import { databaseLock } from '../../lib/tenancy/database-lock.ts'
import { findTools, importTenant } from '../helpers/dumps.ts'
import {
  connectTo,
  databaseUrlOf,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

// What waits for the lock of a database, or of its deploys, ends, and tells who has it.

const tools = await findTools()
const platform = uniqueName('locked')
const name = (tenant: string) => `${platform}_${tenant}`
let gateway: TestGateway
/** A gateway that waits for long. */
let patient: TestGateway
let archive: Uint8Array
beforeAll(async () => {
  gateway = await startTestGateway({ DEPLOY_TIMEOUT_SECS: '1' })
  patient = await startTestGateway({
    DATABASE_URL: databaseUrlOf(gateway.server.database),
    MAX_CONNECTIONS_PER_POOL: '8',
  })
  archive = await pack(textFunction('f', 'one'))
  expect(await gateway.register(platform, archive, 'a')).toMatchObject({ status: 200 })
})
afterAll(async () => {
  await patient.stop()
  await gateway.stop()
})

/** Runs `work` while another gateway has the locks of these tenants' names. */
async function whileLocked<T>(tenants: string[], work: () => Promise<T>): Promise<T> {
  const session = connectTo(gateway.server.database)
  try {
    for (const tenant of tenants)
      await session`select pg_advisory_lock(${databaseLock(session, name(tenant))})`
    return await work()
  } finally {
    await session.end()
  }
}

const ids = async () =>
  (await gateway.get(`/admin/tenants?platform=${platform}`)).body.tenants.map(
    ({ tenant_id }: Json) => tenant_id,
  )

test('whoever waits for a name for too long is told which gateway has it, and since when', async () => {
  const { parts } = gateway.gateway.deploys
  const told = await withDatabaseLock(parts, name('b'), () =>
    gateway.register(platform, archive, 'b'),
  )
  expect(told).toMatchObject({ status: 409, body: { error: 'tenant_busy', database: name('b') } })
  const [holder] = told.body.sessions
  const { role } = holder
  expect(holder).toEqual({
    pid: expect.any(Number),
    role,
    client: null,
    application: expect.stringMatching(
      new RegExp(`^db-gateway \\S+:${process.pid} since \\d{4}-\\d\\d-\\d\\dT[\\d:]{8}Z$`),
    ),
  })
  expect(told.body.message).toContain(`process ${holder.pid} of PostgreSQL`)
  const renamed = await whileLocked(['b'], () =>
    gateway.post('/admin/rename-tenant', { platform, tenant_id: 'a', to: 'b' }),
  )
  expect(renamed).toMatchObject({ status: 409, body: { error: 'tenant_busy' } })
  expect((await gateway.register(platform, archive, 'b')).status).toBe(200)
})

test('a client that is gone while it waits has nothing done', async () => {
  const before = await ids()
  expect(before).toContain('a')
  const init = (body: object) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, tenant_id: 'a', ...body }),
  })
  await whileLocked(['c', 'd', 'e'], async () => {
    const leaving = new AbortController()
    const { signal } = leaving
    const asked = [
      fetch(`${patient.url}/admin/rename-tenant`, { ...init({ to: 'c' }), signal }),
      fetch(`${patient.url}/admin/clone-tenant`, { ...init({ to: 'd' }), signal }),
      ...(tools
        ? [importTenant(patient, { platform, tenant_id: 'e' }, new Uint8Array(100), { signal })]
        : []),
    ].map((one) => one.then(() => 'answered').catch(() => 'gone'))
    const { deploys } = patient.gateway
    const asking = () => deploys.running + deploys.waiting
    await expect.poll(asking, { timeout: 10_000 }).toBe(2)
    await sleep(200)
    leaving.abort()
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['gone']))
    await expect.poll(asking, { timeout: 10_000 }).toBe(0)
  })
  expect(await ids()).toEqual(before)
  // The same requests do it where their clients stay.
  for (const [way, to] of [
    ['clone', 'd'],
    ['rename', 'c'],
  ]) {
    const { status } = await patient.post(`/admin/${way}-tenant`, { platform, tenant_id: 'a', to })
    expect([way, Math.floor(status / 100)]).toEqual([way, 2])
  }
  await patient.post('/admin/rename-tenant', { platform, tenant_id: 'c', to: 'a' })
  expect(await ids()).toEqual([...before, 'd'].sort())
})

test('a client that is gone waits no longer for the connection of the lock', async () => {
  const { deploys, pools, server, config } = patient.gateway
  const leaseAll = () =>
    Promise.all(
      Array.from({ length: config.maxConnectionsPerPool }, () =>
        pools.lease(server.database, { waitMs: 5000 }),
      ),
    )
  const taken = await leaseAll()
  try {
    const leaving = new AbortController()
    const work = async () => 'done'
    const asked = withDatabaseLock(deploys.parts, name('f'), work, leaving.signal).catch(
      (error) => error,
    )
    expect(pools.status().waiting).toBeGreaterThan(0)
    leaving.abort(new Error('gone'))
    expect(await Promise.race([asked, sleep(2000, 'waits on')])).toMatchObject({ message: 'gone' })
  } finally {
    for (const lease of taken) lease.release()
  }
  // What came too late is given back: otherwise one of them would be missing.
  for (const lease of await leaseAll()) lease.release()
})

test('a deploy that waits for another one for too long tells its session', async () => {
  const session = connectTo(name('a'))
  const [locked] = await session`
    select pg_backend_pid() as pid, pg_advisory_lock(hashtext('_db_gateway_deploy'))
  `
  const told = await gateway.register(platform, await pack(textFunction('f', 'two')), 'a')
  await session.end()
  expect(told).toMatchObject({
    status: 504,
    body: { error: 'query_timeout', sessions: [{ pid: locked!.pid }] },
  })
  expect(told.body.message).toBe(
    `Another deploy to ${name('a')} has not ended within 1 s (DEPLOY_TIMEOUT_SECS)`,
  )
})
