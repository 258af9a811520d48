import { afterAll, beforeAll, expect, test } from 'vitest'
import { uniqueName } from '../helpers/gateway.ts'
import { Client3 } from './client-3.ts'
import { CommandFailed, Commands } from './commands.ts'
import { release, startWorld, UUIDS, type World } from './world.ts'

/** The commands of StoneScriptPHP, beside containers that call with the client 3.x. */
let world: World
let commands: Commands
let client: Client3
const platform = uniqueName('php')

beforeAll(async () => {
  world = await startWorld({ PLATFORM_TOKENS: 'required', MIGRATE_ALL_ANSWER_SECS: '1' })
  commands = new Commands({ url: world.url, platform })
  client = new Client3(world.url, platform)
})
afterAll(() => world.stop())

test('register-main and register-tenant, twice', async () => {
  for (let i = 0; i < 2; i++) {
    for (const name of ['main', 'tenant']) {
      await commands.registerPlatform()
      expect(await commands.uploadSchema(name, await release(1))).toMatchObject({
        has_tables: false,
        has_functions: true,
        has_migrations: true,
      })
    }
  }
  const schemas = await commands.list('schemas')
  expect(schemas.map(({ name }: { name: string }) => name)).toEqual(['main', 'tenant'])
})

test('databases are created once the token is provisioned, each once', async () => {
  await expect(commands.createDatabase('main', {})).rejects.toThrow(CommandFailed)
  const token = await commands.provisionToken()
  expect(await commands.provisionToken()).toBe(token)
  await commands.createDatabase('main', {})
  const create = async (uuid: string) => {
    const { attempt, answer } = await commands.createDatabase('tenant', { uuid })
    return [attempt, answer.code]
  }
  expect(await Promise.all(UUIDS.map(create))).toEqual(UUIDS.map(() => [1, 200]))
  // The same as the command line writes them.
  const written = UUIDS.map((uuid) => uuid.toLowerCase().replaceAll('-', '_'))
  expect(await Promise.all(written.map(create))).toEqual(UUIDS.map(() => [1, 409]))
  const listed = await commands.list('databases', 'tenant')
  expect(listed).toHaveLength(10)
  expect(listed[0]).toEqual({
    id: UUIDS[0]!.toLowerCase().replaceAll('-', '_'),
    database_name: expect.stringContaining(`${platform}_tenant_0f2504e0_`),
    schema_name: 'tenant',
    created_at: expect.stringMatching(/^\d{4}-/),
  })
})

test('a name that another tenant has is no success', async () => {
  await world.gateway.register(platform, await release(1), 'tenant_taken')
  await expect(commands.createDatabase('tenant', { uuid: 'taken' })).rejects.toThrow(
    'HTTP 422: {"error":"database_name_collision"',
  )
})

test('containers call every tenant', async () => {
  for (const uuid of UUIDS) {
    client.setTenantId(uuid)
    await client.callFunction('add_thing', [uuid, 0])
    expect(await client.callFunction('list_things')).toHaveLength(2)
  }
})

test('migrate-main and migrate-all-tenants, which asks for its job', async () => {
  for (const name of ['main', 'tenant']) await commands.uploadSchema(name, await release(2))
  expect((await commands.migrateDatabase('main', {})).attempt).toBe(1)
  const job = await commands.migrateAll('tenant')
  // The tenant that no schema names has the archive of its own container.
  expect([job.status, job.total_databases, job.succeeded]).toEqual(['completed', 10, 10])
  expect(job.warnings).toEqual([expect.stringContaining(`${platform}_tenant_taken`)])
  for (const uuid of [null, ...UUIDS]) {
    client.setTenantId(uuid)
    expect(await client.callFunction('release')).toEqual([{ release: 2 }])
  }
})
