import { describe, expect, test } from 'vitest'
import { startOneGateway } from '../helpers/for-file.ts'
import { type Json, startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const gateway = await startOneGateway()

const create = (body: object) => gateway.post('/admin/create-tenant', body)
const tenants = async (query: string) => (await gateway.get(`/admin/tenants?${query}`)).body
const ids = (body: Json) => body.tenants.map((one: Json) => one.tenant_id)

describe('POST /admin/create-tenant', () => {
  test('with labels, which the tenant has from its beginning', async () => {
    const platform = uniqueName('p')
    const labels = { plan: 'pro', region: 'eu-1' }
    const { status, body } = await create({ platform, tenant_id: 't', labels })
    expect([status, body]).toEqual([201, expect.objectContaining({ status: 'created', labels })])
    expect((await tenants(`platform=${platform}`)).tenants).toEqual([
      {
        tenant_id: 't',
        database: `${platform}_t`,
        state: 'active',
        labels,
        limits: {},
        created_at: expect.any(String),
        schema_checksum: null,
        last_deployed_at: null,
      },
    ])
  })

  test('with "deploy", the newest archive is in place', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('f', 'old')))
    const archive = await pack(textFunction('f', 'new'))
    const newest = (await gateway.migrate(platform, archive)).body.checksum
    const { status, body } = await create({ platform, tenant_id: 't', deploy: true })
    expect([status, body.checksum, body.status]).toEqual([201, newest, 'created'])
    expect((await gateway.call(platform, 'f', [], 't')).body.rows).toEqual([{ f: 'new' }])
    // The tenant is like one that /register made.
    const again = await gateway.register(platform, archive, 't')
    expect(again.body).toMatchObject({ status: 'ready', functions_changed: 0 })
  })

  test('with "deploy", from the template where there is one', async () => {
    const other = await startTestGateway({ TEMPLATES: 'on' })
    try {
      const platform = uniqueName('p')
      await other.register(platform, await pack(textFunction('f', 'x')))
      await eventually('the template is ready', async () => {
        const rows = await other.gateway.catalog.use(
          (sql) => sql`select from _db_gateway_templates where state = 'ready'`,
        )
        return rows.length > 0
      })
      const body = { platform, tenant_id: 't', deploy: true, labels: { plan: 'pro' } }
      expect((await other.post('/admin/create-tenant', body)).status).toBe(201)
      expect(other.logged.some(({ message }) => message?.includes('from a template'))).toBe(true)
      expect((await other.call(platform, 'f', [], 't')).body.rows).toEqual([{ f: 'x' }])
      const { tenants: list } = (await other.get(`/admin/tenants?platform=${platform}`)).body
      expect(list).toMatchObject([{ tenant_id: 't', labels: { plan: 'pro' } }])
    } finally {
      await other.stop()
    }
  })

  test('with "deploy", a platform without an archive is told so, and no database is left', async () => {
    const platform = uniqueName('p')
    const { status, body } = await create({ platform, tenant_id: 't', deploy: true })
    expect([status, body.error]).toEqual([404, 'not_found'])
    expect(body.message).toContain('No archive was deployed to platform')
    expect((await tenants(`platform=${platform}`)).count).toBe(0)
  })

  test('the same request again is 200 with "if_exists", and 409 without', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('f', 'x')))
    const request = { platform, tenant_id: 't', deploy: true, labels: { plan: 'pro' } }
    const body = { ...request, if_exists: 'ok' }
    const answers = [await create(body), await create(body), await create(request)]
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 409])
    expect(answers[1]!.body).toMatchObject({ status: 'exists', labels: { plan: 'pro' } })
  })

  test('ten at once with "if_exists": one creates it, and all have it', async () => {
    const body = { platform: uniqueName('p'), tenant_id: 't', if_exists: 'ok' }
    const answers = await Promise.all(Array.from({ length: 10 }, () => create(body)))
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(9).fill(200), 201])
  })

  test('"if_exists" gives an empty tenant what it lacks', async () => {
    const platform = uniqueName('p')
    await create({ platform, tenant_id: 't', labels: { plan: 'free' } })
    await gateway.register(platform, await pack(textFunction('f', 'x')))
    const labels = { region: 'eu' }
    const body = { platform, tenant_id: 't', deploy: true, labels, if_exists: 'ok' }
    const answer = await create(body)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ status: 'exists', functions_changed: 1 })
    expect(answer.body.labels).toEqual({ plan: 'free', region: 'eu' })
    expect((await gateway.call(platform, 'f', [], 't')).body.rows).toEqual([{ f: 'x' }])
  })

  test('"if_exists" with more labels than a tenant may have is refused, and changes nothing', async () => {
    const labels = (of: string) =>
      Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${of}${i}`, 'x']))
    const tenant = { platform: uniqueName('p'), tenant_id: 't' }
    await create({ ...tenant, labels: labels('a') })
    const { status, body } = await create({ ...tenant, labels: labels('b'), if_exists: 'ok' })
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain('at most 64 labels')
    expect((await tenants(`platform=${tenant.platform}`)).tenants[0].labels).toEqual(labels('a'))
  })

  test('a failed deploy leaves no tenant', async () => {
    const platform = uniqueName('p')
    const archive = await pack({
      'migrations/001_once.pgsql': `
        do $$ begin
          if current_database() like '%\\_t' then raise 'not here'; end if;
        end $$;`,
    })
    expect((await gateway.register(platform, archive)).status).toBe(200)
    const { status, body } = await create({ platform, tenant_id: 't', deploy: true })
    expect([status, body.error]).toEqual([422, 'migration_failed'])
    expect((await tenants(`platform=${platform}`)).count).toBe(0)
  })

  test.each([
    [{ labels: [] }, 'labels must be an object'],
    [{ labels: { plan: 5 } }, 'labels.plan must be'],
    [{ labels: { plan: null } }, 'labels.plan must be a string'],
    [{ labels: { 'a b': 'c' } }, 'The key of a label must be'],
    [{ deploy: 'yes' }, 'deploy must be true or false'],
    [{ if_exists: 'never' }, 'if_exists must be'],
  ])('refuses %j', async (members, message) => {
    const { status, body } = await create({ platform: 'p', tenant_id: 't', ...members })
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })
})

test('a tenant in another spelling is told whose the name is', async () => {
  const platform = uniqueName('p')
  await create({ platform, tenant_id: 'north' })
  const body = { platform, tenant_id: 'NORTH', labels: { plan: 'pro' } }
  const answer = await gateway.post('/admin/label-tenant', body)
  expect([answer.status, answer.body.error]).toEqual([404, 'database_not_found'])
  expect(answer.body.message).toContain('tenant_id is spelled "north"')
})

describe('POST /admin/label-tenant', () => {
  test('sets labels, takes those away that are null, and is in the audit trail', async () => {
    const platform = uniqueName('p')
    await create({ platform, tenant_id: 't', labels: { plan: 'free', old: 'yes' } })
    const body = { platform, tenant_id: 't', labels: { plan: 'pro', old: null } }
    const answer = await gateway.post('/admin/label-tenant', body)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ status: 'labelled', tenant_id: 't' })
    expect(answer.body.labels).toEqual({ plan: 'pro' })
    const { entries } = (await gateway.get(`/admin/audit?platform=${platform}`)).body
    expect(entries[0]).toMatchObject({
      action: 'label_tenant',
      tenant_id: 't',
      databases: [`${platform}_t`],
      status: 200,
      summary: { labels: { plan: 'pro', old: null } },
    })
  })

  test('a tenant of a schema is named by schema_name and uuid', async () => {
    const platform = uniqueName('p')
    const owner = { schema_name: 'hr', uuid: 'a-1' }
    await gateway.register(platform, await pack(textFunction('f', 'x')), undefined, owner)
    const body = { platform, ...owner, labels: { plan: 'pro' } }
    expect((await gateway.post('/admin/label-tenant', body)).status).toBe(200)
    const found = await tenants(`platform=${platform}&label=plan:pro`)
    expect(found.tenants).toMatchObject([{ tenant_id: 'a_1', schema_name: 'hr' }])
  })

  test('refuses the main database, tenants that are not there, and more than 64 labels', async () => {
    const platform = uniqueName('p')
    const label = (members: object) =>
      gateway.post('/admin/label-tenant', { platform, labels: {}, ...members })
    const main = await label({})
    expect([main.status, main.body.message]).toEqual([
      400,
      'tenant_id is missing: this is about a tenant',
    ])
    expect((await label({ tenant_id: 't' })).body.error).toBe('database_not_found')
    await create({ platform, tenant_id: 't', labels: { a: 'b' } })
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`k${i}`, 'v']))
    const answer = await label({ tenant_id: 't', labels: many })
    expect([answer.status, answer.body.message]).toEqual([400, 'A tenant has at most 64 labels'])
    expect((await tenants(`platform=${platform}`)).tenants[0].labels).toEqual({ a: 'b' })
  })
})

describe('GET /admin/tenants', () => {
  test('gives pages, of tenants alone, filtered by labels', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('f', 'x')))
    for (const [tenant_id, plan] of Object.entries({ c: 'pro', a: 'pro', b: 'free', d: 'pro' })) {
      await create({ platform, tenant_id, labels: { plan, region: 'eu' } })
    }
    const first = await tenants(`platform=${platform}&limit=3`)
    expect([ids(first), first.count, first.next_after]).toEqual([
      ['a', 'b', 'c'],
      3,
      `${platform}_c`,
    ])
    const second = await tenants(`platform=${platform}&limit=3&after=${first.next_after}`)
    expect([ids(second), second.next_after]).toEqual([['d'], null])
    const pro = await tenants(`platform=${platform}&label=plan:pro,region:eu&limit=2`)
    expect([ids(pro), pro.next_after]).toEqual([['a', 'c'], `${platform}_c`])
    expect(ids(await tenants(`platform=${platform}&label=plan:none`))).toEqual([])
    expect(ids(await tenants(`platform=${platform}&state=suspended`))).toEqual([])
  })

  test.each([
    ['', 'platform is missing'],
    ['platform=p&label=pro', 'label takes key:value'],
    ['platform=p&state=gone', 'state must be one of active, suspended, dropping'],
    ['platform=p&limit=0', 'limit must be a whole number'],
    ['platform=p&after=%00', 'after must not have the character NUL'],
    ['platform=p&labels=plan:pro', 'labels'],
  ])('refuses ?%s', async (query, message) => {
    const { status, body } = await gateway.get(`/admin/tenants?${query}`)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })
})

describe('label= where tenants are taken', () => {
  test('/migrate and /admin/revert go to those that have it alone', async () => {
    const platform = uniqueName('p')
    const old = await pack(textFunction('f', 'old'))
    const { checksum } = (await gateway.register(platform, old)).body
    for (const [tenant_id, plan] of Object.entries({ a: 'pro', b: 'free', c: 'pro' })) {
      await create({ platform, tenant_id, labels: { plan }, deploy: true })
    }
    const archive = await pack(textFunction('f', 'new'))
    const migrated = await gateway.migrate(platform, archive, undefined, { label: 'plan:pro' })
    const pro = [`${platform}_a`, `${platform}_c`]
    expect([migrated.status, migrated.body.databases_updated]).toEqual([200, pro])
    const answers = async () => {
      const given = await Promise.all(
        [undefined, 'a', 'b', 'c'].map((one) => gateway.call(platform, 'f', [], one)),
      )
      return given.map(({ body }) => body.rows[0].f)
    }
    expect(await answers()).toEqual(['old', 'new', 'old', 'new'])
    const body = { platform, checksum, label: 'plan:pro' }
    expect((await gateway.post('/admin/revert', body)).body.databases_updated).toEqual(pro)
    expect(await answers()).toEqual(['old', 'old', 'old', 'old'])

    const none = await gateway.migrate(platform, archive, undefined, { label: 'plan:gold' })
    expect([none.status, none.body.error]).toEqual([404, 'database_not_found'])
    expect(none.body.message).toBe(`No tenant of platform ${platform} has the label plan:gold`)
    const one = await gateway.migrate(platform, archive, 'a', { label: 'plan:pro' })
    expect(one.body.message).toContain('leave tenant_id out')
    const named = await gateway.post('/admin/revert', { ...body, tenant_id: 'a' })
    expect([named.status, named.body.message]).toEqual([
      400,
      'label applies to a request to all databases: name no tenant',
    ])
  })
})
