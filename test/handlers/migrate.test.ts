import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const V1: Files = {
  'migrations/001_item.pssql': 'create table item (id int);',
  ...textFunction('version', 'one'),
}
const V2: Files = {
  ...V1,
  'migrations/002_name.pssql': 'alter table item add name text;',
  ...textFunction('version', 'two'),
}

async function platformWithTenants(...tenants: string[]) {
  const platform = uniqueName('m')
  const archive = await pack(V1)
  for (const tenant of [undefined, ...tenants]) {
    expect((await gateway.register(platform, archive, tenant)).status).toBe(200)
  }
  return platform
}

describe('without a tenant', () => {
  test('all databases of the platform are brought to the new schema, the main one first', async () => {
    const platform = await platformWithTenants('b', 'a')
    const { status, body } = await gateway.migrate(platform, await pack(V2))
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'completed',
      databases_updated: [`${platform}_main`, `${platform}_a`, `${platform}_b`],
      migrations_applied: 1,
      functions_updated: 1,
      results: [
        { database: `${platform}_main`, status: 'completed', migrations_applied: 1, error: null },
        { database: `${platform}_a`, functions_changed: 1 },
        { database: `${platform}_b` },
      ],
    })
    for (const tenant of [undefined, 'a', 'b']) {
      const answer = await gateway.call(platform, 'version', [], tenant)
      expect(answer.body.rows).toEqual([{ version: 'two' }])
    }
  })

  test('databases of a platform whose name starts alike are left alone', async () => {
    const platform = await platformWithTenants()
    const archive = await pack(V1)
    await gateway.register(`${platform}_app`, archive)
    await gateway.register(`${platform}xapp`, archive)
    const { body } = await gateway.migrate(platform, await pack(V2))
    expect(body.databases_updated).toEqual([`${platform}_main`])
    const other = await gateway.call(`${platform}_app`, 'version')
    expect(other.body.rows).toEqual([{ version: 'one' }])
  })

  test('a database that fails is as it was, those before it are done, the rest not started', async () => {
    const platform = await platformWithTenants('a', 'b')
    await queryDatabase(`${platform}_a`, 'alter table item add name int')
    const before = await snapshot(`${platform}_a`)
    const { status, body } = await gateway.migrate(platform, await pack(V2))
    expect(status).toBe(422)
    expect(body).toMatchObject({
      error: 'migration_failed',
      database: `${platform}_a`,
      cause: 'column "name" of relation "item" already exists',
      databases_updated: [`${platform}_main`],
    })
    expect(body.results.map((result: { status: string }) => result.status)).toEqual([
      'completed',
      'failed',
      'not_started',
    ])
    expect(body.results[1].error).toMatchObject({ error: 'migration_failed' })
    expect(await snapshot(`${platform}_a`)).toEqual(before)

    // Once it is mended, running it again does what is left.
    await queryDatabase(`${platform}_a`, 'alter table item drop name')
    const again = await gateway.migrate(platform, await pack(V2))
    expect(again.body).toMatchObject({ status: 'completed', migrations_applied: 1 })
    expect(again.body.results[0]).toMatchObject({ migrations_applied: 0, functions_changed: 0 })
  })
})

test('with a tenant, only its database changes', async () => {
  const platform = await platformWithTenants('a', 'b')
  const { body } = await gateway.migrate(platform, await pack(V2), 'b')
  expect(body.databases_updated).toEqual([`${platform}_b`])
  const other = await gateway.call(platform, 'version', [], 'a')
  expect(other.body.rows).toEqual([{ version: 'one' }])
})

describe('it never creates a database', () => {
  test('for a platform that has none', async () => {
    const { status, body } = await gateway.migrate(uniqueName('none'), await pack(V1))
    expect([status, body.error]).toEqual([404, 'database_not_found'])
  })

  test('for a tenant that has none', async () => {
    const platform = await platformWithTenants()
    const { status, body } = await gateway.migrate(platform, await pack(V1), 'nobody')
    expect([status, body.error]).toEqual([404, 'database_not_found'])
  })

  test('for a name that is another platform’s', async () => {
    const platform = await platformWithTenants('x_y')
    const { status, body } = await gateway.migrate(`${platform}_x`, await pack(V1), 'y')
    expect([status, body.error]).toEqual([403, 'platform_isolation_violation'])
  })
})

test('an empty database that create-tenant made gets its schema', async () => {
  const platform = await platformWithTenants()
  await gateway.post('/admin/create-tenant', { platform, tenant_id: 'new' })
  const { body } = await gateway.migrate(platform, await pack(V1))
  expect(body.databases_updated).toEqual([`${platform}_main`, `${platform}_new`])
  const answer = await gateway.call(platform, 'version', [], 'new')
  expect(answer.body.rows).toEqual([{ version: 'one' }])
})

test('a function that changed is called at once, on connections that knew the old one', async () => {
  const platform = await platformWithTenants()
  const calls = () =>
    Promise.all(Array.from({ length: 20 }, () => gateway.call(platform, 'version')))
  await calls()
  await gateway.migrate(platform, await pack(V2))
  for (const { body } of await calls()) expect(body.rows).toEqual([{ version: 'two' }])
})
