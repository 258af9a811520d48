import { describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import { dropDatabase, type Json, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

// Databases that were dropped by hand, and lists of many databases.

const { gateway, other } = await startTwoGateways()

async function newPlatform(tenants: string[]) {
  const platform = uniqueName('gone')
  const archive = await pack(textFunction('f', 'x'))
  await gateway.register(platform, archive)
  for (const tenant of tenants) await gateway.register(platform, archive, tenant)
  return {
    platform,
    archive,
    list: async (query = '') =>
      (await gateway.get(`/admin/databases?platform=${platform}${query}`)).body,
    drop: (tenant: string) => dropDatabase(`${platform}_${tenant}`),
    forget: (tenant_id: string | null, from = gateway) =>
      from.post('/admin/forget-database', { platform, tenant_id }),
  }
}

describe('G1: a database that was dropped by hand', () => {
  test('is listed as missing', async () => {
    const { platform, list, drop } = await newPlatform(['a', 'b'])
    await drop('a')
    const { databases, count } = await list()
    expect(count).toBe(3)
    expect(databases.map((one: Json) => [one.name, one.missing])).toEqual([
      [`${platform}_main`, false],
      [`${platform}_a`, true],
      [`${platform}_b`, false],
    ])
    expect(databases[1]).toMatchObject({ size_mb: 0, size_bytes: 0, tenant_id: 'a' })
    expect(databases[2].size_bytes).toBeGreaterThan(1_000_000)
  })

  test('is taken out of the catalog; all gateways are told, and it is audited', async () => {
    const { platform, archive, list, drop, forget } = await newPlatform(['a'])
    expect((await other.call(platform, 'f', [], 'a')).status).toBe(200)
    await drop('a')
    const { status, body } = await forget('a')
    expect(status).toBe(200)
    expect(body).toEqual({
      status: 'forgotten',
      database: `${platform}_a`,
      platform,
      tenant_id: 'a',
    })
    expect((await list()).count).toBe(1)
    expect((await gateway.migrate(platform, archive)).status).toBe(200)
    const message = `Tenant a of platform ${platform} has no database; POST /register or POST /admin/database/create creates it`
    await eventually('the other gateway is told', async () => {
      const answer = await other.call(platform, 'f', [], 'a')
      return answer.status === 404 && answer.body.message === message
    })
    const { entries } = (await gateway.get(`/admin/audit?platform=${platform}`)).body
    expect(entries[1]).toMatchObject({
      action: 'forget_database',
      tenant_id: 'a',
      databases: [`${platform}_a`],
      status: 200,
    })
    expect((await gateway.register(platform, archive, 'a')).body.status).toBe('ready')
    expect((await gateway.call(platform, 'f', [], 'a')).status).toBe(200)
  })

  test('the main one too', async () => {
    const { platform, list, drop, forget } = await newPlatform(['a'])
    await drop('main')
    expect((await forget(null)).body).toMatchObject({ database: `${platform}_main` })
    expect((await list()).databases.map((one: Json) => one.name)).toEqual([`${platform}_a`])
  })

  test('one that is there is not forgotten', async () => {
    const { list, forget } = await newPlatform(['a'])
    const { status, body } = await forget('a')
    expect([status, body.error]).toEqual([409, 'database_already_exists'])
    expect(body.message).toContain('only a database that was dropped')
    expect((await list()).count).toBe(2)
  })

  test('nor one that the catalog does not have, or another owner’s', async () => {
    const { platform, drop, forget } = await newPlatform(['Org-1'])
    await drop('org_1')
    expect((await forget('nobody')).body.error).toBe('database_not_found')
    const { status, body } = await forget('org_1')
    expect([status, body.error]).toEqual([404, 'database_not_found'])
    expect((await forget('Org-1')).status).toBe(200)
    const refused = await gateway.post('/admin/forget-database', { platform, tenant: 'x' })
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_request'])
  })

  test('ten at once: one forgets it', async () => {
    const { drop, forget } = await newPlatform(['a'])
    await drop('a')
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => forget('a', i % 2 ? gateway : other)),
    )
    expect(answers.map((one) => one.status).sort()).toEqual([200, ...Array(9).fill(404)])
  })
})

describe('D6: GET /admin/databases', () => {
  test('comes in pages, main first', async () => {
    const { platform, list } = await newPlatform(['a', 'b', 'c'])
    const names = (body: Json) => body.databases.map((one: Json) => one.name)
    const first = await list('&limit=2')
    expect(names(first)).toEqual([`${platform}_main`, `${platform}_a`])
    expect([first.count, first.next_after]).toEqual([2, `${platform}_a`])
    const second = await list(`&limit=2&after=${first.next_after}`)
    expect(names(second)).toEqual([`${platform}_b`, `${platform}_c`])
    const third = await list(`&limit=2&after=${second.next_after}`)
    expect([names(third), third.next_after]).toEqual([[], null])
    expect(names(await list(`&after=${platform}_main`))).toHaveLength(3)
    expect(await list()).not.toHaveProperty('next_after')
  })

  test('has sizes unless they are not asked for', async () => {
    const { list } = await newPlatform([])
    const { databases } = await list('&sizes=false')
    expect(databases[0]).not.toHaveProperty('size_mb')
    expect(databases[0]).not.toHaveProperty('size_bytes')
    expect((await list('&sizes=true')).databases[0].size_bytes).toBeGreaterThan(1_000_000)
  })

  test.each([
    ['&limit=0', 'limit must be a whole number from 1 to 1000'],
    ['&limit=1001', 'limit must be a whole number from 1 to 1000'],
    ['&sizes=no', 'sizes must be true or false'],
    ['&after=', 'after must be given once, and not be empty'],
  ])('refuses %s', async (query, message) => {
    const { status, body } = await gateway.get(`/admin/databases?platform=p${query}`)
    expect([status, body.message]).toEqual([400, message])
  })
})
