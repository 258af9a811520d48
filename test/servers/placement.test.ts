import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import { chooseServer } from '../../lib/servers/choose.ts'
import { reconcile } from '../../lib/servers/reconcile.ts'
import {
  databaseUrlOf,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'

let eu1: OtherServer
let gateway: TestGateway
/** Another gateway with the same servers. */
let other: TestGateway
let archive: Uint8Array
beforeAll(async () => {
  eu1 = await startOtherServer()
  const settings = {
    SERVERS: `eu1=${eu1.uri}`,
    PLACEMENT: 'databases',
    PLACEMENT_LABELS: 'plan=pro:eu1;plan=free:main',
  }
  gateway = await startTestGateway(settings)
  other = await startTestGateway({
    ...settings,
    DATABASE_URL: databaseUrlOf(gateway.server.database),
  })
  archive = await pack(textFunction('f', 'one'))
})
afterAll(async () => {
  await other.stop()
  await gateway.stop()
  await eu1.remove()
})

const placements = async () => {
  const rows = await gateway.query(
    gateway.server.database,
    'select database, server from _db_gateway_placements order by 1',
  )
  return Object.fromEntries(rows.map(({ database, server }) => [database, server]))
}
const create = async (platform: string, tenant_id: string, more: object = {}, at = gateway) =>
  at.post('/admin/create-tenant', { platform, tenant_id, ...more })

describe('the server of a new tenant', () => {
  test('is that of the request, then of its labels, then of the main database, then of PLACEMENT', async () => {
    const platform = uniqueName('chosen')
    const server = async (tenant: string, more: object = {}) =>
      (await create(platform, tenant, more)).body.server
    expect(await server('a', { server: 'main', labels: { plan: 'pro' } })).toBe('main')
    expect(await server('b', { labels: { plan: 'pro' } })).toBe('eu1')
    expect(await server('c', { labels: { plan: 'free' } })).toBe('main')
    // eu1 has fewer databases.
    expect(await server('d')).toBe('eu1')
    const home = uniqueName('home')
    expect((await gateway.register(home, archive, undefined, { server: 'eu1' })).body.server).toBe(
      'eu1',
    )
    expect((await create(home, 'a')).body.server).toBe('eu1')
  })

  test('is refused where there is none of the name', async () => {
    const { status, body } = await create(uniqueName('none'), 'a', { server: 'eu9' })
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain('main, eu1')
  })
})

describe('the place of a tenant', () => {
  test('is given up when it is not made', async () => {
    const platform = uniqueName('failed')
    const missing = await create(platform, 'a', { server: 'eu1', deploy: true })
    expect([missing.status, missing.body.error]).toEqual([404, 'not_found'])
    const broken = await pack({ 'functions/f.pssql': 'create function f() returns nothing' })
    expect((await gateway.register(platform, broken, 'b', { server: 'eu1' })).status).toBe(422)
    expect(Object.keys(await placements())).not.toContain(`${platform}_a`)
    expect(Object.keys(await placements())).not.toContain(`${platform}_b`)
    expect((await create(platform, 'a', { server: 'main' })).body.server).toBe('main')
  })

  test('follows it when it is renamed, cloned and dropped', async () => {
    const platform = uniqueName('moved')
    await create(platform, 'a', { server: 'eu1' })
    const tenant = { platform, tenant_id: 'a' }
    expect((await gateway.post('/admin/rename-tenant', { ...tenant, to: 'b' })).status).toBe(200)
    const clone = { platform, tenant_id: 'b', to: 'c' }
    expect((await gateway.post('/admin/clone-tenant', clone)).status).toBe(201)
    expect(await eu1.databases()).toEqual(
      expect.arrayContaining([`${platform}_b`, `${platform}_c`]),
    )
    const drop = { platform, tenant_id: 'b', confirm: `${platform}_b`, dump: false }
    expect((await gateway.post('/admin/drop-tenant', drop)).status).toBe(200)
    await eu1.query(`drop database ${platform}_c with (force)`)
    const forgotten = { platform, tenant_id: 'c' }
    expect((await gateway.post('/admin/forget-database', forgotten)).status).toBe(200)
    const left = Object.keys(await placements()).filter((name) => name.startsWith(platform))
    expect(left).toEqual([])
    expect((await create(platform, 'c', { server: 'main' })).status).toBe(201)
    // The name is taken on main now.
    await create(platform, 'd', { server: 'eu1' })
    const taken = await gateway.post('/admin/rename-tenant', { platform, tenant_id: 'd', to: 'c' })
    expect([taken.status, taken.body.error]).toEqual([409, 'name_conflict'])
    expect((await placements())[`${platform}_c`]).toBeUndefined()
  })

  test('that a killed gateway has left is taken by the next request', async () => {
    const platform = uniqueName('killed')
    const leave = (tenant: string) =>
      gateway.query(
        gateway.server.database,
        `insert into _db_gateway_placements (database, platform, tenant_id, server)
         values ('${platform}_${tenant}', '${platform}', '${tenant}', 'eu1')`,
      )
    await leave('a')
    await leave('b')
    await gateway.gateway.servers.placements.load()
    expect((await create(platform, 'a')).body.server).toBe('eu1')
    expect((await create(platform, 'b', { server: 'main' })).body.server).toBe('main')
    expect((await placements())[`${platform}_b`]).toBeUndefined()
  })

  test('of an existing database is that of the server that it is adopted on', async () => {
    const platform = uniqueName('adopted')
    await eu1.query(`create database ${platform}_a owner gateway`)
    const adopted = { platform, tenant_id: 'a', database: `${platform}_a` }
    const { status, body } = await gateway.post('/admin/adopt', adopted)
    expect([status, body.server]).toEqual([200, 'eu1'])
    expect((await placements())[`${platform}_a`]).toBe('eu1')
  })
})

describe('a tenant that was moved, and dropped on the other server', () => {
  const note = async (server: string, database: string, to: string) => {
    const [platform, tenant] = database.split('_')
    await gateway.gateway.servers.named(server).catalog.use(
      (sql) => sql`
        insert into _db_gateway_moved (database, platform, tenant_id, moved_to, kept)
        values (${database}, ${platform!}, ${tenant!}, ${to}, '_db_gateway_moved_former')
      `,
    )
  }

  test('can be made anew on either, and called', async () => {
    const platform = uniqueName('anew')
    await gateway.register(platform, archive)
    for (const [tenant, server, to] of [
      ['a', 'main', 'eu1'],
      ['b', 'eu1', 'main'],
    ] as const) {
      await note(server, `${platform}_${tenant}`, to)
      expect((await other.call(platform, 'f', [], tenant)).status).toBe(404)
      const made = await create(platform, tenant, { server, deploy: true }, other)
      expect([made.status, made.body.server]).toEqual([201, server])
      expect((await gateway.register(platform, archive, tenant)).body.server).toBe(server)
      for (const at of [gateway, other])
        expect((await at.call(platform, 'f', [], tenant)).body.rows).toEqual([{ f: 'one' }])
      // Its former database would be lost. With PG_MAJOR `main` may be the older server.
      const again = { platform, tenant_id: tenant, to }
      const moved = await gateway.post('/admin/move-tenant', again)
      const isToOlder = process.env.PG_MAJOR !== undefined && to === 'main'
      const refusals = [
        'name_conflict',
        'dump_not_available',
        ...(isToOlder ? ['move_refused'] : []),
      ]
      expect(refusals).toContain(moved.body.error)
    }
  })
})

describe('a server that is opened', () => {
  test('gives its databases the places that were lost, and keeps those of databases that it has not', async () => {
    const platform = uniqueName('lost')
    await create(platform, 'a', { server: 'eu1' })
    const { servers, log } = gateway.gateway
    await gateway.query(
      gateway.server.database,
      `update _db_gateway_placements set database = '${platform}_b' where database = '${platform}_a'`,
    )
    await reconcile('eu1', servers.named('eu1'), servers.placements, log)
    const left = Object.keys(await placements()).filter((name) => name.startsWith(platform))
    expect(left.sort()).toEqual([`${platform}_a`, `${platform}_b`])
    const told = gateway.logged.filter(({ databases }) => databases?.includes(`${platform}_b`))
    expect(told).toMatchObject([{ level: 'warn', server: 'eu1' }])
    // A place that this gateway has not heard of.
    expect((await create(platform, 'b', { server: 'main' })).body.server).toBe('main')
  })
})

describe('two gateways', () => {
  test('make no name on two servers', async () => {
    const platform = uniqueName('race')
    for (const tenant of ['a', 'b', 'c']) {
      const answers = await Promise.all([
        create(platform, tenant, { server: 'main' }),
        create(platform, tenant, { server: 'eu1' }, other),
      ])
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
      const made = answers.find(({ status }) => status === 201)!.body.server
      expect((await eu1.databases()).includes(`${platform}_${tenant}`)).toBe(made === 'eu1')
      expect((await placements())[`${platform}_${tenant}`] ?? 'main').toBe(made)
    }
  })

  test('call at once what the other has made, and know it again after a lost connection', async () => {
    const platform = uniqueName('both')
    await gateway.register(platform, archive)
    for (const tenant of ['a', 'b']) {
      expect((await other.call(platform, 'f', [], tenant)).status).toBe(404)
      const made = { server: 'eu1', deploy: true }
      expect((await create(platform, tenant, made)).status).toBe(201)
      expect((await other.call(platform, 'f', [], tenant)).body.rows).toEqual([{ f: 'one' }])
    }
    const { placements: known } = other.gateway.servers
    // As if the notification had been missed.
    await known.forget(`${platform}_a`, 'eu1')
    await gateway.query(
      gateway.server.database,
      `insert into _db_gateway_placements (database, platform, tenant_id, server)
       values ('${platform}_a', '${platform}', 'a', 'eu1')`,
    )
    expect(known.of(`${platform}_a`)).toBeUndefined()
    const lost = other.gateway.listener.use(() => Promise.reject(new Error('lost')))
    await expect(lost).rejects.toThrow('lost')
    await expect.poll(() => known.of(`${platform}_a`), { timeout: 10_000 }).toBe('eu1')
  })
})

describe('a gateway whose SERVERS lacks a server', () => {
  test('answers 503 for what is there, and makes nothing of the name', async () => {
    const platform = uniqueName('lacking')
    const plain = await startTestGateway({ DATABASE_URL: databaseUrlOf(gateway.server.database) })
    const expectRefused = async (tenant: string) => {
      const called = await plain.call(platform, 'f', [], tenant)
      expect([called.status, called.body.error]).toEqual([503, 'connection_failed'])
      expect(called.body.message).toContain('Server eu1 is not in SERVERS')
      expect((await plain.register(platform, archive, tenant)).status).toBe(503)
      expect((await create(platform, tenant, {}, plain)).status).toBe(503)
    }
    try {
      await gateway.register(platform, archive, 'a', { server: 'eu1' })
      const { placements: known } = plain.gateway.servers
      await expect.poll(() => known.of(`${platform}_a`)).toBe('eu1')
      await expectRefused('a')
      // The notification is missed.
      await gateway.query(
        gateway.server.database,
        `insert into _db_gateway_placements (database, platform, tenant_id, server)
         values ('${platform}_c', '${platform}', 'c', 'eu1')`,
      )
      expect(known.of(`${platform}_c`)).toBeUndefined()
      expect((await plain.register(platform, archive, 'c')).status).toBe(503)
      const { body } = await plain.get('/health')
      expect(body.servers).toMatchObject([{ name: 'main' }, { name: 'eu1', connected: false }])
      const list = await plain.get(`/admin/databases?platform=${platform}`)
      expect(list.body.servers_away).toEqual(['eu1'])
    } finally {
      await plain.stop()
    }
  })
})

describe('where there is most room', () => {
  const chosenBy = (placement: string) => {
    const { servers } = gateway.gateway
    const owner = { platform: uniqueName('room'), tenantId: 'a', schema: null }
    return chooseServer(servers, { placement, placementLabels: [] }, owner, {})
  }

  test('is not asked where PLACEMENT names a server', async () => {
    expect([await chosenBy('main'), await chosenBy('eu1')]).toEqual(['main', 'eu1'])
    expect(() => readConfig({ PLACEMENT: 'eu9' })).toThrow(/^PLACEMENT: names eu9/)
  })

  test('is by the bytes of the databases in the catalogs, or by connections in use', async () => {
    const { servers } = gateway.gateway
    const bytes = servers.open().map(async ({ catalog }) => {
      const [row] = await catalog.use(
        (sql) => sql<[{ n: number }]>`
          select coalesce(sum(pg_database_size(database)), 0)::float8 as n from _db_gateway_databases
          where database in (select datname from pg_database)
        `,
      )
      return row.n
    })
    const [main, other] = await Promise.all(bytes)
    expect(await chosenBy('bytes')).toBe(other! < main! ? 'eu1' : 'main')
    const { pools } = gateway.gateway
    const leases = await Promise.all(
      Array.from({ length: 8 }, () => pools.lease(gateway.server.database)),
    )
    expect(await chosenBy('load')).toBe('eu1')
    for (const lease of leases) await lease.discard()
  })

  test('is not on a server that is away, which alone is refused by its name', async () => {
    await eu1.stop()
    const platform = uniqueName('alone')
    const made = await create(platform, 'a')
    expect([made.status, made.body.server]).toEqual([201, 'main'])
    const named = await create(platform, 'b', { server: 'eu1' })
    expect([named.status, named.body.error]).toEqual([503, 'connection_failed'])
    expect(named.body.message).toContain('eu1')
    await eu1.start()
  })
})
