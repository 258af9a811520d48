import { afterAll, beforeAll, expect, test } from 'vitest'
import { uniqueName } from '../helpers/gateway.ts'
import { Client2 } from './client-2.ts'
import { release, startWorld, UUIDS, type World } from './world.ts'

let world: World
let client: Client2

beforeAll(async () => {
  world = await startWorld({ ADMIN_TOKEN: 'of-the-admin' })
  client = new Client2(world.url, uniqueName('php'))
  client.adminToken = 'of-the-admin'
})
afterAll(() => world.stop())

test('a platform is registered, and its schema stored', async () => {
  const registered = await client.registerPlatform()
  expect([registered.status, registered.has_dedicated_credentials]).toEqual(['registered', true])
  await expect(client.registerPlatform()).rejects.toThrow(
    'Gateway returned HTTP 409: platform_already_registered',
  )
  const stored = await client.uploadSchema(await release(1), 'v1.0')
  expect(stored).toMatchObject({ has_tables: false, has_functions: true, has_migrations: true })
})

test('databases are created from it, with the admin token', async () => {
  const ids = ['main', ...UUIDS]
  const created = await Promise.all(ids.map((id) => client.createDatabase('v1.0', id)))
  expect(created).toMatchObject(
    ids.map((id) => ({
      status: 'created',
      schema_name: 'v1.0',
      database_name: `${client.platform}_${id.toLowerCase().replaceAll('-', '_')}`,
      functions_deployed: 3,
    })),
  )
  await expect(client.createDatabase('v1.0', UUIDS[0]!.replaceAll('-', '_'))).rejects.toThrow(
    'Gateway returned HTTP 409: database_already_exists',
  )
  client.adminToken = undefined
  await expect(client.createDatabase('v1.0', 'x')).rejects.toThrow('HTTP 401: unauthorized')
})

test('each tenant is called by its tenant_id', async () => {
  for (const [i, tenant] of [null, ...UUIDS].entries()) {
    client.tenantId = tenant
    await client.callFunction('add_thing', [`number ${i}`, 0])
    expect(await client.callFunction('list_things')).toEqual([
      { o_name: 'first' },
      { o_name: `number ${i}` },
    ])
  }
  client.tenantId = 'nobody'
  await expect(client.callFunction('list_things')).rejects.toThrow('HTTP 404')
})

test('a release goes to one database, and then to those that are left', async () => {
  await client.uploadSchema(await release(2), 'v1.1')
  for (const id of ['main', UUIDS[0]!.replaceAll('-', '_')]) {
    const migrated = await client.migrate2('v1.1', id)
    expect(migrated).toMatchObject({
      status: 'completed',
      schema_name: 'v1.1',
      migrations_applied: 1,
      functions_updated: 3,
      verification: { passed: true },
    })
    expect(migrated.databases_updated).toHaveLength(1)
  }
  expect(await client.migrateAll2('v1.1')).toMatchObject({
    status: 'completed',
    total_databases: 10,
    succeeded: 10,
    failed: 0,
  })
  for (const tenant of [null, ...UUIDS]) {
    client.tenantId = tenant
    expect(await client.callFunction('release')).toEqual([{ release: 2 }])
  }
  await expect(client.migrate2('v1.1', 'nobody')).rejects.toThrow('HTTP 404: database_not_found')
})
