import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { Secret } from '../../lib/tenancy/secrets/secret.ts'
import { connectAs } from '../helpers/attacker.ts'
import {
  createAdminDatabase,
  databaseUrlOf,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const WHO = {
  'functions/who.sql': `create function who() returns text language sql as 'select current_user::text'`,
}
const OTHER_SECRET = 'another secret of the tests, as long'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** As the role of the test server that the gateways are, or as another one. */
const query = (database: string, text: string, url = inject('databaseUrl')) =>
  queryDatabase(database, text, { asGateway: true, url })

async function start(env: Record<string, string>): Promise<TestGateway> {
  const gateway = await startTestGateway(env)
  let isStopped = false
  const stop = async () => {
    if (!isStopped) await gateway.stop()
    isStopped = true
  }
  cleanups.push(stop)
  return { ...gateway, stop }
}

async function adminUrl(server?: string): Promise<string> {
  const url = await createAdminDatabase(server)
  cleanups.push(() => dropAdminDatabase(url))
  return url
}

/** A role of its own that may do what these words say. */
async function createRole(
  rights: string,
): Promise<{ role: string; urlOf: (database: string) => string }> {
  const role = uniqueName('role')
  await query(
    'postgres',
    `create role ${role} login ${rights} password 'plain'; grant ${role} to current_user`,
  )
  cleanups.push(() => query('postgres', `drop role ${role}`))
  return {
    role,
    urlOf: (database) => databaseUrlOf(database).replace(/\/\/[^@]*@/, `//${role}:plain@`),
  }
}

const failure = (env: Record<string, string>): Promise<string> =>
  startTestGateway(env).then(
    async (gateway) => {
      await gateway.stop()
      return 'started'
    },
    (error: Error) => error.message,
  )

const who = async (gateway: TestGateway, platform: string) =>
  (await gateway.call(platform, 'who')).body.rows?.[0].who

describe('F1: platforms have roles of their own unless somebody asks otherwise', () => {
  test('without a secret in the settings: one is made up, once for all gateways, and nobody else reads it', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    const reader = uniqueName('reader')
    await query('postgres', `create role ${reader}; grant ${reader} to current_user`)
    cleanups.push(() => query('postgres', `drop role ${reader}`))
    cleanups.push(() => query(database, `drop owned by ${reader}`))
    await query(database, `alter default privileges grant all on tables to public, ${reader}`)
    const platform = uniqueName('p')
    const env = { DATABASE_URL: url, GATEWAY_SECRET: '' }
    const [one, two] = await Promise.all([start(env), start(env)])

    expect((await one.get('/health')).body.isolation).toBe('platform-roles')
    expect((await one.register(platform, await pack(WHO))).status).toBe(200)
    expect(await who(one, platform)).toBe(`gw_${platform}`)
    expect(await who(two, platform)).toBe(`gw_${platform}`)
    const [row] = await query(
      database,
      `select count(distinct secret)::int as n,
         has_table_privilege('${reader}', '_db_gateway_secret', 'select') as reads,
         (select relacl::text from pg_class where relname = '_db_gateway_secret') as acl
       from _db_gateway_secret`,
    )
    expect(row).toMatchObject({ n: 1, reads: false })
    const later = await start(env)
    expect(await who(later, platform)).toBe(`gw_${platform}`)
  })

  test('a role without CREATEROLE does not start, and is told what to grant', async () => {
    const { role, urlOf } = await createRole('createdb')
    const admin = uniqueName('admin')
    await query('postgres', `create database ${admin} owner ${role}`)
    cleanups.push(() => query('postgres', `drop database ${admin}`))

    const message = await failure({ DATABASE_URL: urlOf(admin) })
    expect(message).toContain(`alter role ${role} createrole`.replace(role, `"${role}"`))
    expect(message).toContain('ISOLATION=shared')
    const shared = await start({ DATABASE_URL: urlOf(admin), ISOLATION: 'shared' })
    expect((await shared.get('/health')).body.isolation).toBe('shared-role')
  })
})

describe('F3: who may connect where', () => {
  test('a platform gets into no database that the gateway’s role owns but its own', async () => {
    const url = await adminUrl()
    const other = uniqueName('other')
    await query('postgres', `create database ${other}`)
    cleanups.push(() => query('postgres', `drop database ${other} with (force)`))
    const gateway = await start({ DATABASE_URL: url })
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(WHO))
    for (const database of [other, parseDatabaseUrl(url).database]) {
      const sql = connectAs(platform, database, url)
      const refused: Json = await sql`select 1`.then(String, (error) => error)
      await sql.end()
      expect(refused.code, database).toBe('42501')
    }
    const warnings = gateway.logged.filter(({ level }) => level === 'warn')
    expect(warnings).toContainEqual(
      expect.objectContaining({
        message: expect.stringMatching(
          /revoke connect on database "postgres" from public; .*revoke connect on database "template1" from public;/,
        ),
      }),
    )
  })
})

describe('F6: a catalog has one secret', () => {
  test('a gateway with another one does not start, and takes nobody’s password', async () => {
    const url = await adminUrl()
    const platform = uniqueName('p')
    const gateway = await start({ DATABASE_URL: url })
    await gateway.register(platform, await pack(WHO))
    const password = () =>
      inject('superuserUrl') &&
      query(
        'postgres',
        `select rolpassword from pg_authid where rolname = 'gw_${platform}'`,
        inject('superuserUrl'),
      )
    const before = await password()

    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: OTHER_SECRET })).toMatch(
      /^GATEWAY_SECRET is not the secret of this catalog: .*GATEWAY_SECRET_PREVIOUS/,
    )
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: '' })).toMatch(
      /^GATEWAY_SECRET is not set, but the catalog uses a secret/,
    )
    expect(await password()).toEqual(before)
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
  })

  test('a catalog of before takes the secret that its roles go by, and no other', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    const platform = uniqueName('p')
    const first = await start({ DATABASE_URL: url })
    await first.register(platform, await pack(WHO))
    await first.stop()
    const asBefore = async () => {
      const fingerprint = new Secret(TEST_SECRET).fingerprint
      await query(database, 'drop table if exists _db_gateway_catalog, _db_gateway_secret')
      await query(
        database,
        `comment on role "gw_${platform}" is 'Database Gateway, ${fingerprint}'`,
      )
    }
    await asBefore()
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: OTHER_SECRET })).toMatch(
      /not the secret/,
    )
    await asBefore()
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: '' })).toMatch(/not set/)
    await asBefore()
    const again = await start({ DATABASE_URL: url })
    expect(await who(again, platform)).toBe(`gw_${platform}`)
    const { body } = await again.register(
      platform,
      await pack({ ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }),
    )
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
  })

  test('it is changed while gateways with either run, without a failed call', async () => {
    const url = await adminUrl()
    const platforms = [uniqueName('p'), uniqueName('p')]
    // A connection of its own for each call: each logs in anew.
    const env = { DATABASE_URL: url, POOL_MAX_LIFETIME_SECS: '1', POOL_IDLE_TIMEOUT_SECS: '1' }
    const old = await start(env)
    for (const platform of platforms) await old.register(platform, await pack(WHO))
    const next = { ...env, GATEWAY_SECRET: OTHER_SECRET, GATEWAY_SECRET_PREVIOUS: TEST_SECRET }
    const one = await start(next)
    const two = await start(next)
    const failures: Json[] = []
    let isOver = false
    let running = [old, one, two]
    const load = Promise.all(
      platforms.map(async (platform) => {
        while (!isOver) {
          for (const gateway of running) {
            const answer = await gateway.call(platform, 'who')
            if (answer.status !== 200) failures.push(answer.body)
          }
          await sleep(100)
        }
      }),
    )
    const later = uniqueName('p')
    expect((await one.register(later, await pack(WHO))).status).toBe(200)
    expect(await who(old, later), 'the old secret is in force').toBe(`gw_${later}`)

    running = [one, two]
    await sleep(500)
    await old.stop()
    const fingerprint = async () =>
      (
        await query(
          parseDatabaseUrl(url).database,
          'select secret_fingerprint as f from _db_gateway_catalog',
        )
      )[0].f
    await expect
      .poll(fingerprint, { timeout: 60_000, interval: 200 })
      .toBe(new Secret(OTHER_SECRET).fingerprint)
    await sleep(3000)
    for (const gateway of [one, two]) {
      const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
      const { body } = await gateway.register(platforms[0]!, await pack(files))
      expect(body).toMatchObject({ status: 'ready' })
      expect((await gateway.register(uniqueName('p'), await pack(WHO))).status).toBe(200)
    }
    isOver = true
    await load
    expect(failures).toEqual([])

    expect(await failure(env)).toMatch(/not the secret/)
    const last = await start({ ...env, GATEWAY_SECRET: OTHER_SECRET })
    for (const platform of [...platforms, later])
      expect(await who(last, platform)).toBe(`gw_${platform}`)
    const files = { ...WHO, 'migrations/0001_u.sql': 'create table u (id int)' }
    expect((await last.register(later, await pack(files))).body).toMatchObject({ status: 'ready' })
  })

  test('one that was made up gives way to one in the settings', async () => {
    const url = await adminUrl()
    const platform = uniqueName('p')
    const made = await start({ DATABASE_URL: url, GATEWAY_SECRET: '' })
    await made.register(platform, await pack(WHO))
    await made.stop()
    const given = await start({ DATABASE_URL: url })
    const stored = () =>
      query(parseDatabaseUrl(url).database, 'select secret from _db_gateway_secret')
    await expect
      .poll(async () => (await stored()).length, { timeout: 60_000, interval: 200 })
      .toBe(0)
    expect(await who(given, platform)).toBe(`gw_${platform}`)
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: '' })).toMatch(/not set/)
  })

  test('a copy of a catalog beside it is told from it', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    const first = await start({ DATABASE_URL: url })
    await first.stop()
    const copy = uniqueName('copy')
    await query('postgres', `create database ${copy} template ${database}`)
    cleanups.push(() => query('postgres', `drop database if exists ${copy}`))
    const copied = { DATABASE_URL: databaseUrlOf(copy) }
    expect(await failure(copied)).toContain(
      `The catalog is a copy of the one in the database ${database} on the same server`,
    )
    await query('postgres', `alter database ${database} rename to ${database}_x`)
    expect(await failure({ DATABASE_URL: databaseUrlOf(`${database}_x`) })).toBe('started')
    await query('postgres', `alter database ${database}_x rename to ${database}`)
    await query(copy, 'update _db_gateway_catalog set home = null')
    expect(await failure(copied)).toBe('started')
  })

  test('two catalogs on one server never touch each other’s roles', async () => {
    const [one, two] = [
      await start({ DATABASE_URL: await adminUrl() }),
      await start({ DATABASE_URL: await adminUrl() }),
    ]
    const platform = uniqueName('p')
    expect((await one.register(platform, await pack(WHO), 'a')).status).toBe(200)
    const { status, body } = await two.register(platform, await pack(WHO), 'b')
    expect([status, body.error]).toEqual([409, 'name_conflict'])
    expect(body.message).toContain(
      `gw_${platform} on the server that belongs to the catalog of another gateway`,
    )
    expect((await one.call(platform, 'who', {}, 'a')).status).toBe(200)
  })
})

describe('F7: a role with CREATEDB and CREATEROLE, and …/postgres', () => {
  test('the gateway makes a database of its own for the catalog', async () => {
    const { role, urlOf } = await createRole('createdb createrole')
    const env = { DATABASE_URL: urlOf('postgres'), GATEWAY_SECRET: '' }
    const platform = uniqueName('p')
    cleanups.push(async () => {
      for (const database of [`${platform}_main`, 'db_gateway']) {
        await query('postgres', `drop database if exists ${database}`, urlOf('postgres'))
      }
      await query('postgres', `drop role if exists "gw_${platform}"`, urlOf('postgres'))
    })
    const gateways = await Promise.all([start(env), start(env)])
    expect(gateways[0]!.gateway.server.database).toBe('db_gateway')
    expect((await gateways[0]!.register(platform, await pack(WHO))).status).toBe(200)
    expect(await who(gateways[1]!, platform)).toBe(`gw_${platform}`)
    const [row] = await query(
      'postgres',
      `select pg_get_userbyid(datdba) as owner, datacl::text as acl from pg_database where datname = 'db_gateway'`,
    )
    expect(row.owner).toBe(role)
    expect(row.acl).not.toMatch(/[{,]=[^/]*c/)
    const again = await start(env)
    expect(await who(again, platform)).toBe(`gw_${platform}`)
  })

  test('a database where it may not create tables is told with the grant that is missing', async () => {
    const { role, urlOf } = await createRole('createdb createrole')
    const foreign = uniqueName('foreign')
    await query('postgres', `create database ${foreign}`)
    cleanups.push(() => query('postgres', `drop database ${foreign}`))
    await query('postgres', `grant connect on database ${foreign} to ${role}`)
    expect(await failure({ DATABASE_URL: urlOf(foreign) })).toContain(
      `grant create on schema public to "${role}"`,
    )
  })
})

describe('C12: new databases', () => {
  test('are made while a session is held in template1', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const server = parseDatabaseUrl(inject('databaseUrl'))
    const holder = postgres({ ...server, database: 'template1', max: 1 })
    cleanups.push(() => holder.end())
    await holder`select 1`
    const started = performance.now()
    const { status } = await gateway.register(uniqueName('p'), await pack(WHO))
    expect(status).toBe(200)
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test('come from BASE_TEMPLATE, and a start names one that is not there', async () => {
    const base = uniqueName('base')
    await query('postgres', `create database ${base}`)
    cleanups.push(() => query('postgres', `drop database ${base}`))
    await query(base, 'create table public.from_base ()')
    const url = await adminUrl()
    const gateway = await start({ DATABASE_URL: url, BASE_TEMPLATE: base })
    const platform = uniqueName('p')
    expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    expect(
      await query(`${platform}_main`, `select to_regclass('public.from_base')::text as t`),
    ).toMatchObject([{ t: 'from_base' }])
    expect(await failure({ DATABASE_URL: url, BASE_TEMPLATE: 'no such' })).toBe(
      'BASE_TEMPLATE: the database no such does not exist',
    )
  })
})

describe('an older gateway', () => {
  test('does not start on a newer catalog, and changes nothing of it', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    await (await start({ DATABASE_URL: url })).stop()
    await query(database, 'update _db_gateway_catalog set version = 1000')
    expect(await failure({ DATABASE_URL: url })).toMatch(
      /^The catalog has version 1000, set by a newer gateway; this gateway supports up to version \d+/,
    )
    expect(await query(database, 'select version from _db_gateway_catalog')).toMatchObject([
      { version: 1000 },
    ])
  })
})

/** Two gateways, one after the other, on the same catalog. */
async function shareThenHandOver(
  plant: (database: string) => Promise<unknown>,
): Promise<{ answer: Json; database: string; gateway: TestGateway; platform: string }> {
  const url = await adminUrl()
  const platform = uniqueName('p')
  const database = `${platform}_main`
  const files: Record<string, string> = {
    ...WHO,
    'migrations/0001_t.sql': 'create table t (id int); insert into t values (1)',
  }
  const shared = await start({ DATABASE_URL: url, ISOLATION: 'shared' })
  expect((await shared.register(platform, await pack(files))).status).toBe(200)
  await plant(database)
  await shared.stop()
  const gateway = await start({ DATABASE_URL: url })
  files['migrations/0002_u.sql'] = 'create table u (id int)'
  const answer = await gateway.register(platform, await pack(files))
  return { answer, database, gateway, platform }
}

describe('F2: what a platform planted while it shared the gateway’s role', () => {
  test.each([
    [
      '_db_gateway.backdoor()',
      `create function _db_gateway.backdoor() returns text language sql security definer
       as 'select current_user::text'`,
    ],
    [
      'trigger trap on public._db_gateway_deployments',
      `create function trap() returns trigger language plpgsql security definer
         as $$ begin return new; end $$;
       create trigger trap before insert on _db_gateway_deployments
         for each row execute function trap()`,
    ],
    [
      'trigger late on public._db_gateway_migrations',
      `create function late() returns trigger language plpgsql as $$ begin return null; end $$;
       create constraint trigger late after insert on _db_gateway_migrations
         deferrable initially deferred for each row execute function late()`,
    ],
    [
      'rule also on public._db_gateway_files',
      'create rule also as on insert to _db_gateway_files do also delete from t',
    ],
    [
      'row level security of public._db_gateway_files',
      'alter table _db_gateway_files enable row level security, force row level security',
    ],
    [
      'inheritance of public._db_gateway_files',
      'create table child () inherits (_db_gateway_files)',
    ],
    [
      'foreign key r_name_fkey of public.r',
      'create table r (name text references _db_gateway_migrations (migration_file))',
    ],
    ['view public.v', 'create view v as select * from _db_gateway_migrations'],
    ['_db_gateway.hidden', 'create table _db_gateway.hidden (id int)'],
  ])('%s: the handover is refused and names it, until it is dropped', async (what, plant) => {
    const { answer, database, platform, gateway } = await shareThenHandOver((name) =>
      query(name, plant),
    )
    expect([answer.status, answer.body.error], JSON.stringify(answer.body)).toEqual([
      409,
      'name_conflict',
    ])
    expect(answer.body.message).toContain(what)
    expect(await query('postgres', ownerOf(database))).toMatchObject([
      { owner: gateway.server.user },
    ])
    expect(platform).toBeTruthy()
  })

  test('the ledger is made anew: other bodies, rights and default privileges do not stay, its rows do', async () => {
    const other = uniqueName('other')
    await query('postgres', `create role ${other}; grant ${other} to current_user`)
    cleanups.push(() => query('postgres', `drop role ${other}`))
    const { answer, database, gateway, platform } = await shareThenHandOver(async (name) => {
      cleanups.push(() => query(name, `drop owned by ${other}`))
      await query(
        name,
        `create or replace function _db_gateway.write(the_key text, next_digest text, changes jsonb)
           returns void language sql security definer as 'create table pwned (who text)';
         grant all on all tables in schema public to ${other}, public;
         grant all on schema _db_gateway to ${other};
         alter default privileges grant all on tables to ${other}, public;
         alter default privileges grant all on functions to ${other};
         update _db_gateway.key set number = -1000`,
      )
    })
    expect(answer.body, JSON.stringify(answer.body)).toMatchObject({
      status: 'ready',
      migrations_applied: 1,
    })
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
    expect(await query(database, `select to_regclass('public.pwned') as found`)).toMatchObject([
      { found: null },
    ])
    expect(
      await query(
        database,
        `select migration_file, status from public._db_gateway_migrations order by id`,
      ),
    ).toMatchObject([
      { migration_file: '0001_t.sql', status: 'applied' },
      { migration_file: '0002_u.sql', status: 'applied' },
    ])
    const [rights] = await query(
      database,
      `select has_table_privilege('${other}', 'public._db_gateway_migrations', 'insert, update, delete, trigger') as writes,
         has_table_privilege('public', 'public._db_gateway_migrations', 'select') as public_reads,
         has_schema_privilege('${other}', '_db_gateway', 'usage') as enters,
         has_table_privilege('${other}', '_db_gateway.key', 'select') as reads_key,
         (select number > 1000000000 from _db_gateway.key) as counts_on`,
    )
    expect(rights).toEqual({
      writes: false,
      public_reads: false,
      enters: false,
      reads_key: false,
      counts_on: true,
    })
    const more = await pack({
      ...WHO,
      'migrations/0001_t.sql': 'create table t (id int); insert into t values (1)',
      'migrations/0002_u.sql': 'create table u (id int)',
      'migrations/0003_v.sql': 'create table v (id int)',
    })
    expect((await gateway.register(platform, more)).body).toMatchObject({
      status: 'ready',
      migrations_applied: 1,
    })
  })
})

test('F2: a backdoor that an earlier handover has left is found, and a view of the ledger is none', async () => {
  const gateway = await start({ DATABASE_URL: await adminUrl() })
  const platform = uniqueName('p')
  const database = `${platform}_main`
  await gateway.register(platform, await pack(WHO))
  await queryDatabase(database, 'create view applied as select * from _db_gateway_migrations')
  await query(
    database,
    `comment on schema _db_gateway is null;
     create function _db_gateway.backdoor() returns text language sql security definer
       as 'select current_user::text'`,
  )
  const refused = await gateway.register(platform, await pack(WHO))
  expect([refused.status, refused.body.error]).toEqual([409, 'name_conflict'])
  expect(refused.body.message).toContain('function _db_gateway.backdoor()')
  await query(database, 'drop function _db_gateway.backdoor()')
  const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
  expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
    status: 'ready',
    migrations_applied: 1,
  })
  expect(await queryDatabase(database, 'select * from applied')).toHaveLength(1)
})

test('F2: a ledger of the first version is taken over by a handover, too', async () => {
  const url = await adminUrl()
  const platform = uniqueName('p')
  const database = `${platform}_main`
  const files = {
    ...WHO,
    'types/mood.sql': `create type mood as enum ('good')`,
    'migrations/0001_t.sql': 'create table t (id int)',
    'seeders/t.sql': 'insert into t values (1)',
  }
  const shared = await start({ DATABASE_URL: url, ISOLATION: 'shared' })
  expect((await shared.register(platform, await pack(files))).status).toBe(200)
  await shared.stop()
  await query(
    database,
    `create table old as select section, name as file, checksum from _db_gateway_files;
     drop view _db_gateway_seeders;
     drop table _db_gateway_files;
     drop schema _db_gateway cascade;
     create table _db_gateway_types as select file, checksum, now() as deployed_at from old where section = 'types';
     create table _db_gateway_functions as select file, checksum, '{public.who()}'::text[] as functions from old where section = 'functions';
     create table _db_gateway_views (file text primary key, checksum text, views text[]);
     create table _db_gateway_seeders as select file, checksum, now() as applied_at from old where section = 'seeders';
     drop table old;
     create schema _db_gateway;
     create table _db_gateway.key (is_only boolean primary key default true, digest bytea not null);
     insert into _db_gateway.key (digest) values ('');
     create function _db_gateway.accepts(the_key text, the_version integer) returns boolean
       language sql security definer as 'select true';
     create function _db_gateway.write(the_key text, kind text, rows jsonb) returns void
       language sql security definer as ''`,
  )
  const gateway = await start({ DATABASE_URL: url })
  const more = { ...files, 'migrations/0002_u.sql': 'create table u (id int)' }
  const { body } = await gateway.register(platform, await pack(more))
  expect(body, JSON.stringify(body)).toMatchObject({
    status: 'ready',
    migrations_applied: 1,
    functions_changed: 0,
    seeders_applied: 0,
  })
  expect(
    await query(
      database,
      `select relname from pg_class where relname like '%\\_old%' or relname = '_db_gateway_types'
       union all select nspname from pg_namespace where nspname like '%\\_old%'`,
    ),
  ).toHaveLength(0)
})

const ownerOf = (database: string) =>
  `select pg_get_userbyid(datdba) as owner, datacl::text as acl
   from pg_database where datname = '${database}'`

describe('F5: databases that the catalog does not know', () => {
  test('one of another gateway’s catalog is not adopted', async () => {
    const [one, two] = [
      await start({ DATABASE_URL: await adminUrl() }),
      await start({ DATABASE_URL: await adminUrl() }),
    ]
    const platform = uniqueName('p')
    const archive = await pack(WHO)
    expect((await one.register(platform, archive)).status).toBe(200)
    const { status, body } = await two.register(platform, archive)
    expect([status, body.error]).toEqual([409, 'name_conflict'])
    expect(body.message).toBe(`Database ${platform}_main belongs to the catalog of another gateway`)
    expect((await one.register(platform, archive)).status).toBe(200)
    expect(await who(one, platform)).toBe(`gw_${platform}`)
  })

  test('nor where both share the gateway’s role', async () => {
    const env = { ISOLATION: 'shared' }
    const [one, two] = [
      await start({ ...env, DATABASE_URL: await adminUrl() }),
      await start({ ...env, DATABASE_URL: await adminUrl() }),
    ]
    const platform = uniqueName('p')
    const archive = await pack(WHO)
    expect((await one.register(platform, archive)).status).toBe(200)
    expect((await two.register(platform, archive)).body).toMatchObject({ error: 'name_conflict' })
  })

  test('one whose catalog is no more is adopted once its owner says so', async () => {
    const lost = await adminUrl()
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const before = await start({ DATABASE_URL: lost })
    const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
    await before.register(platform, await pack(files))
    await before.stop()
    await query(parseDatabaseUrl(lost).database, 'delete from _db_gateway_databases')
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const refused = await gateway.register(platform, await pack(files))
    expect(refused.body.hint).toContain('comment on schema _db_gateway is null')
    await query(database, 'comment on schema _db_gateway is null')
    await query('postgres', `comment on role "gw_${platform}" is 'Database Gateway'`)
    const { body } = await gateway.register(platform, await pack(files))
    expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 0 })
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
  })
})

describe('C11: databases of the newer original gateways', () => {
  test('are taken over: what they recorded as applied does not run again', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    await query('postgres', `create database ${database} template template0`)
    await query(
      database,
      `create table _stonescriptdb_gateway_migrations (
         id serial primary key, migration_file text not null unique, checksum text not null,
         applied_at timestamptz default now());
       create table _stonescriptdb_gateway_functions (id serial primary key, name text);
       create table t (id int);
       insert into t values (1);
       insert into _stonescriptdb_gateway_migrations (migration_file, checksum)
       values ('0001_t.sql', 'of the text without comments')`,
    )
    const files = {
      ...WHO,
      'migrations/0001_t.sql': 'create table t (id int);',
      'migrations/0002_u.sql': 'create table u (id int);',
    }
    const { body } = await gateway.register(platform, await pack(files))
    expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 1 })
    expect(
      await query(database, 'select * from public._stonescriptdb_gateway_migrations'),
    ).toHaveLength(1)
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
  })
})

describe('F8: a restored database', () => {
  test.each(['an unchanged /register', 'a deploy'])('is mended by %s', async (how) => {
    const url = await adminUrl()
    const gateway = await start({ DATABASE_URL: url })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const files: Record<string, string> = {
      ...WHO,
      'migrations/0001_t.sql': 'create table t (id int)',
    }
    await gateway.register(platform, await pack(files))
    // As pg_restore --no-owner does it, as the gateway's role.
    await query('postgres', `alter database ${database} owner to current_user`)
    await query('postgres', `grant connect, temporary on database ${database} to public`)
    await query(database, 'alter table public.t owner to current_user')
    await query(database, 'alter function public.who() owner to current_user')
    if (how === 'a deploy') files['migrations/0002_u.sql'] = 'create table u (id int)'
    expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
      status: 'ready',
    })
    const [row] = await query('postgres', ownerOf(database))
    expect(row).toEqual({
      owner: `gw_${platform}`,
      acl: `{"gw_${platform}=CTc/gw_${platform}"}`.replaceAll('"', ''),
    })
    expect(
      await query(
        database,
        `select relowner::regrole::text as owner from pg_class where relname = 't'`,
      ),
    ).toMatchObject([{ owner: `gw_${platform}` }])
  })

  test('tables that are left to the gateway’s role are mended by a deploy, wherever the rest is right', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
    await gateway.register(platform, await pack(files))
    await query(database, 'alter table public.t owner to current_user')
    const more = { ...files, 'migrations/0002_u.sql': 'alter table t add column u int' }
    expect((await gateway.register(platform, await pack(more))).body).toMatchObject({
      status: 'ready',
      migrations_applied: 1,
    })
  })

  test('the rights of PUBLIC alone are mended, too', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(WHO))
    await query('postgres', `grant connect on database ${platform}_main to public`)
    expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    const [row] = await query('postgres', ownerOf(`${platform}_main`))
    expect(row.acl).toBe(`{gw_${platform}=CTc/gw_${platform}}`)
  })

  test.runIf(inject('superuserUrl'))('one of a superuser is told with what to run', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    await gateway.register(platform, await pack(WHO))
    const asSuperuser = (text: string) => query('postgres', text, inject('superuserUrl'))
    await asSuperuser(`alter database ${database} owner to postgres`)
    const refused = await gateway.register(platform, await pack(WHO))
    expect([refused.status, refused.body.error]).toEqual([409, 'name_conflict'])
    const [statement] = /alter database [^,]* owner to "\w+"/.exec(refused.body.hint)!
    await asSuperuser(statement!)
    expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    expect(await query('postgres', ownerOf(database))).toMatchObject([{ owner: `gw_${platform}` }])
  })

  test.runIf(inject('superuserUrl'))(
    'one of a superuser is mended by a gateway that is one',
    async () => {
      const url = await adminUrl(inject('superuserUrl')!)
      const gateway = await start({ DATABASE_URL: url })
      const platform = uniqueName('p')
      const database = `${platform}_main`
      await gateway.register(
        platform,
        await pack({ ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }),
      )
      const root = uniqueName('root')
      const asSuperuser = (where: string, text: string) =>
        query(where, text, inject('superuserUrl'))
      await asSuperuser('postgres', `create role ${root} superuser`)
      cleanups.splice(-2, 0, () => asSuperuser('postgres', `drop role ${root}`))
      await asSuperuser('postgres', `alter database ${database} owner to ${root}`)
      for (const what of [
        'table public.t',
        'function public.who()',
        'table public._db_gateway_migrations',
        'table public._db_gateway_files',
        'schema _db_gateway',
        'table _db_gateway.key',
        'function _db_gateway.state()',
      ]) {
        await asSuperuser(database, `alter ${what} owner to ${root}`)
      }
      const files = {
        ...WHO,
        'migrations/0001_t.sql': 'create table t (id int)',
        'migrations/0002_u.sql': 'create table u (id int)',
      }
      const { body } = await gateway.register(platform, await pack(files))
      expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 1 })
      const owned = await asSuperuser(
        database,
        `select relname from pg_class where relowner = '${root}'::regrole
       union all select proname from pg_proc where proowner = '${root}'::regrole`,
      )
      expect(owned).toHaveLength(0)
    },
  )
})
