import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkNotOlder } from '../../lib/servers/older-copy.ts'
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
let archive: Uint8Array
beforeAll(async () => {
  eu1 = await startOtherServer()
  gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
  archive = await pack(textFunction('f', 'one'))
})
afterAll(async () => {
  await gateway.stop()
  await eu1.remove()
})

/** Names of the servers that a catalog of `main` has noted. */
async function serversOf({ query, server }: TestGateway): Promise<string[]> {
  const rows = await query(server.database, 'select name from _db_gateway_servers order by name')
  return rows.map(({ name }) => name)
}

test('a server that is main itself, or has another name, is not opened', async () => {
  const url = databaseUrlOf(gateway.server.database)
  const twice = await startTestGateway({ DATABASE_URL: url, SERVERS: `eu2=${url};eu3=${eu1.uri}` })
  const { body } = await twice.get('/health')
  const noted = await serversOf(twice)
  await twice.stop()
  expect(body.servers).toMatchObject([
    { connected: true },
    { name: 'eu2', connected: false },
    { name: 'eu3', connected: false },
  ])
  expect(body.servers[1].why).toContain('is the server main')
  expect(body.servers[2].why).toContain('is the server eu1')
  expect(noted).toEqual(['eu1'])
})

test('a server of another installation is not opened, nor is it a main of its own', async () => {
  const stranger = await startTestGateway({ SERVERS: `eu2=${eu1.uri}` })
  const { body } = await stranger.get('/health')
  const noted = await serversOf(stranger)
  expect(body.servers[1]).toMatchObject({ name: 'eu2', connected: false })
  expect(body.servers[1].why).toContain('belongs to another installation')
  await stranger.stop()
  expect(noted).toEqual([])
  await expect(startTestGateway({ DATABASE_URL: eu1.uri })).rejects.toThrow(
    'belongs to another installation',
  )
})

test('a server that is an older copy of itself is told by what it has written', async () => {
  const { servers } = gateway.gateway
  const [main, there] = ['main', 'eu1'].map((name) => servers.named(name).catalog)
  const check = () =>
    checkNotOlder(
      (work) => main!.use(work),
      (work) => there!.use(work),
      'copied',
    )
  const inMain = (text: string) => gateway.query(gateway.server.database, text)
  const note = (timeline: number, position: string) =>
    inMain(
      `update _db_gateway_servers set wal_timeline = ${timeline}, wal_position = '${position}'
       where name = 'copied'`,
    )
  const seen = `select wal_system as system, wal_timeline as timeline, wal_position as position
    from _db_gateway_servers where name = 'copied'`
  // Not under its own name, by which the gateway itself compares it every 5 s.
  await inMain(
    `insert into _db_gateway_servers (name, catalog) values ('copied', gen_random_uuid())`,
  )
  await check()
  const [before] = await inMain(seen)
  expect(before).toMatchObject({ system: expect.any(String), timeline: 1 })
  await check()
  // A snapshot, and a primary that a failover has left behind.
  for (const [timeline, position] of [
    [1, 'FF/0'],
    [2, '0/0'],
  ] as const) {
    await note(timeline, position)
    await expect(check()).rejects.toThrow(`and ${position} of timeline ${timeline} was seen`)
  }
  // A promotion may lose what an asynchronous standby had not; another cluster is a restored dump.
  await note(0, 'FF/0')
  await check()
  await inMain(`update _db_gateway_servers set wal_system = '1', wal_position = 'FF/0'
    where name = 'copied'`)
  await check()
  const [after] = await inMain(seen)
  expect(after).toMatchObject({ system: before.system, timeline: 1 })
  expect(after.position).not.toBe('FF/0')
})

describe('a tenant that is registered on another server', () => {
  const platform = uniqueName('servers')

  test('has its database there, and is called there', async () => {
    await gateway.register(platform, archive)
    const answer = await gateway.register(platform, archive, 'far', { server: 'eu1' })
    expect(answer.body).toMatchObject({ status: 'ready', database: `${platform}_far` })
    expect(await eu1.databases()).toContain(`${platform}_far`)
    expect(await eu1.databases()).not.toContain(`${platform}_main`)
    expect((await gateway.call(platform, 'f', [], 'far')).body.rows).toEqual([{ f: 'one' }])
    expect((await gateway.call(platform, 'f')).body.rows).toEqual([{ f: 'one' }])
  })

  test('stays there when it is registered again', async () => {
    const answer = await gateway.register(platform, await pack(textFunction('f', 'two')), 'far')
    expect(answer.status).toBe(200)
    expect((await gateway.call(platform, 'f', [], 'far')).body.rows).toEqual([{ f: 'two' }])
    expect((await gateway.call(platform, 'f')).body.rows).toEqual([{ f: 'one' }])
  })

  test('cannot be registered on a third', async () => {
    const answer = await gateway.register(platform, archive, 'far', { server: 'main' })
    expect(answer).toMatchObject({ status: 409, body: { error: 'name_conflict', server: 'eu1' } })
    const unknown = await gateway.register(platform, archive, 'new', { server: 'eu7' })
    expect(unknown).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  test('is suspended and resumed there', async () => {
    const tenant = { platform, tenant_id: 'far' }
    await gateway.post('/admin/suspend-tenant', tenant)
    expect((await gateway.call(platform, 'f', [], 'far')).body.error).toBe('tenant_suspended')
    await gateway.post('/admin/resume-tenant', tenant)
    expect((await gateway.call(platform, 'f', [], 'far')).status).toBe(200)
  })

  test('is alone in getting no answers while its server is away', async () => {
    await eu1.stop()
    const started = performance.now()
    const answer = await gateway.call(platform, 'f', [], 'far')
    expect(answer).toMatchObject({ status: 503, body: { error: 'connection_failed' } })
    expect(performance.now() - started).toBeLessThan(5000)
    expect((await gateway.call(platform, 'f')).status).toBe(200)
    await eu1.start()
    await expect
      .poll(async () => (await gateway.call(platform, 'f', [], 'far')).status, { timeout: 10_000 })
      .toBe(200)
  })
})
