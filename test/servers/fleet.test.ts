import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'
import { storeSchema } from '../helpers/stored.ts'

let eu1: OtherServer
let gateway: TestGateway
const platform = uniqueName('fleet')
const far = [`${platform}_far1`, `${platform}_far2`]
const near = [`${platform}_main`, `${platform}_near`]
const all = [`${platform}_main`, ...far, `${platform}_near`]
beforeAll(async () => {
  eu1 = await startOtherServer()
  gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
  await gateway.register(platform, await archive('zero'))
  for (const [tenant_id, server] of [
    ['near', 'main'],
    ['far1', 'eu1'],
    ['far2', 'eu1'],
  ]) {
    const tenant = { platform, tenant_id, server, deploy: true, labels: { at: server } }
    expect((await gateway.post('/admin/create-tenant', tenant)).status).toBe(201)
  }
})
afterAll(async () => {
  await gateway.stop()
  await eu1.remove()
})

const archive = (text: string) => pack(textFunction('f', text))
const migrate = async (text: string, flags: Record<string, string> = {}) =>
  gateway.migrate(platform, await archive(text), undefined, flags)
const statuses = (body: Json) =>
  Object.fromEntries(body.results.map((one: Json) => [one.database, one.status]))
const each = (names: string[], status: string) => names.map((name) => [name, status])
const fOf = async (tenant?: string) =>
  (await gateway.call(platform, 'f', [], tenant)).body.rows?.[0].f

describe('/migrate over two servers', () => {
  test('deploys to the databases of both, the main one first', async () => {
    const { status, body } = await migrate('one')
    expect([status, body.status]).toEqual([200, 'completed'])
    expect(body.results.map((one: Json) => one.database)).toEqual(all)
    expect([await fOf(), await fOf('near'), await fOf('far2')]).toEqual(['one', 'one', 'one'])
  })

  test('selects by names and labels of either server', async () => {
    const skipping = await migrate('two', { skip: 'far1' })
    expect(statuses(skipping.body)[far[0]!]).toBe('skipped')
    expect([await fOf('far1'), await fOf('far2')]).toEqual(['one', 'two'])
    const labelled = await migrate('three', { label: 'at:eu1' })
    expect(statuses(labelled.body)).toEqual(Object.fromEntries(each(far, 'completed')))
    expect([await fOf('near'), await fOf('far1')]).toEqual(['two', 'three'])
    expect((await migrate('three', { skip: 'nobody' })).status).toBe(400)
    expect((await migrate('three', { label: 'at:eu2' })).status).toBe(404)
  })

  test('is told where it is stopped by a failure, on both', async () => {
    const broken = await pack({ 'functions/f.pssql': 'create function f() returns nothing' })
    const { body } = await gateway.migrate(platform, broken)
    expect(Object.values(statuses(body))).not.toContain('completed')
    expect(statuses(body)[`${platform}_main`]).toBe('failed')
  })

  test('of one tenant goes to its server', async () => {
    const { status, body } = await gateway.migrate(platform, await archive('four'), 'far1')
    expect([status, body.databases_updated]).toEqual([200, [far[0]]])
    expect([await fOf('far1'), await fOf('far2')]).toEqual(['four', 'three'])
  })

  test('is undone by /admin/revert on both', async () => {
    const { body } = await migrate('five')
    const { archives } = (await gateway.get(`/admin/archives?platform=${platform}`)).body
    const before = archives.find((one: Json) => one.checksum !== body.checksum)
    const reverted = await gateway.post('/admin/revert', { platform, checksum: before.checksum })
    expect(statuses(reverted.body)).toEqual(Object.fromEntries(each(all, 'completed')))
    const now = [await fOf(), await fOf('near'), await fOf('far1'), await fOf('far2')]
    expect(new Set(now).size).toBe(1)
    expect(now).not.toContain('five')
  })
})

describe('/admin/drift over two servers', () => {
  test('compares the databases of both', async () => {
    await migrate('six')
    const alike = (await gateway.get(`/admin/drift?platform=${platform}`)).body
    expect([alike.count, alike.alike]).toEqual([4, 4])
    await eu1.query('create table extra ()', far[1])
    const { body } = await gateway.get(`/admin/drift?platform=${platform}`)
    expect(body.alike).toBe(3)
    expect(body.groups[0]).toMatchObject({ count: 1, databases: [far[1]] })
  })
})

describe('while the other server is away', () => {
  beforeAll(() => eu1.stop())

  test('/migrate deploys to this one, and says which databases it has not reached', async () => {
    const { status, body } = await migrate('seven', { on_error: 'stop' })
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    const expected = [...each(near, 'completed'), ...each(far, 'failed')]
    expect(statuses(body)).toEqual(Object.fromEntries(expected))
    expect(await fOf('near')).toBe('seven')
  })

  test('/admin/drift says which databases it has not reached', async () => {
    const { body } = await gateway.get(`/admin/drift?platform=${platform}`)
    expect(body.unreachable.map((one: Json) => one.database)).toEqual(far)
    expect([body.count, body.alike]).toEqual([4, 2])
  })

  test('only=failed brings the rest when it is back', async () => {
    await eu1.start()
    await expect.poll(() => fOf('far1'), { timeout: 15_000 }).toBe('six')
    const { status, body } = await migrate('seven', { only: 'failed' })
    expect(status).toBe(200)
    expect(statuses(body)).toEqual(Object.fromEntries(each(far, 'completed')))
    expect([await fOf('far1'), await fOf('far2')]).toEqual(['seven', 'seven'])
  })
})

describe('/v2/migrate-all over two servers', () => {
  test('is a job with the tenants of both', async () => {
    const stored = uniqueName('v2')
    const schema = { schema_name: 's' }
    await gateway.post('/platform/register', { platform: stored })
    await storeSchema(gateway, stored, await archive('one'), schema)
    for (const server of ['main', 'eu1']) {
      const made = { platform: stored, schema_name: 's', uuid: `at_${server}`, server }
      expect((await gateway.post('/admin/database/create', made)).status).toBe(200)
    }
    await storeSchema(gateway, stored, await archive('two'), schema)
    const { body } = await gateway.post('/v2/migrate-all', { platform: stored, ...schema })
    expect(body).toMatchObject({ status: 'completed', total_databases: 2, succeeded: 2 })
    for (const server of ['main', 'eu1']) {
      const call = { platform: stored, schema_name: 's', uuid: `at_${server}`, function: 'f' }
      expect((await gateway.post('/call', call)).body.rows).toEqual([{ f: 'two' }])
    }
  })
})
