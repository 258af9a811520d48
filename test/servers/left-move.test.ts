import { afterAll, beforeAll, expect, test } from 'vitest'
import { moveLock } from '../../lib/deploy/relocate/servers.ts'
import { databaseLock } from '../../lib/tenancy/database-lock.ts'
import { connectTo, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

// A gateway was killed while it copied a tenant to eu1, which is away since.

const platform = uniqueName('left')
const tenant = { platform, tenant_id: 'a' }
const name = `${platform}_a`
const kept = `_db_gateway_moved_${platform}`
let gateway: TestGateway
let archive: Uint8Array
beforeAll(async () => {
  gateway = await startTestGateway({ SERVERS: 'eu1=postgres://nobody:x@127.0.0.1:1/none' })
  archive = await pack(textFunction('f', 'one'))
  await gateway.register(platform, archive, 'a')
})
afterAll(() => gateway.stop())

const post = async (path: string, more: object = {}) => {
  const { status, body } = await gateway.post(`/admin/${path}`, { ...tenant, ...more })
  return [status, body.error]
}

const callsUsed = async () =>
  (await gateway.get(`/admin/usage?platform=${platform}`)).body.usage[0].calls

const movesLeft = () =>
  gateway.query(gateway.server.database, `select from _db_gateway_moves where database = '${name}'`)

/** Begins a move as a gateway does that is killed when the session ends. */
async function beginMove() {
  const mover = connectTo(gateway.server.database)
  await mover`select pg_advisory_lock(${databaseLock(mover, moveLock(name))})`
  await gateway.gateway.pools.closeDatabase(name)
  await mover.begin(async (sql) => {
    await sql.unsafe(`alter database ${name} rename to ${kept}`)
    await sql`update _db_gateway_databases set hidden_as = ${kept} where database = ${name}`
    await sql`
      insert into _db_gateway_moves (database, id, platform, tenant_id, source, target, kept)
      values (${name}, gen_random_uuid(), ${platform}, 'a', 'main', 'eu1', ${kept})
    `
  })
  return mover
}

test('a tenant whose move was left is touched by nobody, and given back without the other server', async () => {
  for (let i = 0; i < 3; i++) await gateway.call(platform, 'f', [], 'a')
  const mover = await beginMove()
  const busy = [409, 'tenant_busy']
  expect(await post('forget-database')).toEqual(busy)
  expect(await post('rename-tenant', { to: 'b' })).toEqual(busy)
  expect(await post('label-tenant', { labels: { plan: 'pro' } })).toEqual(busy)
  expect(await post('suspend-tenant')).toEqual(busy)
  expect(await post('drop-tenant', { confirm: name, dump: false })).toEqual(busy)
  // What was counted before is written while the database has its other name.
  expect(await callsUsed()).toBe(3)
  const called = gateway.call(platform, 'f', [], 'a')
  const created = post('create-tenant')
  const registered = gateway.register(platform, archive, 'a')
  // The session's end releases the lock, as that of a gateway that was killed.
  await mover.end()
  expect((await called).body.rows).toEqual([{ f: 'one' }])
  expect((await registered).status).toBe(200)
  expect(await created).toEqual([409, 'database_already_exists'])
  // What the other server may have of it is dropped when it is back.
  expect(await movesLeft()).toHaveLength(1)
  expect(
    await gateway.query('postgres', `select from pg_database where datname = '${kept}'`),
  ).toEqual([])
  expect((await post('label-tenant', { labels: { plan: 'pro' } }))[0]).toBe(200)
  const { body } = await gateway.get(`/admin/usage?platform=${platform}&tenant_id=a`)
  expect(body.usage).toMatchObject([{ database: name, tenant_id: 'a', calls: 4 }])
})

test('a deploy to all waits for a tenant that is being moved, and comes to it last', async () => {
  await gateway.query(gateway.server.database, 'delete from _db_gateway_moves')
  await gateway.register(platform, archive, 'b')
  const mover = await beginMove()
  const migrated = gateway.migrate(platform, await pack(textFunction('f', 'two')))
  const other = async () => (await gateway.call(platform, 'f', [], 'b')).body.rows?.[0].f
  await expect.poll(other, { timeout: 10_000 }).toBe('two')
  await mover.end()
  const { status, body } = await migrated
  expect([status, body.databases_updated]).toEqual([200, [name, `${platform}_b`]])
  expect((await gateway.call(platform, 'f', [], 'a')).body.rows).toEqual([{ f: 'two' }])
  const fleet = await gateway.get(`/admin/fleet?platform=${platform}`)
  expect(JSON.stringify(fleet.body)).not.toContain('failed_at')
})

test('a tenant that has another database of its name is not told as given back', async () => {
  const sql = connectTo(gateway.server.database)
  await sql.unsafe(`create database ${kept}`)
  await sql`update _db_gateway_moves set kept = ${kept}, target = 'main' where database = ${name}`
  const told = () => gateway.logged.some(({ cause }) => `${cause}`.includes('has two databases'))
  await expect.poll(told, { timeout: 10_000 }).toBe(true)
  expect(await movesLeft()).toHaveLength(1)
  await sql.unsafe(`drop database ${kept}`)
  await expect.poll(movesLeft, { timeout: 10_000 }).toHaveLength(0)
  await sql.end()
})
