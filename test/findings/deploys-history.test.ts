import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  dropDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

// What is known of deploys that were done: /admin/deployments, and the log.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const administer = (text: string) =>
  queryDatabase(gateway.server.database, text, { asGateway: true })

async function newPlatform(tenants: string[]) {
  const platform = uniqueName('past')
  const archive = await pack(textFunction('f', 'one'))
  await gateway.register(platform, archive)
  for (const tenant of tenants) await gateway.register(platform, archive, tenant)
  return {
    platform,
    archive,
    deploy: async (text: string, tenant?: string) =>
      gateway.migrate(platform, await pack(textFunction('f', text)), tenant),
    list: async (query = '') =>
      (await gateway.get(`/admin/deployments?platform=${platform}${query}`)).body,
    /** As with a gateway that kept no copies. */
    loseCopies: () =>
      administer(`delete from _db_gateway_deployments where platform = '${platform}'`),
  }
}

const databasesOf = (body: Json): string[] => body.deployments.map((one: Json) => one.database)

describe('C9, D6: /admin/deployments', () => {
  test('opens no database: one that cannot be reached is told of, too', async () => {
    const { platform, list } = await newPlatform(['a', 'b'])
    await dropDatabase(`${platform}_a`)
    await administer(`alter database ${platform}_b allow_connections false`)
    const { pools } = (await gateway.get('/admin/pools')).body
    const opened = () => pools.reduce((sum: number, one: Json) => sum + one.opened, 0)
    const before = opened()
    const { deployments, count } = await list()
    expect([count, opened()]).toEqual([3, before])
    expect(deployments[0]).toMatchObject({
      database: `${platform}_b`,
      tenant_id: 'b',
      status: 'completed',
      functions_changed: 1,
      functions_dropped: [],
      migrations_applied: [],
      address: '127.0.0.1',
      error: null,
    })
    expect(Date.parse(deployments[0].deployed_at)).toBeGreaterThan(Date.now() - 60_000)
  })

  test('comes in pages', async () => {
    const { platform, deploy, list } = await newPlatform(['a'])
    await deploy('two', 'a')
    const first = await list('&limit=2')
    expect(databasesOf(first)).toEqual([`${platform}_a`, `${platform}_a`])
    const second = await list(`&limit=2&after=${first.next_after}`)
    expect([databasesOf(second), second.next_after]).toEqual([[`${platform}_main`], null])
    const ofTenant = await list(`&limit=1&tenant_id=a&after=${first.deployments[0].id}`)
    expect(ofTenant.deployments[0].id).toBe(first.deployments[1].id)
    expect((await list('&after=x')).message).toContain('after must be a whole number')
  })

  test('a dry run, and what was in place, is no deploy', async () => {
    const { platform, archive, list } = await newPlatform([])
    await gateway.register(platform, archive)
    await gateway.migrate(platform, await pack(textFunction('f', 'dry')), undefined, {
      dry_run: 'true',
    })
    expect((await list()).count).toBe(1)
  })

  test('a first deploy that failed is there, though its database is not', async () => {
    const platform = uniqueName('past')
    const archive = await pack({ 'migrations/001_x.pssql': 'select 1;\nselect nothing;' })
    expect((await gateway.register(platform, archive)).status).toBe(422)
    const { body } = await gateway.get(`/admin/deployments?platform=${platform}`)
    expect(body.deployments).toMatchObject([
      {
        status: 'failed',
        error: { error: 'migration_failed', line: 2, cause: 'column "nothing" does not exist' },
      },
    ])
  })

  test('a tenant that was copied from a template is there', async () => {
    const proving = await startTestGateway({ TEMPLATES: 'on' })
    try {
      const platform = uniqueName('past')
      const archive = await pack(textFunction('f', 'one'))
      await proving.register(platform, archive)
      await eventually('its template is ready', async () => {
        const rows = await queryDatabase(
          proving.server.database,
          `select from _db_gateway_templates
           where platform = '${platform}' and state = 'ready' and deployed_at is not null`,
          { asGateway: true },
        )
        return rows.length > 0
      })
      await proving.register(platform, archive, 'a')
      const copied = proving.logged.some(({ message }) => message.endsWith('from a template'))
      const { body } = await proving.get(`/admin/deployments?platform=${platform}`)
      expect([copied, databasesOf(body)]).toEqual([true, [`${platform}_a`, `${platform}_main`]])
      expect(body.deployments[0]).toMatchObject({ status: 'completed', functions_deployed: 1 })
    } finally {
      await proving.stop()
    }
  })

  test('what a gateway that kept no copies has deployed comes with the next deploy', async () => {
    const { platform, deploy, list, loseCopies } = await newPlatform([])
    await deploy('two')
    await loseCopies()
    expect((await list()).count).toBe(0)
    await deploy('three')
    const { deployments } = await list()
    expect(databasesOf({ deployments })).toEqual(Array(3).fill(`${platform}_main`))
    const times = deployments.map((one: Json) => Date.parse(one.deployed_at))
    expect(times).toEqual([...times].sort((a, b) => b - a))
    expect(new Set(deployments.map((one: Json) => one.archive_checksum)).size).toBe(3)
  })

  test('what a killed gateway did not write down comes when it is found in place', async () => {
    const { platform, archive, list, loseCopies } = await newPlatform([])
    await loseCopies()
    await administer(
      `update _db_gateway_databases set schema_checksum = null where platform = '${platform}'`,
    )
    expect((await gateway.register(platform, archive)).body.functions_changed).toBe(0)
    expect((await list()).deployments).toMatchObject([
      { database: `${platform}_main`, status: 'completed', functions_changed: 1 },
    ])
  })

  test('is kept as long as the audit trail', async () => {
    const { platform, list } = await newPlatform(['a'])
    await administer(
      `update _db_gateway_deployments set deployed_at = now() - interval '366 days'
       where platform = '${platform}' and tenant_id is null`,
    )
    await gateway.gateway.deployments.prepare()
    await expect.poll(async () => databasesOf(await list())).toEqual([`${platform}_a`])
  })
})

describe('G5: the log of a deploy that failed', () => {
  test('has PostgreSQL’s text, the file and the line', async () => {
    const platform = uniqueName('past')
    const archive = await pack({ 'migrations/010_x.sql': 'select 1;\n\nselect nothing;' })
    const { body } = await gateway.register(platform, archive)
    expect(body.error).toBe('migration_failed')
    const line = gateway.logged.find((one) => one.message === `Deploy failed: Platform ${platform}`)
    expect(line).toMatchObject({
      level: 'warn',
      error: 'migration_failed',
      cause: 'column "nothing" does not exist',
      sqlstate: '42703',
      file: 'migrations/010_x.sql',
      line: 3,
      database: `${platform}_main`,
    })
  })
})
