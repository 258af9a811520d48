import { afterAll, beforeAll, expect, test } from 'vitest'
import { uniqueName } from '../helpers/gateway.ts'
import { Client3 } from './client-3.ts'
import { Commands } from './commands.ts'
import { release, startWorld, UUIDS, type World } from './world.ts'

let world: World
let client: Client3

beforeAll(async () => {
  world = await startWorld({ ADMIN_TOKEN: 'of-the-admin', TEMPLATES: 'on' })
  client = new Client3(world.url, uniqueName('php'))
})
afterAll(() => world.stop())

test('a platform is registered, with a schema for itself and one for its tenants', async () => {
  await client.registerPlatform()
  for (const name of ['main', 'tenant']) await client.uploadSchema(await release(1), name)
  const { platform, url } = client
  const commands = new Commands({ url, platform, adminToken: 'of-the-admin' })
  client.adminToken = await commands.provisionToken()
})

test('databases are created with the platform’s token', async () => {
  const main = await client.createDatabase('main', null)
  expect(main.database_name).toBe(`${client.platform}_main`)
  const created = await Promise.all(UUIDS.map((uuid) => client.createDatabase('tenant', uuid)))
  expect(created.map(({ database_name }) => database_name)).toEqual(
    UUIDS.map((uuid) => `${client.platform}_tenant_${uuid.toLowerCase().replaceAll('-', '_')}`),
  )
  await expect(client.createDatabase('tenant', UUIDS[0]!.toLowerCase())).rejects.toThrow('HTTP 409')
})

test('each tenant is called by its uuid, in between the base database', async () => {
  for (const uuid of UUIDS) {
    client.setTenantId(uuid)
    await client.callFunction('add_thing', { name: uuid, count: 0 })
    client.setTenantId(null)
    expect(await client.callFunction('list_things')).toEqual([{ o_name: 'first' }])
    client.setTenantId(uuid.toLowerCase())
    expect(await client.callFunction('list_things')).toEqual([
      { o_name: 'first' },
      { o_name: uuid },
    ])
  }
  client.setTenantId('nobody')
  await expect(client.callFunction('list_things')).rejects.toThrow('HTTP 404: database_not_found')
})

test('a release goes to all tenants, without a token, and to the base database', async () => {
  for (const name of ['main', 'tenant']) await client.uploadSchema(await release(2), name)
  const one = await client.migrate2('tenant', UUIDS[0]!)
  expect([one.status, one.migrations_applied]).toEqual(['completed', 1])
  const all = await client.migrateAll2('tenant')
  expect([all.status, all.total_databases, all.succeeded]).toEqual(['completed', 10, 10])
  client.setTenantId(null)
  expect(await client.callFunction('release')).toEqual([{ release: 1 }])
  const main = await client.migrate2('main', null)
  expect(main.databases_updated).toEqual([`${client.platform}_main`])
  for (const uuid of [null, ...UUIDS]) {
    client.setTenantId(uuid)
    expect(await client.callFunction('release')).toEqual([{ release: 2 }])
  }
})
