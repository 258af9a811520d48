import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  dropDatabase,
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

// What stopped the deploys of a whole platform in the first design.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ MIGRATE_CONCURRENCY: '3', LOCK_TIMEOUT_SECS: '1' })
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

const administer = (text: string) =>
  queryDatabase(gateway.server.database, text, { asGateway: true })

/** A platform with a main database and tenants t0, t1, …, and what can befall them. */
async function newFleet(tenants: number) {
  const platform = uniqueName('fleet')
  const archive = await pack(V1)
  await gateway.register(platform, archive)
  for (let i = 0; i < tenants; i++) await gateway.register(platform, archive, `t${i}`)
  const end = (name: string) =>
    administer(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
  return {
    platform,
    main: `${platform}_main`,
    tenant: (i: number) => `${platform}_t${i}`,
    /** An operator drops it by hand. */
    drop: (name: string) => dropDatabase(name),
    /** An operator lets nobody connect to it. */
    pause: async (name: string) => {
      await administer(`alter database ${name} allow_connections false`)
      await end(name)
    },
    resume: (name: string) => administer(`alter database ${name} allow_connections true`),
    /** The next deploy of V2 to it fails, until it is mended. */
    spoil: (name: string) => queryDatabase(name, 'alter table item add name int'),
    mend: (name: string) => queryDatabase(name, 'alter table item drop name'),
    migrate: async (flags: Record<string, string> = {}, tenantId?: string) =>
      gateway.migrate(platform, await pack(V2), tenantId, flags),
    version: async (tenantId?: string) =>
      (await gateway.call(platform, 'version', [], tenantId)).body.rows?.[0].version,
  }
}

const statusesOf = (body: Json): string[] => body.results.map((one: Json) => one.status)

describe('C9, G1: a database that cannot be reached stops nobody', () => {
  test('dropped by hand, and first by name', async () => {
    const { migrate, drop, tenant, version } = await newFleet(4)
    await drop(tenant(0))
    const { status, body, headers } = await migrate()
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    expect(headers.get('retry-after')).toBe('1')
    expect(body.message).toBe(
      `1 of 5 databases could not be reached; the first is ${tenant(0)}: Database ${tenant(0)} does not exist`,
    )
    expect(statusesOf(body)).toEqual(['completed', 'failed', 'completed', 'completed', 'completed'])
    expect(body.failed).toMatchObject([{ database: tenant(0), error: 'database_not_found' }])
    expect(body.failed[0].hint).toContain('/admin/forget-database')
    expect(body.not_started).toEqual([])
    expect(await version('t3')).toBe('two')
  })

  test('that allows no connections', async () => {
    const { migrate, pause, resume, tenant, version } = await newFleet(3)
    await pause(tenant(0))
    const { status, body } = await migrate()
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    expect(body.failed).toMatchObject([
      {
        database: tenant(0),
        error: 'connection_failed',
        message: `Database ${tenant(0)} does not accept connections (ALLOW_CONNECTIONS)`,
      },
    ])
    expect(body.databases_updated).toHaveLength(3)
    await resume(tenant(0))
    expect((await migrate()).status).toBe(200)
    expect(await version('t0')).toBe('two')
  })

  test('the main one too', async () => {
    const { migrate, drop, main, tenant } = await newFleet(2)
    await drop(main)
    const { body } = await migrate()
    expect(body.databases_updated).toEqual([tenant(0), tenant(1)])
    expect(body.failed).toMatchObject([{ database: main, error: 'database_not_found' }])
  })

  test('that refuses the role’s connections', async () => {
    const { migrate, tenant } = await newFleet(2)
    await administer(`alter database ${tenant(0)} connection limit 0`)
    await administer(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${tenant(0)}'`,
    )
    const { status, body } = await migrate()
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    expect(body.failed).toMatchObject([{ database: tenant(0), sqlstate: '53300' }])
    expect(body.databases_updated).toHaveLength(2)
  })

  test('the next that can be reached is the canary', async () => {
    const { migrate, drop, spoil, tenant, main } = await newFleet(4)
    await drop(tenant(0))
    await spoil(tenant(1))
    const { status, body } = await migrate({ on_error: 'continue' })
    expect([status, body.error, body.database]).toEqual([422, 'migration_failed', tenant(1)])
    expect(body.databases_updated).toEqual([main])
    expect(body.failed.map((one: Json) => one.database)).toEqual([tenant(0), tenant(1)])
    expect(body.not_started).toEqual([tenant(2), tenant(3)])
  })

  test('alone it is its own error, and never a 500', async () => {
    const { migrate, drop, pause, tenant, platform } = await newFleet(2)
    await drop(tenant(0))
    await pause(tenant(1))
    const dropped = await migrate({}, 't0')
    expect([dropped.status, dropped.body.error]).toEqual([404, 'database_not_found'])
    const paused = await migrate({}, 't1')
    expect([paused.status, paused.body.error]).toEqual([503, 'connection_failed'])
    const registered = await gateway.register(platform, await pack(V2), 't1')
    expect([registered.status, registered.body.error]).toEqual([503, 'connection_failed'])
    const called = await gateway.call(platform, 'version', [], 't1')
    expect([called.status, called.body.error, called.body.sqlstate]).toEqual([
      503,
      'connection_failed',
      '55000',
    ])
  })
})

describe('C9: skip', () => {
  test('leaves out databases by name or tenant id', async () => {
    const { migrate, tenant, main, version } = await newFleet(4)
    const { status, body } = await migrate({ skip: `t1, ${tenant(2)}` })
    expect(status).toBe(200)
    expect(body.status).toBe('completed')
    expect(body.databases_updated).toEqual([main, tenant(0), tenant(3)])
    expect(body.skipped).toEqual([tenant(1), tenant(2)])
    expect(statusesOf(body)).toEqual(['completed', 'completed', 'skipped', 'skipped', 'completed'])
    expect(await version('t2')).toBe('one')
    const entry = (await gateway.get('/admin/audit?limit=20')).body.entries.find(
      (one: Json) => one.action === 'migrate' && one.databases.includes(main),
    )
    expect(entry.summary.skip).toEqual(['t1', tenant(2)])
  })

  test('main is the main database', async () => {
    const { migrate, main, tenant } = await newFleet(1)
    const { body } = await migrate({ skip: 'main' })
    expect([body.skipped, body.databases_updated]).toEqual([[main], [tenant(0)]])
  })

  test.each([
    [{ skip: 'nobody' }, undefined, 'has no database or tenant "nobody"'],
    [{ skip: 't0' }, 't0', 'leave tenant_id out'],
    [{ only: 'failed' }, 't0', 'leave tenant_id out'],
    [{ label: ' ' }, undefined, 'label is empty'],
    [{ only: 'pending' }, undefined, 'only must be failed; got "pending"'],
  ])('refuses what means nothing: %j', async (flags, tenantId, message) => {
    const { migrate } = await newFleet(1)
    const { status, body } = await migrate(flags, tenantId)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })
})

describe('C9: only=failed', () => {
  test('does what the last /migrate of the archive has left', async () => {
    const { migrate, spoil, mend, tenant, version } = await newFleet(5)
    await spoil(tenant(1))
    await spoil(tenant(3))
    expect((await migrate({ on_error: 'continue' })).body.failed).toHaveLength(2)
    await mend(tenant(1))
    const again = await migrate({ only: 'failed', on_error: 'continue' })
    // The first of them is the canary now.
    expect(again.body.databases_updated).toEqual([tenant(1)])
    expect(again.body.failed).toMatchObject([{ database: tenant(3) }])
    expect(again.body.results).toHaveLength(2)
    await mend(tenant(3))
    const last = await migrate({ only: 'failed' })
    expect([last.status, last.body.databases_updated]).toEqual([200, [tenant(3)]])
    expect(await version('t3')).toBe('two')
    const none = await migrate({ only: 'failed' })
    expect([none.status, none.body.results]).toEqual([200, []])
  })

  test('also what was not started; a dry run leaves it as it is', async () => {
    const { migrate, spoil, mend, main, tenant } = await newFleet(2)
    await spoil(main)
    expect((await migrate()).body.not_started).toEqual([tenant(0), tenant(1)])
    await mend(main)
    const planned = await migrate({ only: 'failed', dry_run: 'true' })
    expect(planned.body.plan).toHaveLength(3)
    const { body } = await migrate({ only: 'failed' })
    expect(body.databases_updated).toEqual([main, tenant(0), tenant(1)])
  })

  test('also what was left before a /migrate of some', async () => {
    const { platform, migrate, spoil, mend, main, tenant } = await newFleet(3)
    const some = { platform, tenant_id: 't2', labels: { ring: 'first' } }
    expect((await gateway.post('/admin/label-tenant', some)).status).toBe(200)
    await spoil(main)
    expect((await migrate()).body.not_started).toHaveLength(3)
    await mend(main)
    expect((await migrate({ label: 'ring:first' })).body.databases_updated).toEqual([tenant(2)])
    const { body } = await migrate({ only: 'failed' })
    expect(body.databases_updated).toEqual([main, tenant(0), tenant(1)])
  })

  test('takes the mended archive to where another failed, whoever deployed that', async () => {
    const { platform, migrate, tenant } = await newFleet(3)
    expect((await migrate()).status).toBe(200)
    const broken = await pack({ ...V2, 'functions/bad.pssql': 'x' })
    for (const id of ['t0', 't2']) {
      expect((await gateway.register(platform, broken, id)).status).toBe(422)
    }
    // Of an archive that a /migrate has brought everywhere, and of one that no /migrate has seen.
    const planned = await migrate({ only: 'failed', dry_run: 'true' })
    expect(planned.body.plan.map((one: Json) => one.database)).toEqual([tenant(0), tenant(2)])
    const mended = await pack({ ...V2, ...textFunction('bad', 'good') })
    const fields = { only: 'failed' }
    const { status, body } = await gateway.migrate(platform, mended, undefined, fields)
    expect([status, body.databases_updated]).toEqual([200, [tenant(0), tenant(2)]])
    const again = await gateway.migrate(platform, mended, undefined, fields)
    expect(again.body.error).toBe('invalid_request')
  })

  test('says that there was no /migrate of this archive', async () => {
    const { migrate } = await newFleet(0)
    const { status, body } = await migrate({ only: 'failed' })
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain('no /migrate of this archive')
  })
})

describe('G4: the results of /migrate', () => {
  const OTHER: Files = {
    'migrations/001_item.pssql': V1['migrations/001_item.pssql']!,
    'migrations/002_price.pssql': `
      alter table item add price int;
      alter table item alter price set not null;`,
    'tables/part.pssql': 'create table part (id int);',
    ...textFunction('second', '2'),
    ...textFunction('third', '3'),
  }

  test('say what was dropped, created, and may break old code', async () => {
    const { platform } = await newFleet(1)
    const { body } = await gateway.migrate(platform, await pack(OTHER), undefined, {
      allow: 'functions_missing',
    })
    for (const one of body.results) {
      expect(one).toMatchObject({
        status: 'completed',
        functions_dropped: ['public.version()'],
        tables_created: ['part'],
        schema_validation: [],
        incompatible_changes: [{ table: 'item', column: 'price', class: 'incompatible' }],
      })
    }
  })

  test('say dry_run, and no database was updated', async () => {
    const { migrate } = await newFleet(1)
    const { body } = await migrate({ dry_run: 'true' })
    expect([body.status, body.databases_updated]).toEqual(['dry_run', []])
    expect(statusesOf(body)).toEqual(['dry_run', 'dry_run'])
  })
})

test('databases that another request has brought to another archive meanwhile are named', async () => {
  const name = uniqueName('fleet')
  const base: Files = { 'migrations/001_t.sql': 'create table t (n int);' }
  for (const tenant of [undefined, 'a']) await gateway.register(name, await pack(base), tenant)
  const slow = await pack({ ...base, 'migrations/002_slow.sql': 'select pg_sleep(0.7);' })
  const answer = gateway.migrate(name, slow)
  await eventually('the tenant has its turn', async () => {
    return (await sessionsRunning(`${name}_a`, 'pg_sleep')) === 1
  })
  await gateway.register(name, await pack({ ...base, 'migrations/003_next.sql': 'select 1;' }))
  const { status, body } = await answer
  expect(status).toBe(200)
  expect(body.warnings).toEqual([expect.stringMatching(`another archive since: ${name}_main\\.`)])
})
