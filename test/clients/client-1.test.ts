import { afterAll, beforeAll, expect, test } from 'vitest'
import { uniqueName } from '../helpers/gateway.ts'
import { Client1 } from './client-1.ts'
import type { GatewayException } from './php.ts'
import { release, startWorld, UUIDS, type World } from './world.ts'

let world: World
let client: Client1
const tenants = [null, ...UUIDS]

beforeAll(async () => {
  world = await startWorld()
  client = new Client1(world.url, uniqueName('php'))
})
afterAll(() => world.stop())

const exceptionOf = (work: Promise<unknown>): Promise<GatewayException> =>
  work.then(
    () => expect.unreachable('It was done'),
    (error) => error,
  )

test('containers start, and start again', async () => {
  expect(await client.healthCheck()).toBe(true)
  const archive = await release(1)
  const containers = tenants.map((id) => new Client1(world.url, client.platform, id))
  const started = await Promise.all(containers.map((one) => one.register(archive)))
  const name = (id: string | null) => (id ?? 'main').toLowerCase().replaceAll('-', '_')
  expect(started.map(({ status, database }) => [status, database])).toEqual(
    tenants.map((id) => ['ready', `${client.platform}_${name(id)}`]),
  )
  const again = await client.register(archive)
  expect([again.status, again.migrations_applied]).toEqual(['ready', 0])
})

test('each tenant is called, and has what is its own', async () => {
  for (const tenant of tenants) {
    client.tenantId = tenant
    const added = await client.callFunction('add_thing', { name: `of ${tenant}`, count: 40 })
    expect(added).toEqual([{ add_thing: 42 }])
  }
  for (const tenant of tenants) {
    client.tenantId = tenant
    expect(await client.callFunction('list_things')).toEqual([
      { o_name: 'first' },
      { o_name: `of ${tenant}` },
    ])
  }
})

test('errors are told apart by code, cause and message', async () => {
  client.tenantId = UUIDS[0]!
  const again = await exceptionOf(client.callFunction('add_thing', ['first', 1]))
  expect(again.code).toBe(409)
  expect(again.cause).toMatch(/duplicate key value .* \| DETAIL: Key \(name\)=\(first\)/)
  client.tenantId = 'nobody'
  const nobody = await exceptionOf(client.callFunction('list_things'))
  expect([nobody.code, nobody.message]).toEqual([
    404,
    expect.stringContaining('Gateway returned HTTP 404: database_not_found - Tenant nobody of'),
  ])
  client.tenantId = null
  expect((await exceptionOf(client.callFunction('no_such'))).code).toBe(404)
})

test('a release goes to all databases', async () => {
  client.tenantId = null
  const { status, databases_updated, migrations_applied } = await client.migrate(await release(2))
  expect([status, databases_updated.length, migrations_applied]).toEqual(['completed', 11, 1])
  for (const tenant of tenants) {
    client.tenantId = tenant
    expect(await client.callFunction('release')).toEqual([{ release: 2 }])
  }
})
