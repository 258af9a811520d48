import { beforeEach, describe, expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  connectTo,
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, NOTES, pack, textFunction } from '../helpers/platforms.ts'
import { eventually, startProcess } from '../helpers/process.ts'

const FILES: Files = {
  ...NOTES,
  'functions/memory.pssql': `
    create or replace function memory() returns text language sql stable
    as $$ select current_database() || ' ' || current_setting('work_mem') $$;`,
}

const { url, gateway: one, other: two, query } = await startTwoGateways()
const archive = await pack(FILES)
const admin = one.server.database

let platform: string
beforeEach(async () => {
  platform = uniqueName('p')
  expect((await one.register(platform, archive, 'live')).body.status).toBe('ready')
})

const clone = (members: object = {}, gateway = one) =>
  gateway.post('/admin/clone-tenant', { platform, tenant_id: 'live', to: 'copy', ...members })
const call = (gateway: TestGateway, tenant: string, name: string, params: unknown[] = []) =>
  gateway.call(platform, name, params, tenant)
const ids = async () =>
  (await two.get(`/admin/tenants?platform=${platform}`)).body.tenants.map(
    (one: Json) => one.tenant_id,
  )

describe('POST /admin/clone-tenant', () => {
  test('makes a tenant of its own, with labels of its own', async () => {
    const labelled = { platform, tenant_id: 'live', labels: { plan: 'pro' } }
    await one.post('/admin/label-tenant', labelled)
    await query(`alter database ${platform}_live set work_mem to '5MB'`)
    await call(one, 'live', 'add_note', [1])
    const { status, body } = await clone({ labels: { env: 'staging' } })
    expect([status, body]).toEqual([
      201,
      expect.objectContaining({
        status: 'cloned',
        from: { tenant_id: 'live', database: `${platform}_live` },
        copied_bytes: expect.any(Number),
        held_ms: expect.any(Number),
        tenant_id: 'copy',
        database: `${platform}_copy`,
        state: 'active',
        labels: { env: 'staging' },
        schema_checksum: expect.any(String),
      }),
    ])
    expect((await call(two, 'copy', 'add_note', [2])).body.rows).toEqual([
      { add_note: `${platform}_copy` },
    ])
    for (const [gateway, tenant, notes] of [
      [one, 'live', 1],
      [two, 'live', 1],
      [one, 'copy', 2],
    ] as const) {
      const [counted, memory] = await Promise.all([
        call(gateway, tenant, 'count_notes'),
        call(gateway, tenant, 'memory'),
      ])
      expect(counted.body.rows).toEqual([{ count_notes: notes }])
      expect(memory.body.rows).toEqual([{ memory: `${platform}_${tenant} 5MB` }])
    }
    // Nobody but the platform's role may connect.
    const [acl] = await query(
      `select count(*) filter (where a.grantee = 0)::integer as public, d.datdba = s.datdba as same
      from pg_database d join pg_database s on s.datname = '${platform}_live',
        aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
      where d.datname = '${platform}_copy' group by 2`,
    )
    expect(acl).toEqual({ public: 0, same: true })

    const history = await two.get(`/admin/deployments?platform=${platform}&tenant_id=copy`)
    expect(history.body.deployments).toMatchObject([{ database: `${platform}_copy` }])
    const { entries } = (await one.get(`/admin/audit?platform=${platform}&limit=1`)).body
    expect(entries).toMatchObject([
      {
        action: 'clone_tenant',
        tenant_id: 'live',
        databases: [`${platform}_live`, `${platform}_copy`],
        summary: { to: 'copy', labels: { env: 'staging' }, copied_bytes: expect.any(Number) },
      },
    ])
    expect((await one.get(`/admin/drift?platform=${platform}`)).body).toMatchObject({
      count: 2,
      alike: 2,
    })
    expect((await two.register(platform, archive, 'copy')).body.migrations_applied).toBe(0)
    const changed = await pack({ ...FILES, ...textFunction('ping', 'new') })
    expect((await two.register(platform, changed, 'copy')).body.functions_changed).toBe(1)
    expect((await call(one, 'copy', 'ping')).body.rows).toEqual([{ ping: 'new' }])
    expect((await call(one, 'live', 'ping')).body.rows).toEqual([{ ping: 'pong' }])
  })

  test('under load no call fails, and each write is in the source', async () => {
    const outcomes = new Map<string, number>()
    let key = 0
    let isOver = false
    const caller = async (gateway: TestGateway) => {
      while (!isOver) {
        const { status, body } = await call(gateway, 'live', 'add_note', [key++])
        const outcome = status === 200 ? body.rows[0].add_note : JSON.stringify(body)
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
      }
    }
    const callers = [one, one, one, two, two, two].map(caller)
    const database = `${platform}_live`
    const more = () => {
      const before = outcomes.get(database) ?? 0
      return eventually('calls run', () => (outcomes.get(database) ?? 0) > before + 30)
    }
    await more()
    // One after the other, though both are asked for at once.
    const both = await Promise.all([clone({}, two), clone({ to: 'other' })])
    expect(both.map(({ status }) => status)).toEqual([201, 201])
    await more()
    isOver = true
    await Promise.all(callers)
    expect([...outcomes.keys()]).toEqual([database])
    const notes = async (tenant: string) =>
      (await call(one, tenant, 'count_notes')).body.rows[0].count_notes
    const written = outcomes.get(database)!
    expect(await notes('live')).toBe(written)
    expect(await notes('copy')).toBeLessThan(written)
  })

  test('a database that is too large is 409, or copied while calls are 503', async () => {
    const settings = { POOL_WAIT_TIMEOUT_SECS: '1', DATABASE_COPY: 'wal_log' }
    const hasty = await startTestGateway({ DATABASE_URL: url, ...settings })
    afterTest(() => hasty.stop())
    await queryDatabase(
      `${platform}_live`,
      'create unlogged table filler as select generate_series(1, 800000) as n',
      { asGateway: true },
    )
    const { status, body } = await clone({}, hasty)
    expect([status, body]).toMatchObject([
      409,
      { error: 'tenant_busy', estimated_s: 2, size_bytes: expect.any(Number) },
    ])
    expect(body.hint).toContain('"hold": true')

    const holder = connectTo(`${platform}_live`)
    await holder`drop table filler`
    const cloning = clone({ hold: true }, hasty)
    const refused = await eventually('calls are 503', async () => {
      const answer = await call(two, 'live', 'ping')
      return answer.status === 503 && answer
    })
    expect(refused.body).toMatchObject({
      error: 'tenant_suspended',
      message: `Tenant live of platform ${platform} is being copied`,
    })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    const changed = await pack({ ...FILES, ...textFunction('ping', 'new') })
    const deploys = [one.register(platform, changed, 'live'), two.migrate(platform, changed)]
    await holder.end()
    expect((await cloning).status).toBe(201)
    for (const { status } of await Promise.all(deploys)) expect(status).toBe(200)
    const pings = await Promise.all(['live', 'copy'].map((tenant) => call(hasty, tenant, 'ping')))
    expect(pings[0]!.body.rows).toEqual([{ ping: 'new' }])
    expect(pings[1]!.status).toBe(200)
  })

  test('a tenant of a schema, which is suspended', async () => {
    const owner = { platform, schema_name: 'hr', uuid: 'u1' }
    const { platform: _, ...flags } = owner
    expect((await one.register(platform, archive, undefined, flags)).status).toBe(200)
    await one.post('/admin/suspend-tenant', owner)
    const { status, body } = await two.post('/admin/clone-tenant', { ...owner, to: 'u2' })
    expect([status, body]).toEqual([
      201,
      expect.objectContaining({ tenant_id: 'u2', schema_name: 'hr', state: 'active' }),
    ])
    const asked = { platform, schema_name: 'hr', function: 'ping' }
    expect((await one.post('/call', { ...asked, uuid: 'u2' })).status).toBe(200)
    expect((await one.post('/call', { ...asked, uuid: 'u1' })).status).toBe(503)
  })

  test('refuses names that are taken, and leaves nothing', async () => {
    await one.post('/admin/create-tenant', { platform, tenant_id: 'taken' })
    await query(`create database ${platform}_foreign`)
    for (const [members, status, message] of [
      [{ to: 'taken' }, 409, 'already has the database'],
      [{ to: 'TAKEN' }, 409, 'is taken by tenant taken'],
      [{ to: 'foreign' }, 409, 'exists on the server'],
      [{ to: 'LIVE' }, 409, 'is taken by tenant live'],
      [{ to: 'live' }, 400, 'to is the name that the tenant has'],
      [{ to: undefined }, 400, 'to is missing'],
      [{ labels: { plan: 1 } }, 400, 'labels'],
      [{ tenant_id: 'nobody' }, 404, 'has no database'],
    ] as const) {
      const { status: got, body } = await clone(members)
      expect([got, body.message]).toEqual([status, expect.stringContaining(message)])
    }
    await query(`drop database ${platform}_foreign`)
    expect(await ids()).toEqual(['live', 'taken'])
  })

  test('a gateway that is killed leaves one name, and no half made copy', async () => {
    expect((await one.register(platform, archive, 'old')).body.status).toBe('ready')
    const killed = await startProcess({ DATABASE_URL: url, GATEWAY_PORT: '0' })
    await killed.url()
    const locker = connectTo(admin)
    await locker`begin`
    await locker`lock table _db_gateway_deployments in access exclusive mode`
    const ask = (path: string, members: object) =>
      killed.post(path, { platform, ...members }).catch(() => 'cut')
    const asked = [
      ask('/admin/rename-tenant', { tenant_id: 'old', to: 'new' }),
      ask('/admin/clone-tenant', { tenant_id: 'live', to: 'copy' }),
    ]
    await eventually('both are half done', async () => {
      return (await sessionsRunning(admin, '_db_gateway_deployments')) >= 2
    })
    const held = [one, two].map((gateway) => call(gateway, 'old', 'memory'))
    killed.kill('SIGKILL')
    expect(await Promise.all(asked)).toEqual(['cut', 'cut'])
    await locker.end()
    for (const { status } of await Promise.all(held)) expect(status).toBe(200)
    expect(await ids()).toEqual(['live', 'old'])
    await eventually('the copy is dropped', async () => {
      await two.gateway.dueDrops.run()
      const left = await query(
        `select from pg_database where datname like '\\_db\\_gateway\\_copy%'`,
      )
      return left.length === 0
    })
    expect((await clone({}, two)).status).toBe(201)
    const again = { platform, tenant_id: 'old', to: 'new' }
    expect((await two.post('/admin/rename-tenant', again)).status).toBe(200)
  })
})
