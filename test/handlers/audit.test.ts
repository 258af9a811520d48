import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startProxy, urlThrough } from '../helpers/behind-proxy.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const entriesOf = async (platform: string): Promise<Json[]> =>
  (await gateway.get(`/admin/audit?platform=${platform}`)).body.entries

const BROKEN = { 'migrations/001_broken.pssql': 'select no_such_function()' }

describe('what changes something is written down', () => {
  test('a register: who, what, when, and how it ended', async () => {
    const platform = uniqueName('p')
    const before = Date.now()
    const { headers, body } = await gateway.register(platform, await pack(textFunction('f', 'x')))
    const [entry, ...more] = await entriesOf(platform)
    expect(more).toEqual([])
    expect(entry).toEqual({
      id: expect.any(Number),
      at: expect.any(String),
      action: 'register',
      method: 'POST',
      path: '/register',
      platform,
      tenant_id: null,
      databases: [`${platform}_main`],
      address: '127.0.0.1',
      peer: '127.0.0.1',
      forwarded_for: null,
      forwarded: null,
      request_id: headers.get('x-request-id'),
      status: 200,
      error: null,
      duration_ms: expect.any(Number),
      summary: {
        checksum: body.checksum,
        database_created: true,
        migrations_applied: 0,
        functions_changed: 1,
        functions_dropped: 0,
        seeders_applied: 0,
        tables_created: 0,
      },
      requests: 1,
      last_at: null,
    })
    expect(Date.parse(entry.at)).toBeGreaterThan(before - 1000)
    expect(Date.parse(entry.at)).toBeLessThanOrEqual(Date.now())
  })

  test('a change is in the table before its answer is out', async () => {
    const { platform, admin } = { platform: uniqueName('p'), admin: gateway.server.database }
    await gateway.register(platform, await pack(textFunction('f', 'x')))
    expect(
      await queryDatabase(
        admin,
        `select status from _db_gateway_audit where platform = '${platform}'`,
      ),
    ).toEqual([{ status: 200 }])
  })

  test('a register that finds everything in place', async () => {
    const platform = uniqueName('p')
    const archive = await pack(textFunction('f', 'x'))
    await gateway.register(platform, archive, 't')
    const { body } = await gateway.register(platform, archive, 't')
    const [entry] = await entriesOf(platform)
    expect(entry.tenant_id).toBe('t')
    expect(entry.summary).toEqual({ checksum: body.checksum, unchanged: true })
  })

  test('a database that was created and dropped again', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(BROKEN))
    const [entry] = await entriesOf(platform)
    expect([entry.status, entry.error]).toEqual([422, 'migration_failed'])
    expect(entry.summary).toMatchObject({ database_created: true, database_dropped: true })
  })

  test('a migrate: all databases that it came to, and those that failed', async () => {
    const platform = uniqueName('p')
    const archive = await pack(textFunction('f', 'x'))
    for (const tenant of [undefined, 'a', 'b']) await gateway.register(platform, archive, tenant)
    await queryDatabase(`${platform}_b`, 'create table in_the_way (i integer)')
    const next = await pack({
      'migrations/001_table.pssql': 'create table in_the_way (i integer)',
    })
    await gateway.migrate(platform, next, undefined, { force: 'true' })
    const [entry] = await entriesOf(platform)
    expect(entry).toMatchObject({ action: 'migrate', status: 422, error: 'migration_failed' })
    expect(entry.databases).toEqual([`${platform}_main`, `${platform}_a`, `${platform}_b`])
    expect(entry.summary).toMatchObject({
      force: true,
      on_error: 'stop',
      databases_updated: 2,
      databases_failed: 1,
      failed: [`${platform}_b`],
    })
  })

  test('a tenant that is created, and one that was there', async () => {
    const tenant = { platform: uniqueName('p'), tenant_id: 't' }
    for (const _ of [1, 2]) await gateway.post('/admin/create-tenant', tenant)
    expect(await entriesOf(tenant.platform)).toMatchObject([
      { action: 'create_tenant', status: 409, error: 'database_already_exists', summary: {} },
      { action: 'create_tenant', status: 201, summary: { database_created: true } },
    ])
  })

  test('a deploy that still runs', async () => {
    const platform = uniqueName('p')
    const slow = await pack({ 'migrations/001_slow.pssql': 'select pg_sleep(2)' })
    const deploying = gateway.register(platform, slow)
    const running = await eventually('the entry of a deploy that runs', async () => {
      const [row] = await queryDatabase(
        gateway.server.database,
        `select id, status from _db_gateway_audit where platform = '${platform}'`,
      )
      return row
    })
    expect(running.status).toBeNull()
    await deploying
    expect(await entriesOf(platform)).toMatchObject([{ id: Number(running.id), status: 200 }])
  })
})

describe('GET /admin/audit', () => {
  test('newest first, page by page', async () => {
    const platform = uniqueName('p')
    for (const tenant_id of ['a', 'b', 'c']) {
      await gateway.post('/admin/create-tenant', { platform, tenant_id })
    }
    const path = `/admin/audit?platform=${platform}&limit=2`
    const first = (await gateway.get(path)).body
    const second = (await gateway.get(`${path}&before=${first.next_before}`)).body
    expect(first.entries.map((entry: Json) => entry.tenant_id)).toEqual(['c', 'b'])
    expect(second.entries.map((entry: Json) => entry.tenant_id)).toEqual(['a'])
    expect([second.count, second.next_before]).toEqual([1, null])
  })

  test('those of a tenant, an action, an outcome, a request', async () => {
    const platform = uniqueName('p')
    for (const tenant_id of ['a', 'b', 'b']) {
      await gateway.post('/admin/create-tenant', { platform, tenant_id })
    }
    await gateway.post('/admin/suspend-tenant', { platform, tenant_id: 'a' })
    const [, failed] = await entriesOf(platform)
    const found = async (filter: string): Promise<string[]> => {
      const { body } = await gateway.get(`/admin/audit?platform=${platform}&${filter}`)
      return body.entries.map((one: Json) => `${one.tenant_id} ${one.action} ${one.status}`)
    }
    expect(await found('tenant_id=a')).toEqual(['a suspend_tenant 200', 'a create_tenant 201'])
    expect(await found('action=suspend_tenant')).toEqual(['a suspend_tenant 200'])
    expect(await found('outcome=failed')).toEqual(['b create_tenant 409'])
    expect(await found('outcome=done&tenant_id=b')).toEqual(['b create_tenant 201'])
    expect(await found('outcome=running')).toEqual([])
    expect(await found(`request_id=${failed.request_id}`)).toEqual(['b create_tenant 409'])
  })

  test('without a platform: that of all', async () => {
    const platforms = [uniqueName('p'), uniqueName('p')]
    for (const platform of platforms) {
      await gateway.post('/admin/create-tenant', { platform, tenant_id: 't' })
    }
    const { body } = await gateway.get('/admin/audit?limit=2')
    expect(body.entries.map((entry: Json) => entry.platform)).toEqual(platforms.toReversed())
  })

  test('without a platform: those alone that the address may name', async () => {
    const bound = uniqueName('bound')
    const open = uniqueName('open')
    const guarded = await startTestGateway({
      TRUSTED_PROXIES: '127.0.0.1',
      ALLOWED_NETWORKS: '10.0.0.0/8',
      PLATFORM_NETWORKS: `${bound}=10.9.9.9`,
    })
    afterTest(() => guarded.stop())
    const from = (address: string) => ({ 'x-forwarded-for': address })
    for (const platform of [open, bound, bound.toUpperCase()]) {
      await guarded.post('/admin/create-tenant', { platform, tenant_id: 't' }, from('10.9.9.9'))
    }
    const path = `/admin/audit?platform=${bound}`
    expect((await guarded.get(path, from('10.0.0.1'))).status).toBe(403)
    const { body } = await guarded.get('/admin/audit?limit=1', from('10.0.0.1'))
    expect(body.entries.map((entry: Json) => entry.platform)).toEqual([open])
    expect(body.next_before).toBe(body.entries[0].id)
    const all = await guarded.get('/admin/audit', from('10.9.9.9'))
    expect(all.body.entries.map((entry: Json) => entry.platform)).toEqual([
      bound,
      bound.toUpperCase(),
      bound,
      open,
    ])
  })

  test.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=ten', 'limit'],
    ['before=-1', 'before'],
    ['before=x', 'before'],
    ['action=drop', 'drop_tenant'],
    ['outcome=bad', 'failed'],
    ['tenant_id=', 'tenant_id'],
    ['platform=', 'platform'],
    ['platform=a%20b', 'platform'],
  ])('names what is wrong: %s', async (query, name) => {
    const { status, body } = await gateway.get(`/admin/audit?${query}`)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(name)
  })
})

describe('refused requests', () => {
  let guarded: TestGateway
  const token = 'the-token-of-administrators'
  const bearer = { authorization: `Bearer ${token}` }
  beforeAll(async () => {
    guarded = await startTestGateway({
      ADMIN_TOKEN: token,
      TRUSTED_PROXIES: '127.0.0.0/8',
      ALLOWED_NETWORKS: '10.0.0.0/8',
    })
  })
  afterAll(() => guarded.stop())

  const refused = async (address: string): Promise<Json[]> => {
    const { body } = await guarded.get('/admin/audit?limit=1000', bearer)
    return body.entries.filter((entry: Json) => entry.address === address)
  }

  test('a wrong token: many requests are one entry with their number', async () => {
    const headers = { 'x-forwarded-for': '6.6.6.6, 10.0.0.1', authorization: 'Bearer guess' }
    const ids: string[] = []
    for (let i = 0; i < 50; i++) {
      const { status, headers: answered } = await guarded.get('/admin/pools?secret=1', headers)
      expect(status).toBe(401)
      ids.push(answered.get('x-request-id')!)
    }
    const entries = await refused('10.0.0.1')
    expect(entries).toMatchObject([
      {
        action: 'refused',
        method: 'GET',
        path: '/admin/pools',
        status: 401,
        error: 'unauthorized',
        address: '10.0.0.1',
        peer: '127.0.0.1',
        forwarded_for: '6.6.6.6, 10.0.0.1',
        requests: 50,
        request_id: ids[0],
      },
    ])
    expect(entries[0].last_at >= entries[0].at).toBe(true)
    expect(JSON.stringify(entries)).not.toContain('guess')
  })

  test('an address outside of the networks', async () => {
    await guarded.get('/metrics', { 'x-forwarded-for': '192.0.2.7' })
    expect(await refused('192.0.2.7')).toMatchObject([{ status: 403, path: '/metrics' }])
  })

  test('the database of another platform', async () => {
    const platform = uniqueName('p')
    const from = { ...bearer, 'x-forwarded-for': '10.0.0.2' }
    await guarded.post(
      '/admin/create-tenant',
      { platform: `${platform}_a`, tenant_id: 'b' },
      bearer,
    )
    const call = { platform, tenant_id: 'a_b', function: 'f' }
    expect((await guarded.post('/call', call, from)).status).toBe(403)
    expect(await refused('10.0.0.2')).toMatchObject([
      { action: 'refused', path: '/call', error: 'platform_isolation_violation', platform },
    ])
  })

  test('what a client sends is cut to a length', async () => {
    const forwarded = `${'x'.repeat(5000)}, 10.0.0.3`
    const path = `/admin/databases/${'y'.repeat(3000)}`
    await guarded.get(path.replace('/databases/', '/databases?q='), {
      'x-forwarded-for': forwarded,
    })
    const [entry] = await refused('10.0.0.3')
    expect(entry.path).toBe('/admin/databases')
    expect(entry.forwarded_for).toHaveLength(500)
  })

  test('an ordinary error is none', async () => {
    await guarded.get('/nowhere', { 'x-forwarded-for': '10.0.0.4' })
    expect(await refused('10.0.0.4')).toEqual([])
  })

  test('a flood from many addresses leaves a hundred entries and one', async () => {
    const flooded = await startTestGateway({
      ADMIN_TOKEN: token,
      TRUSTED_PROXIES: '127.0.0.0/8',
    })
    try {
      for (let i = 0; i < 300; i++) {
        await flooded.get('/admin/pools', { 'x-forwarded-for': `192.0.${i >> 8}.${i & 255}` })
      }
      const { body } = await flooded.get('/admin/audit?limit=1000', {
        ...bearer,
        'x-forwarded-for': '127.0.0.1',
      })
      expect(body.count).toBe(101)
      expect(body.entries[0]).toMatchObject({
        address: null,
        requests: 200,
        summary: { others: true },
      })
    } finally {
      await flooded.stop()
    }
  })
})

test('entries that are too old are deleted', async () => {
  const DATABASE_URL = await createAdminDatabase()
  const { database } = parseDatabaseUrl(DATABASE_URL)
  try {
    const first = await startTestGateway({ DATABASE_URL })
    for (const tenant_id of ['a', 'b']) {
      await first.post('/admin/create-tenant', { platform: uniqueName('p'), tenant_id })
    }
    await first.stop()
    await queryDatabase(
      database,
      `update _db_gateway_audit set at = at - interval '8 days' where tenant_id = 'a'`,
    )
    const second = await startTestGateway({ DATABASE_URL, AUDIT_RETENTION_DAYS: '7' })
    const left = await eventually('the old entry is gone', async () => {
      const rows = await queryDatabase(database, 'select tenant_id from _db_gateway_audit')
      return rows.length === 1 && rows
    })
    expect(left).toEqual([{ tenant_id: 'b' }])
    await second.stop()
  } finally {
    await dropAdminDatabase(DATABASE_URL)
  }
})

describe('where PostgreSQL is away', () => {
  test('and silent: the end is not held up, and entries go into the log', async () => {
    const adminUrl = await createAdminDatabase()
    const proxy = await startProxy()
    const silent = await startTestGateway({
      DATABASE_URL: urlThrough(proxy, parseDatabaseUrl(adminUrl).database),
      CONNECT_TIMEOUT_SECS: '1',
      SHUTDOWN_TIMEOUT_SECS: '1',
      ADMIN_TOKEN: 'token',
    })
    try {
      proxy.blackHole()
      expect((await silent.get('/admin/pools')).status).toBe(401)
    } finally {
      await silent.stop()
      await proxy.stop()
    }
    const line = await eventually('the entry is in the log', () =>
      silent.logged.find(
        ({ message }) => message === 'An entry was not written to the audit trail',
      ),
    )
    expect(JSON.parse(line.entry)).toMatchObject({ action: 'refused', path: '/admin/pools' })
    await dropAdminDatabase(adminUrl)
  })

  test('entries are written when it is back, and at the end go into the log', async () => {
    const adminUrl = await createAdminDatabase()
    const { database } = parseDatabaseUrl(adminUrl)
    const proxy = await startProxy()
    const away = await startTestGateway({
      DATABASE_URL: urlThrough(proxy, database),
      CONNECT_TIMEOUT_SECS: '1',
      SHUTDOWN_TIMEOUT_SECS: '1',
    })
    const platforms = [uniqueName('p'), uniqueName('p')]
    const goAway = () => {
      proxy.cut()
      proxy.cutNext(Number.POSITIVE_INFINITY)
    }
    const create = (platform: string) =>
      away.post('/admin/create-tenant', { platform, tenant_id: 't' })
    try {
      goAway()
      expect((await create(platforms[0]!)).body.error).toBe('connection_failed')
      proxy.heal()
      await eventually('the entry is written', async () => {
        const rows = await queryDatabase(
          database,
          `select from _db_gateway_audit where platform = '${platforms[0]}' and error = 'connection_failed'`,
        )
        return rows.length === 1
      })
      goAway()
      await create(platforms[1]!)
    } finally {
      await away.stop()
      await proxy.stop()
    }
    const line = await eventually('the entry is in the log', () =>
      away.logged.find(({ message }) => message === 'An entry was not written to the audit trail'),
    )
    expect(JSON.parse(line.entry)).toMatchObject({
      platform: platforms[1],
      error: 'connection_failed',
    })
    await dropAdminDatabase(adminUrl)
  })
})
