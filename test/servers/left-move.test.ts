import { afterAll, beforeAll, expect, test } from 'vitest'
import { moveLock } from '../../lib/deploy/relocate/servers.ts'
import { LOCK_FOR_MOVE } from '../../lib/deploy/run/session.ts'
import { databaseLock } from '../../lib/tenancy/database-lock.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  schemaForm,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

// A gateway was killed while it copied a tenant to eu1, which is away since.

const platform = uniqueName('left')
const tenant = { platform, tenant_id: 'a' }
const name = `${platform}_a`
const kept = `_db_gateway_moved_${platform}`
let gateway: TestGateway
let archive: Uint8Array
let env: { DATABASE_URL: string; SERVERS: string }
beforeAll(async () => {
  const home = await createAdminDatabase()
  env = { DATABASE_URL: home, SERVERS: 'eu1=postgres://nobody:x@127.0.0.1:1/none' }
  gateway = await startTestGateway(env)
  archive = await pack(textFunction('f', 'one'))
  await gateway.register(platform, archive, 'a')
})
afterAll(async () => {
  await gateway.stop()
  await dropAdminDatabase(env.DATABASE_URL)
})

const post = async (path: string, more: object = {}) => {
  const { status, body } = await gateway.post(`/admin/${path}`, { ...tenant, ...more })
  return [status, body.error]
}

const callsUsed = async () =>
  (await gateway.get(`/admin/usage?platform=${platform}`)).body.usage[0].calls

const movesLeft = () =>
  gateway.query(gateway.server.database, `select from _db_gateway_moves where database = '${name}'`)

/** Begins a move as a gateway does that is killed when the session ends. */
async function beginMove(isRenamed = true) {
  const mover = connectTo(gateway.server.database)
  // One is left, whose copy cannot be dropped.
  await mover`delete from _db_gateway_moves`
  await mover`select pg_advisory_lock(${databaseLock(mover, moveLock(name))})`
  await gateway.gateway.pools.closeDatabase(name)
  await mover.begin(async (sql) => {
    if (isRenamed) {
      await sql.unsafe(`alter database ${name} rename to ${kept}`)
      await sql`update _db_gateway_databases set hidden_as = ${kept} where database = ${name}`
    }
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

/** Ends a move, and waits until the tenant is as before. */
async function endMove(mover: { end(): Promise<void> }): Promise<void> {
  await mover.end()
  const called = async () => (await gateway.call(platform, 'f', [], 'a')).status
  await expect.poll(called, { timeout: 10_000 }).toBe(200)
}

test('a deploy to all tells a move that lasts for too long, and brings the rest later', async () => {
  const hasty = await startTestGateway({ ...env, DEPLOY_TIMEOUT_SECS: '2' })
  const mover = await beginMove()
  const three = await pack(textFunction('f', 'three'))
  const { status, body } = await hasty.migrate(platform, three)
  expect([status, body.databases_updated]).toEqual([503, [`${platform}_b`]])
  expect(body.failed).toMatchObject([{ database: name, error: 'tenant_busy' }])
  await hasty.stop()
  await endMove(mover)
  const rest = await gateway.migrate(platform, three, undefined, { only: 'failed' })
  expect([rest.status, rest.body.databases_updated]).toEqual([200, [name]])
})

test('a deploy to all that is stopped while it waits for a move does not tell that it deploys there', async () => {
  const mover = await beginMove(false)
  // As in a move by logical replication.
  const session = connectTo(name)
  await session.unsafe(`select ${LOCK_FOR_MOVE}`)
  const four = await pack(textFunction('f', 'four'))
  const id = uniqueName('request')
  const response = fetch(`${gateway.url}/migrate`, {
    method: 'POST',
    headers: { accept: 'application/x-ndjson', 'x-request-id': id },
    body: schemaForm(platform, four, undefined, { progress: 'true' }),
  })
  const other = async () => (await gateway.call(platform, 'f', [], 'b')).body.rows?.[0].f
  await expect.poll(other, { timeout: 10_000 }).toBe('four')
  await gateway.post('/migrate/stop', { platform, request_id: id })
  const text = await (await response).text()
  const lines: Json[] = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const told = lines.filter(({ status, total }) => status === 'running' && total)
  expect(told.some(({ databases }) => databases.includes(name))).toBe(true)
  expect(told.at(-1)!.databases).not.toContain(name)
  expect(lines.at(-1)!.not_started).toEqual([name])
  await session.end()
  await endMove(mover)
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
