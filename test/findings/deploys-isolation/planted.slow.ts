import { describe, expect, test } from 'vitest'
import { queryDatabase, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

import { adminUrl, cleanups, ownerOf, query, shareThenHandOver, start, WHO, who } from './setup.ts'

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
