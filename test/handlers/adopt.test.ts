import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import {
  connectTo,
  createAdminDatabase,
  databaseUrlOf,
  dropAdminDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { store } from '../helpers/stored.ts'

const MIGRATIONS = {
  'migrations/001_people.pssql': 'create table people (id int primary key, name text);',
  'migrations/002_notes.pssql': 'create table notes (id int, text text);',
}
const FILES = {
  ...MIGRATIONS,
  'seeders/people.pssql': `insert into people values (1, 'seeded');`,
  'functions/people.pssql': `create or replace function people_all() returns setof people
    language sql stable as $$ select * from people order by id $$;`,
}

/** What is there before: tables, a row, a function of an earlier release. */
const SCHEMA = `
  create table people (id int primary key, name text);
  create table notes (id int, text text);
  insert into people values (1, 'Ada');
  create function people_all() returns setof people language sql stable as 'select * from people';
`

let gateway: TestGateway
let other: TestGateway
const made: string[] = []

beforeAll(async () => {
  const url = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: url })
  other = await startTestGateway({ DATABASE_URL: url, LOCK_TIMEOUT_SECS: '2' })
})
afterAll(async () => {
  await other.stop()
  await gateway.stop()
  await dropAdminDatabase(databaseUrlOf(gateway.server.database))
  for (const name of made) await asGateway('postgres', `drop database if exists "${name}"`)
})

const asGateway = (database: string, text: string) =>
  queryDatabase(database, text, { asGateway: true })

const asSuperuser = (database: string, text: string) =>
  queryDatabase(database, text, {
    asGateway: true,
    url: databaseUrlOf(database, inject('superuserUrl')),
  })

/** A database that no catalog has, made as the original makes them. */
async function make(name: string, ...sql: string[]): Promise<string> {
  await asGateway('postgres', `create database "${name}"`)
  made.push(name)
  for (const text of sql) await asGateway(name, text)
  return name
}

/** The ledger of an original, whose checksums are of the bytes. */
function ledger(table: string, files: Record<string, string> = MIGRATIONS): string {
  const rows = Object.entries(files).map(([path, text]) => {
    const checksum = createHash('sha256').update(text).digest('hex')
    return `('${path.replace('migrations/', '')}', '${checksum}')`
  })
  return `
    create table ${table} (id serial primary key, migration_file text not null unique,
      checksum text not null, applied_at timestamptz default now());
    insert into ${table} (migration_file, checksum) values ${rows.join(', ')};
  `
}

const adopt = (body: object, by = gateway) => by.post('/admin/adopt', body)

async function ownerOf(database: string): Promise<string> {
  const [row] = await asGateway(
    'postgres',
    `select pg_get_userbyid(datdba) as owner from pg_database where datname = '${database}'`,
  )
  return row.owner
}

describe('a database of the original', () => {
  test.each([['_db_gateway_migrations'], ['_stonescriptdb_gateway_migrations']])(
    'with %s is taken with its record: /register runs nothing again',
    async (table) => {
      const platform = uniqueName('ad')
      const database = await make(`${platform}_north`, SCHEMA, ledger(table))
      const body = { platform, tenant_id: 'north', database }
      const self = gateway.server.user
      const expected = {
        database,
        platform,
        tenant_id: 'north',
        ledger: table,
        migrations_recorded: ['001_people.pssql', '002_notes.pssql'],
        owner: { from: self, to: `gw_${platform}` },
        warnings: [],
      }

      const dry = await adopt({ ...body, dry_run: true })
      expect([dry.status, dry.body]).toMatchObject([200, { ...expected, status: 'dry_run' }])
      expect(dry.body.objects_handed_over).toBeGreaterThan(2)
      expect(await ownerOf(database)).toBe(self)
      const call = { platform, tenant_id: 'north', function: 'people_all' }
      expect((await other.post('/call', call)).status).toBe(404)

      const adopted = await adopt(body)
      expect([adopted.status, adopted.body]).toEqual([200, { ...dry.body, status: 'adopted' }])
      expect(await ownerOf(database)).toBe(`gw_${platform}`)
      // Of either gateway, before any deploy.
      for (const one of [gateway, other]) {
        expect((await one.post('/call', call)).body.rows).toEqual([{ id: 1, name: 'Ada' }])
      }

      const registered = await gateway.register(platform, await pack(FILES), 'north')
      expect([registered.status, registered.body]).toMatchObject([
        200,
        { status: 'ready', database, migrations_applied: 0 },
      ])
      expect((await other.post('/call', call)).body.rows).toEqual([{ id: 1, name: 'Ada' }])
      const later = { ...FILES, 'migrations/003_more.pssql': 'alter table notes add more text;' }
      const next = await gateway.register(platform, await pack(later), 'north')
      expect([next.status, next.body.migrations_applied]).toEqual([200, 1])

      const { entries } = (await gateway.get(`/admin/audit?platform=${platform}`)).body
      const audited = entries.filter(({ action }: { action: string }) => action === 'adopt')
      expect(audited).toMatchObject([
        { status: 200, databases: [database], summary: { database, ledger: table, migrations: 2 } },
        { status: 200, databases: [database], summary: { database, dry_run: true } },
      ])
      const listed = (await other.get(`/admin/databases?platform=${platform}`)).body
      expect(listed.databases).toMatchObject([{ name: database, tenant_id: 'north' }])
    },
  )

  test('of a schema and a uuid, or the main one, is named by them', async () => {
    const platform = uniqueName('ad')
    const hr = await make(
      `${platform}_hr_a1_b2`,
      SCHEMA,
      ledger('_stonescriptdb_gateway_migrations'),
    )
    const main = await make(`${platform}_main`, SCHEMA, ledger('_db_gateway_migrations'))
    const schema = { platform, schema_name: 'hr', uuid: 'a1-b2' }
    expect((await adopt({ ...schema, database: hr })).body).toMatchObject({
      status: 'adopted',
      tenant_id: 'a1_b2',
      schema_name: 'hr',
    })
    expect((await adopt({ platform, database: main })).body).toMatchObject({
      status: 'adopted',
      tenant_id: null,
    })
    const rows = [{ id: 1, name: 'Ada' }]
    for (const owner of [schema, { platform }]) {
      const call = { ...owner, function: 'people_all' }
      expect((await other.post('/call', call)).body.rows).toEqual(rows)
    }
  })
})

test('where platforms share the gateway’s role, the database stays with its owner', async () => {
  const shared = await startTestGateway({ ISOLATION: 'shared' })
  const platform = uniqueName('ad')
  try {
    const database = await make(`${platform}_main`, SCHEMA, ledger('_db_gateway_migrations'))
    const self = shared.server.user
    const { status, body } = await adopt({ platform, database }, shared)
    expect([status, body]).toMatchObject([
      200,
      { status: 'adopted', owner: { from: self, to: self }, objects_handed_over: 0 },
    ])
    expect((await shared.register(platform, await pack(FILES))).body.migrations_applied).toBe(0)
    const { rows } = (await shared.call(platform, 'people_all')).body
    expect(rows).toEqual([{ id: 1, name: 'Ada' }])
  } finally {
    await shared.stop()
  }
})

describe('a database without a ledger', () => {
  test('is taken with the migrations that are told to be in place', async () => {
    const platform = uniqueName('ad')
    const database = await make(`${platform}_main`, SCHEMA)
    const migrations = Object.keys(MIGRATIONS).map((path) => path.replace('migrations/', ''))
    const { status, body } = await adopt({ platform, database, migrations })
    expect([status, body]).toMatchObject([
      200,
      { ledger: null, migrations_recorded: migrations, warnings: [] },
    ])
    const registered = await gateway.register(platform, await pack(FILES))
    expect([registered.status, registered.body.migrations_applied]).toEqual([200, 0])
    // Nor has the seeder run again.
    expect((await gateway.call(platform, 'people_all')).body.rows).toEqual([{ id: 1, name: 'Ada' }])
    expect(registered.body.warnings.join()).toContain('seeders/people.pssql counts as run')
  })

  test('says that all of them will run where none is told', async () => {
    const platform = uniqueName('ad')
    const database = await make(`${platform}_main`, SCHEMA)
    const { body } = await adopt({ platform, database })
    expect(body.warnings).toEqual([expect.stringContaining('/register runs all of them')])
    const registered = await gateway.register(platform, await pack(FILES))
    expect([registered.status, registered.body.error]).toEqual([422, 'migration_failed'])
    const empty = await make(`${platform}_empty`)
    const taken = await adopt({ platform, tenant_id: 'empty', database: empty })
    expect([taken.status, taken.body.warnings]).toEqual([200, []])
  })

  test('migrations are names, and not for a database that has a record', async () => {
    const platform = uniqueName('ad')
    const database = await make(`${platform}_main`, ledger('_db_gateway_migrations'))
    const refused = await adopt({ platform, database, migrations: ['003.pssql'] })
    expect([refused.status, refused.body.message]).toEqual([
      400,
      `The member migrations is for a database without recorded migrations; ${database} records them in _db_gateway_migrations`,
    ])
    for (const migrations of ['001.pssql', [1], [''], { a: 1 }]) {
      const { status, body } = await adopt({ platform, database, migrations })
      expect([status, body.message]).toEqual([
        400,
        'migrations must be an array of names of files, such as "001_people.pssql"',
      ])
    }
  })
})

describe('is refused', () => {
  test('a database that is not there, or has another name than the owner’s', async () => {
    const platform = uniqueName('ad')
    const absent = await adopt({ platform, database: `${platform}_main` })
    expect([absent.status, absent.body]).toMatchObject([
      404,
      { error: 'database_not_found', database: `${platform}_main` },
    ])
    const database = await make(`${platform}x`)
    const { status, body } = await adopt({ platform, tenant_id: 'a', database })
    expect([status, body]).toMatchObject([
      400,
      {
        error: 'invalid_request',
        message: `Tenant a of platform ${platform} can only adopt a database named ${platform}_a, not ${database}`,
        hint: expect.stringContaining(`alter database "${database}" rename to "${platform}_a"`),
      },
    ])
  })

  test('one that the owner has, or another owner', async () => {
    const platform = uniqueName('ad')
    await gateway.post('/admin/create-tenant', { platform, tenant_id: 'a_b' })
    const database = `${platform}_a_b`
    const own = await adopt({ platform, tenant_id: 'a_b', database })
    expect([own.status, own.body.error]).toEqual([409, 'database_already_exists'])
    const spelled = await adopt({ platform, tenant_id: 'A_b', database })
    expect([spelled.status, spelled.body.error]).toEqual([409, 'name_conflict'])
    expect(spelled.body.message).toContain('(tenant_id is spelled "a_b")')
    const foreign = await adopt({ platform: `${platform}_a`, tenant_id: 'b', database })
    expect([foreign.status, foreign.body.error]).toEqual([409, 'name_conflict'])
    expect(foreign.body.message).toContain('is taken by another platform')
  })

  test('one of another gateway’s catalog', async () => {
    const foreign = await startTestGateway()
    const platform = uniqueName('ad')
    try {
      await foreign.register(platform, await pack(FILES))
      const { status, body } = await adopt({ platform, database: `${platform}_main` })
      expect([status, body.error]).toEqual([409, 'name_conflict'])
      expect(body.message).toContain('belongs to the catalog of another gateway')
      // To rename it is no way to have it.
      const another = await adopt({ platform, tenant_id: 'x', database: `${platform}_main` })
      expect([another.status, another.body.message]).toEqual([409, body.message])
    } finally {
      await foreign.stop()
    }
  })

  test('a template, a database for maintenance, and those of gateways', async () => {
    const platform = uniqueName('ad')
    const admin = await make(`${platform}_main`, 'create table _db_gateway_databases (x int)')
    const reasons = {
      template1: 'is a template',
      postgres: 'is the maintenance database',
      [gateway.server.database]: 'belongs to the gateway',
      [admin]: 'has the catalog of a gateway',
    }
    for (const [database, reason] of Object.entries(reasons)) {
      const { status, body } = await adopt({ platform, database })
      expect([status, body]).toMatchObject([
        409,
        {
          error: 'name_conflict',
          message: `Database ${database} ${reason} and cannot belong to a platform`,
        },
      ])
    }
  })

  test('one whose objects belong to somebody else, who is named', async (context) => {
    if (!inject('superuserUrl')) context.skip()
    const platform = uniqueName('ad')
    const database = await make(`${platform}_main`, SCHEMA)
    await asSuperuser(database, 'create table theirs (id int); alter table notes owner to postgres')
    for (const dry_run of [true, false]) {
      const { status, body } = await adopt({ platform, database, dry_run })
      expect([status, body.error]).toEqual([409, 'name_conflict'])
      expect(body.message).toContain('table public.theirs (postgres)')
      expect(body.message).toContain('table public.notes (postgres)')
      expect(body.hint).toContain('owner to')
    }
    expect(await ownerOf(database)).toBe(gateway.server.user)
    await asSuperuser(
      database,
      `alter table theirs owner to ${gateway.server.user}; alter table notes owner to ${gateway.server.user}`,
    )
    expect((await adopt({ platform, database })).status).toBe(200)
  })

  test('one that belongs to a role that the gateway’s may not act for', async (context) => {
    if (!inject('superuserUrl')) context.skip()
    const platform = uniqueName('ad')
    const database = await make(`${platform}_main`)
    await asSuperuser('postgres', `alter database ${database} owner to postgres`)
    const { status, body } = await adopt({ platform, database, dry_run: true })
    expect([status, body.error]).toEqual([409, 'name_conflict'])
    expect(body.hint).toContain(`alter database "${database}" owner to`)
    await asSuperuser('postgres', `alter database ${database} owner to ${gateway.server.user}`)
  })

  test('a member that there is not, and a database without a name', async () => {
    const unknown = await adopt({ platform: 'p', database: 'p_main', tenant: 'x' })
    expect(unknown.body.message).toContain('Unknown member "tenant"')
    const none = await adopt({ platform: 'p' })
    expect([none.status, none.body.message]).toEqual([400, 'database is missing'])
    const number = await adopt({ platform: 'p', database: 7 })
    expect([number.status, number.body.message]).toEqual([400, 'database must be a string; got 7'])
  })
})

test('A database of the original is not taken by a platform with a shorter name', async () => {
  const short = uniqueName('my')
  const long = `${short}_app`
  const database = await make(`${long}_main`, SCHEMA, ledger('_stonescriptdb_gateway_migrations'))
  for (const platform of [short, long]) await gateway.post('/platform/register', { platform })
  await store(gateway, short, 'app_main', FILES)
  const asked = { platform: short, schema_name: 'app_main' }
  const created = await other.post('/admin/database/create', asked)
  expect([created.status, created.body.error]).toEqual([422, 'database_name_collision'])
  expect(created.body.hint).toContain('/admin/adopt')
  const registered = await gateway.register(short, await pack(FILES), 'app_main')
  expect([registered.status, registered.body.error]).toEqual([409, 'name_conflict'])
  expect(await ownerOf(database)).toBe(gateway.server.user)
  const own = await gateway.register(long, await pack(FILES))
  expect([own.status, own.body.database]).toEqual([200, database])
})

describe('a database in use', () => {
  /** Has a lock on its table until the result is called. */
  async function holdIn(database: string): Promise<() => Promise<void>> {
    const sql = connectTo(database)
    await sql`set application_name = 'the original'`
    await sql`begin`
    await sql`select * from people`
    const release = () => sql.end()
    afterTest(release)
    return release
  }

  test('is tried again until it is free', async () => {
    const platform = uniqueName('ad')
    const database = await make(`${platform}_north`, SCHEMA)
    const release = await holdIn(database)
    const asked = adopt({ platform, tenant_id: 'north', database })
    const tries = new Set<number>()
    await eventually('a second try', async () => {
      for (const pid of await waitingIn(database)) tries.add(pid)
      return tries.size > 1 || undefined
    })
    await release()
    expect(await asked).toMatchObject({ status: 200, body: { status: 'adopted' } })
    expect(await ownerOf(database)).toBe(`gw_${platform}`)
  })

  test('is 503 where it stays in use, and the answer names the sessions', async () => {
    const platform = uniqueName('ad')
    const database = await make(`${platform}_north`, SCHEMA)
    await holdIn(database)
    const { status, headers, body } = await adopt({ platform, tenant_id: 'north', database }, other)
    expect({ status, body }).toMatchObject({
      status: 503,
      body: {
        error: 'database_in_use',
        message: expect.stringContaining('(the original)'),
        database,
        sessions: [{ pid: expect.any(Number), application: 'the original' }],
      },
    })
    expect(headers.get('retry-after')).toBe('1')
    expect(await ownerOf(database)).toBe(gateway.server.user)
  })

  /** Sessions that wait for a lock there. */
  async function waitingIn(database: string): Promise<number[]> {
    const rows = await asSuperuser(
      'postgres',
      `select pid from pg_stat_activity
       where datname = '${database}' and wait_event_type = 'Lock'`,
    )
    return rows.map(({ pid }) => Number(pid))
  }
})
