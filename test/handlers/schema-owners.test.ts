import { beforeAll, describe, expect, test } from 'vitest'
import { LOCK_CLASS } from '../../lib/postgres/pools/call-sessions.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  connectTo,
  dropDatabase,
  queryDatabase,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

import { store } from '../helpers/stored.ts'

/** Databases that are named by a schema and a uuid, beside those of tenants: two gateways. */
const UUID = '0B5D6A3E-8f1c-4d6e-9f57-0a4c3b2d1e0f'
const FOLDED = UUID.toLowerCase().replaceAll('-', '_')

const { gateway, other } = await startTwoGateways()

const stablePing = (text: string) => ({
  'functions/ping.pssql': `create or replace function ping() returns text stable language sql as $$ select '${text}' $$;`,
})
const archive = (text: string) => pack(stablePing(text))

/** What ping says in a database; the error where there is none. */
async function ping(at: TestGateway, platform: string, owner: object): Promise<string> {
  const { body } = await at.post('/call', { platform, ...owner, function: 'ping' })
  return body.rows?.[0].ping ?? body.error
}

describe('a platform with databases of every kind', () => {
  const platform = uniqueName('kinds')

  beforeAll(async () => {
    const tenants = [
      [undefined, {}, 'main'],
      ['t-1', {}, 'tenant t-1'],
      [undefined, { schema_name: 'hr' }, 'base of hr'],
      [undefined, { schema_name: 'hr', uuid: UUID }, 'hr of the uuid'],
      [undefined, { schema_name: 'main', uuid: UUID }, 'main of the uuid'],
    ] as const
    for (const [tenant, owner, text] of tenants) {
      const { body } = await gateway.register(platform, await archive(text), tenant, { ...owner })
      expect(body.status).toBe('ready')
    }
  })

  test('has each called by its own name, at every gateway', async () => {
    for (const at of [gateway, other]) {
      expect(await ping(at, platform, {})).toBe('main')
      expect(await ping(at, platform, { tenant_id: 't-1' })).toBe('tenant t-1')
      expect(await ping(at, platform, { schema_name: 'main' })).toBe('main')
      expect(await ping(at, platform, { schema_name: 'hr', uuid: null })).toBe('base of hr')
      for (const uuid of [UUID, FOLDED, UUID.toLowerCase()]) {
        expect(await ping(at, platform, { schema_name: 'hr', uuid })).toBe('hr of the uuid')
        expect(await ping(at, platform, { schema_name: 'main', uuid })).toBe('main of the uuid')
      }
      expect(await ping(at, platform, { schema_name: 'hr', uuid: 'nobody' })).toBe(
        'database_not_found',
      )
      // What names a database of a schema is no tenant.
      expect(await ping(at, platform, { tenant_id: 'hr' })).toBe('database_not_found')
      expect(await ping(at, platform, { tenant_id: `hr_${FOLDED}` })).toBe('database_not_found')
    }
  })

  test('answers batches and GET for them', async () => {
    const { body } = await gateway.post('/batch', {
      platform,
      schema_name: 'hr',
      uuid: UUID,
      calls: [{ function: 'ping' }],
    })
    expect(body.results[0].rows).toEqual([{ ping: 'hr of the uuid' }])
    for (const [path, text] of [
      [`hr/${UUID}`, 'hr of the uuid'],
      ['hr/main', 'base of hr'],
      ['t-1', 'tenant t-1'],
    ]) {
      const answer = await gateway.get(`/call/${platform}/${path}/ping`)
      expect([answer.status, answer.body.rows]).toEqual([200, [{ ping: text }]])
    }
  })

  test('lists them, and what was deployed to them', async () => {
    const { body } = await gateway.get(`/admin/databases?platform=${platform}`)
    const listed = body.databases.map(({ name, type, tenant_id, schema_name, pending }: never) => [
      name,
      type,
      tenant_id,
      schema_name,
      pending,
    ])
    expect(listed).toEqual([
      [`${platform}_main`, 'main', null, undefined, true],
      [`${platform}_hr`, 'base', null, 'hr', true],
      [`${platform}_hr_${FOLDED}`, 'tenant', FOLDED, 'hr', false],
      [`${platform}_main_${FOLDED}`, 'tenant', FOLDED, 'main', false],
      [`${platform}_t_1`, 'tenant', 't-1', undefined, false],
    ])
    const pages: string[] = []
    for (let after = ''; ; ) {
      const page = await gateway.get(
        `/admin/databases?platform=${platform}&limit=2&sizes=false${after}`,
      )
      pages.push(...page.body.databases.map((one: { name: string }) => one.name))
      if (page.body.next_after === null) break
      after = `&after=${page.body.next_after}`
    }
    expect(pages).toEqual(listed.map(([name]: string[]) => name))

    const deployments = async (query: string) => {
      const answer = await gateway.get(`/admin/deployments?platform=${platform}${query}`)
      return answer.body.deployments.map((one: { database: string }) => one.database)
    }
    expect(await deployments('')).toHaveLength(5)
    expect(await deployments(`&schema_name=hr&uuid=${UUID}`)).toEqual([`${platform}_hr_${FOLDED}`])
    expect(await deployments('&schema_name=hr')).toEqual([`${platform}_hr`])
    expect(await deployments('&tenant_id=')).toEqual([`${platform}_main`])
    const audit = await gateway.get(`/admin/audit?platform=${platform}&limit=1`)
    expect(audit.body.entries[0]).toMatchObject({ tenant_id: FOLDED, schema_name: 'main' })
  })

  test('migrates those of one schema, or those of none', async () => {
    const migrate = async (flags: Record<string, string>) => {
      const { body } = await gateway.migrate(platform, await archive('2'), undefined, flags)
      return body.databases_updated ?? body
    }
    expect(await migrate({ schema_name: 'hr' })).toEqual([
      `${platform}_hr`,
      `${platform}_hr_${FOLDED}`,
    ])
    expect(await ping(other, platform, { schema_name: 'hr' })).toBe('2')
    expect(await migrate({})).toEqual([`${platform}_main`, `${platform}_t_1`])
    expect(await migrate({ schema_name: 'main' })).toEqual([
      `${platform}_main`,
      `${platform}_main_${FOLDED}`,
    ])
    expect(await migrate({ schema_name: 'crm' })).toMatchObject({
      error: 'database_not_found',
      message: `Schema crm of platform ${platform} has no database; POST /admin/database/create creates it`,
      hint: expect.stringContaining('POST /v2/migrate'),
    })
  })

  test('refuses a name that another kind of owner has', async () => {
    const { status, body } = await gateway.register(platform, await archive('x'), 'hr')
    expect([status, body.error]).toEqual([409, 'name_conflict'])
    const back = await gateway.register(platform, await archive('x'), undefined, {
      schema_name: 't',
      uuid: '1',
    })
    expect([back.status, back.body.error]).toEqual([409, 'name_conflict'])
  })

  test('can forget one that was dropped', async () => {
    const database = `${platform}_hr_${FOLDED}`
    await gateway.gateway.pools.closeDatabase(database)
    await dropDatabase(database)
    const owner = { platform, schema_name: 'hr', uuid: UUID }
    const { status, body } = await gateway.post('/admin/forget-database', owner)
    expect([status, body]).toEqual([
      200,
      { status: 'forgotten', database, platform, tenant_id: FOLDED, schema_name: 'hr' },
    ])
    await expect.poll(() => ping(other, platform, owner)).toBe('database_not_found')
  })
})

describe('a tenant of a schema that has no database', () => {
  const platform = uniqueName('comes')
  const owner = { schema_name: 'hr', uuid: UUID }

  beforeAll(async () => {
    await gateway.register(platform, await archive('of before'), UUID)
    await gateway.register(platform, await archive('base of hr'), undefined, { schema_name: 'hr' })
  })

  test('has the database of the tenant of before', async () => {
    for (const at of [gateway, other]) {
      for (const uuid of [UUID, FOLDED, UUID]) {
        expect(await ping(at, platform, { ...owner, uuid })).toBe('of before')
      }
    }
    const { body } = await other.register(platform, await archive('anew'), undefined, owner)
    expect(body.database).toBe(`${platform}_${FOLDED}`)
    expect(await ping(gateway, platform, { tenant_id: UUID })).toBe('anew')
    expect(await ping(gateway, platform, owner)).toBe('anew')
    // A tenant_id has one spelling.
    expect(await ping(gateway, platform, { tenant_id: FOLDED })).toBe('database_not_found')
  })

  test('has its own where there is one, at once and at every gateway', async () => {
    const row = `'${platform}_hr_${FOLDED}', '${platform}', '${FOLDED}', 'hr', 'gw_${platform}'`
    await gateway.query('postgres', `create database ${platform}_hr_${FOLDED}`)
    await gateway.gateway.catalog.use((sql) =>
      sql.unsafe(`insert into _db_gateway_databases
        (database, platform, tenant_id, schema_name, owner_role) values (${row})`),
    )
    for (const at of [gateway, other]) {
      await expect.poll(() => ping(at, platform, owner)).not.toBe('anew')
    }
    const { body } = await other.register(platform, await archive('its own'), undefined, owner)
    expect(body.database).toBe(`${platform}_hr_${FOLDED}`)
    for (const at of [gateway, other]) expect(await ping(at, platform, owner)).toBe('its own')
    expect(await ping(gateway, platform, { tenant_id: UUID })).toBe('anew')
  })
})

describe('a tenant of before is not that of a schema', () => {
  const create = async (platform: string, owner: object) => {
    const { status, body } = await other.post('/admin/database/create', { platform, ...owner })
    return [status, body.database_name ?? body.error]
  }
  /** A platform with these stored schemas, whose ping says which it is. */
  const newPlatform = async (schemas: string[]) => {
    const platform = uniqueName('sides')
    await gateway.post('/platform/register', { platform })
    for (const name of schemas) await store(gateway, platform, name, textFunction('ping', name))
    return platform
  }

  test('where other tenants have that schema, and this one another', async () => {
    const platform = await newPlatform(['clinic', 'lab'])
    await create(platform, { schema_name: 'clinic', database_id: '001' })
    const [clinic, lab] = ['clinic', 'lab'].map((schema_name) => ({ schema_name, uuid: '001' }))
    for (const at of [gateway, other]) {
      expect(await ping(at, platform, clinic!)).toBe('clinic')
      // Nothing tells the name of a release from that of a schema yet.
      expect(await ping(at, platform, lab!)).toBe('clinic')
    }
    await create(platform, { schema_name: 'lab', database_id: '002' })
    for (const at of [gateway, other]) {
      await expect.poll(() => ping(at, platform, lab!)).toBe('database_not_found')
      expect(await ping(at, platform, clinic!)).toBe('clinic')
      expect(await ping(at, platform, { ...lab, uuid: '002' })).toBe('lab')
    }
    const migrated = await gateway.post('/v2/migrate', { platform, ...lab, force: true })
    expect([migrated.status, migrated.body.error]).toEqual([404, 'database_not_found'])
    expect(await create(platform, lab!)).toEqual([200, `${platform}_lab_001`])
    for (const at of [gateway, other]) {
      expect(await ping(at, platform, lab!)).toBe('lab')
      expect(await ping(at, platform, { tenant_id: '001' })).toBe('clinic')
      // A database is named with lab from now on.
      await expect.poll(() => ping(at, platform, clinic!)).toBe('database_not_found')
    }
  })

  test('where another schema names databases, for as long as it does', async () => {
    const platform = await newPlatform(['clinic'])
    await gateway.register(platform, await archive('of before'), '1')
    const [clinic, lab] = ['clinic', 'lab'].map((schema_name) => ({ schema_name, uuid: '1' }))
    for (const at of [gateway, other]) expect(await ping(at, platform, lab!)).toBe('of before')
    await create(platform, { schema_name: 'clinic', uuid: 'c1' })
    for (const at of [gateway, other]) {
      await expect.poll(() => ping(at, platform, lab!)).toBe('database_not_found')
      expect(await ping(at, platform, clinic!)).toBe('of before')
    }
    const database = `${platform}_clinic_c1`
    await gateway.gateway.pools.closeDatabase(database)
    await dropDatabase(database)
    const gone = { platform, schema_name: 'clinic', uuid: 'c1' }
    expect((await other.post('/admin/forget-database', gone)).status).toBe(200)
    for (const at of [gateway, other]) {
      await expect.poll(() => ping(at, platform, lab!)).toBe('of before')
    }
  })

  test('unless stored schemas are releases that follow each other', async () => {
    const platform = await newPlatform(['v1.0', 'v1.1', 'clinic'])
    for (const database_id of ['1', '2']) {
      await create(platform, { schema_name: 'v1.0', database_id })
    }
    const clinic = { schema_name: 'clinic', uuid: '1' }
    expect(await ping(other, platform, clinic)).toBe('v1.0')
    const ask = { platform, schema_name: 'v1.1', database_id: '1' }
    expect((await gateway.post('/v2/migrate', ask)).status).toBe(200)
    expect(await ping(other, platform, clinic)).toBe('v1.1')
    // By its new name: tenant 1 is not lost by that.
    const second = { platform, ...clinic, uuid: '2' }
    expect((await gateway.post('/v2/migrate', second)).body.databases_updated).toEqual([
      `${platform}_2`,
    ])
    for (const at of [gateway, other]) {
      expect(await ping(at, platform, { ...clinic, uuid: '2' })).toBe('clinic')
      expect(await ping(at, platform, clinic)).toBe('v1.1')
    }
    expect((await gateway.post('/v2/migrate', { platform, ...clinic })).status).toBe(200)
    expect(await ping(other, platform, clinic)).toBe('clinic')
  })
})

test('A database that is nobody’s is told in the same words everywhere', async () => {
  const platform = uniqueName('words')
  await gateway.register(platform, await archive('x'), 'acme')
  const named = async (members: object) => {
    const asked = Object.entries(members).map(([name, value]) => `&${name}=${value}`)
    const ask = { platform, ...members }
    const checksum = '0'.repeat(64)
    const answers = await Promise.all([
      gateway.post('/call', { ...ask, function: 'ping' }),
      gateway.post('/admin/forget-database', ask),
      gateway.get(`/admin/deployments?platform=${platform}${asked.join('')}`),
    ])
    const { body } = await gateway.post('/admin/revert', { ...ask, tenant_id: 5, checksum })
    expect(body.message).toMatch('schema_name' in members ? 'both' : 'must be a string; got 5')
    const told = answers.map(({ status, body }) => `${status} ${body.message}`)
    expect(new Set(told).size, told.join('; ')).toBe(1)
    return told[0]
  }
  expect(await named({ tenant_id: 'ACME' })).toBe(
    `404 Tenant ACME of platform ${platform} has no database: the name ${platform}_acme is taken by tenant acme of platform ${platform} (tenant_id is spelled "acme")`,
  )
  expect(await named({ tenant_id: 'b' })).toBe(
    `404 Tenant b of platform ${platform} has no database; POST /register or POST /admin/database/create creates it`,
  )
  expect(await named({ schema_name: 'hr', uuid: 'b' })).toBe(
    `404 Tenant b of schema hr of platform ${platform} has no database; POST /admin/database/create creates it`,
  )
})

test('The main database is the base of the stored schemas that it had, where they have no other', async () => {
  const platform = uniqueName('bases')
  await gateway.post('/platform/register', { platform })
  for (const name of ['main_db', 'Main.2', 'crm']) {
    await store(gateway, platform, name, textFunction('ping', name))
  }
  const ask = async (path: string, owner: object, at = other) => {
    const { status, body } = await at.post(path, { platform, ...owner })
    return [status, body.database_name ?? body.databases_updated?.[0] ?? body.database]
  }
  const [create, migrate] = ['/admin/database/create', '/v2/migrate']
  const main = `${platform}_main`
  const base = { schema_name: 'main_db', uuid: null }
  for (const at of [gateway, other]) expect(await ping(at, platform, base)).toMatch('not_found')
  expect(await ask(create, { schema_name: 'main_db', database_id: 'main' })).toEqual([200, main])
  for (const at of [gateway, other]) {
    await expect.poll(() => ping(at, platform, base)).toBe('main_db')
    for (const uuid of ['main', '']) {
      expect(await ping(at, platform, { ...base, uuid })).toBe('main_db')
      expect(await ask(create, { ...base, uuid }, at)).toEqual([409, main])
    }
    // No other schema, nor a tenant of this one.
    expect(await ping(at, platform, { schema_name: 'crm' })).toBe('database_not_found')
    expect(await ping(at, platform, { ...base, uuid: 'x' })).toBe('database_not_found')
  }
  expect(await ask(migrate, { ...base, uuid: 'main' })).toEqual([200, main])
  // A release after it: both names are the main database's.
  expect(await ask(migrate, { schema_name: 'Main.2', database_id: 'main' })).toEqual([200, main])
  for (const at of [gateway, other]) {
    for (const schema_name of ['main_db', 'Main.2', 'main_2']) {
      expect(await ping(at, platform, { schema_name })).toBe('Main.2')
    }
  }
  expect((await ask(migrate, { schema_name: 'crm' }))[0]).toBe(404)
  // Of all databases of the schema, it is none.
  const all = { schema_name: 'main_db' }
  const form = await other.migrate(platform, await archive('all'), undefined, all)
  expect(form.status).toBe(404)
  expect(await ask(create, { schema_name: 'crm' })).toEqual([200, `${platform}_crm`])
  expect(await ping(gateway, platform, base)).toBe('Main.2')
  // Its own, where there is one: at every gateway.
  expect((await ask(migrate, { schema_name: 'crm', database_id: 'main' }))[0]).toBe(200)
  await gateway.gateway.catalog.use((sql) =>
    sql.unsafe(`insert into _db_gateway_databases (database, platform, schema_name, owner_role)
      values ('${platform}_main_db', '${platform}', 'main_db', 'gw_${platform}')`),
  )
  await gateway.query('postgres', `create database ${platform}_main_db owner gw_${platform}`)
  for (const at of [gateway, other]) {
    await expect.poll(() => ping(at, platform, base)).not.toBe('crm')
    expect(await ping(at, platform, { schema_name: 'main_2' })).toBe('crm')
  }
})

test('A tenant that was made with database_id is found by tenant_id in each spelling', async () => {
  const platform = uniqueName('spelled')
  await gateway.post('/platform/register', { platform })
  await store(gateway, platform, 'v1', stablePing('of B'))
  await gateway.register(platform, await archive('of A'), 'Org-1')
  const create = async (database_id: string) => {
    const ask = { platform, schema_name: 'v1', database_id }
    const { status, body } = await gateway.post('/admin/database/create', ask)
    return [status, body.database_name ?? body.error]
  }
  const name = `${platform}_0b5d_8f1c`
  for (const at of [gateway, other])
    expect(await ping(at, platform, { tenant_id: '0B5D-8f1c' })).toMatch('not_found')
  expect(await create('0b5d_8f1c')).toEqual([200, name])
  expect(await create('ORG-1')).toEqual([409, 'database_already_exists'])
  for (const at of [gateway, other]) {
    for (const _ of [1, 2]) {
      for (const tenant_id of ['0b5d-8f1c', '0b5d_8f1c', '0B5D-8F1C', '-0b5d-8f1c_']) {
        await expect.poll(() => ping(at, platform, { tenant_id })).toBe('of B')
      }
      expect(await ping(at, platform, { tenant_id: 'Org-1' })).toBe('of A')
      expect(await ping(at, platform, { tenant_id: 'org_1' })).toBe('database_not_found')
      const { body } = await at.get(`/call/${platform}/0B5D-8f1c/ping`)
      expect(body.rows).toEqual([{ ping: 'of B' }])
    }
    expect(await create('0B5D-8f1c')).toEqual([409, 'database_already_exists'])
  }
  // Also where it is deployed to, whatever was remembered; a tenant of A keeps its spelling.
  for (const at of [gateway, other]) {
    const { body } = await at.register(platform, await archive('anew'), '0B5D-8f1c')
    expect(body).toMatchObject({ status: 'ready', database: name })
    expect((await at.register(platform, await archive('x'), 'org_1')).status).toBe(409)
    const migrated = await at.migrate(platform, await archive('again'), '0B5D-8F1C')
    expect(migrated.body.databases_updated).toEqual([name])
  }
  const history = await other.get(`/admin/deployments?platform=${platform}&tenant_id=0B5D-8f1c`)
  expect(history.body.count).toBe(3)
  // Made anew with a tenant_id, it has that spelling alone.
  await gateway.gateway.pools.closeDatabase(name)
  await dropDatabase(name)
  const gone = { platform, tenant_id: '0B5D-8f1c' }
  expect((await other.post('/admin/forget-database', gone)).status).toBe(200)
  await gateway.register(platform, await archive('of A'), '0b5d-8f1c')
  for (const at of [gateway, other]) {
    await expect.poll(() => ping(at, platform, { tenant_id: '0b5d-8f1c' })).toBe('of A')
    await expect
      .poll(() => ping(at, platform, { tenant_id: '0b5d_8f1c' }))
      .toBe('database_not_found')
  }
})

test('A database of a schema that comes while a gateway hears nothing has its calls', async () => {
  const platform = uniqueName('deaf')
  const owner = { schema_name: 'hr', uuid: 'a' }
  await gateway.register(platform, await archive('of before'), 'a')
  for (const _ of [1, 2]) expect(await ping(other, platform, owner)).toBe('of before')
  const admin = connectTo(gateway.server.database)
  afterTest(() => admin.end())
  // No gateway listens again before it has that lock.
  await admin`select pg_advisory_lock(${LOCK_CLASS}, 0)`
  const ended = await admin`
    select pg_terminate_backend(l.pid)
    from pg_locks l join _db_gateway_gateways g on l.objid = g.lock::oid
    where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS}::bigint::oid and l.granted`
  expect(ended).toHaveLength(2)
  await gateway.query('postgres', `create database ${platform}_hr_a owner gw_${platform}`)
  await queryDatabase(
    `${platform}_hr_a`,
    `create function ping() returns text stable language sql as $$ select 'its own'::text $$`,
  )
  await admin`insert into _db_gateway_databases
    (database, platform, tenant_id, schema_name, owner_role)
    values (${`${platform}_hr_a`}, ${platform}, 'a', 'hr', ${`gw_${platform}`})`
  await expect.poll(() => ping(other, platform, owner)).toBe('its own')
})

test('The databases of each schema are compared with each other alone', async () => {
  const platform = uniqueName('drifts')
  const deploys = [
    [{}, 'main'],
    [{ schema_name: 'hr' }, 'of hr'],
    [{ schema_name: 'hr', uuid: 'a' }, 'of hr'],
    [{ schema_name: 'crm', uuid: 'a' }, 'of crm'],
    [{ schema_name: 'crm', uuid: 'b' }, 'of crm'],
  ] as const
  for (const [owner, text] of deploys) {
    await gateway.register(platform, await archive(text), undefined, { ...owner })
  }
  const drift = async () => (await gateway.get(`/admin/drift?platform=${platform}`)).body
  expect((await drift()).summary).toBe('5 alike')
  await gateway.query(`${platform}_crm_b`, 'create table more (id int)')
  expect(await drift()).toMatchObject({
    alike: 4,
    groups: [{ count: 1, databases: [`${platform}_crm_b`] }],
  })
  const { body } = await gateway.get(`/admin/databases?platform=${platform}&sizes=false`)
  expect(body.databases.map(({ pending }: { pending: boolean }) => pending)).not.toContain(true)
})
