import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  becomePlatform,
  connectTo,
  queryDatabase,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { lossesOf, newPlatform, next, type Platform } from '../helpers/loss.ts'
import { type Files, pack } from '../helpers/platforms.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '5' })
})
afterAll(() => gateway.stop())

const BASE: Files = {
  'migrations/001_base.sql': `
    create table t (id int, d text);
    insert into t select i, i::text from generate_series(1, 5) i;
    create table log (n int);
    create table cleared (n int);
    create table ruled (n int);
    create rule clear as on insert to ruled do also delete from t;
    create function clear() returns trigger language plpgsql as $$ begin truncate t; return new; end $$;
    create trigger clear after insert on cleared for each row execute function clear();
    create function purge() returns int language plpgsql as $$ begin delete from t; return 1; end $$;
    create procedure purge_all() language plpgsql as $$ begin delete from t; commit; end $$;
    create procedure run(text text) language plpgsql as $$ begin execute text; commit; end $$;
    create collation co from "C";
    create table worded (a int, b text collate co);
    insert into worded values (1, 'x');
    create table expiring (id int primary key);
    insert into expiring values (1);
    create table child (id int references expiring on delete cascade);
    insert into child values (1);
    create table part (d int) partition by range (d);
    create table part_1 partition of part for values from (0) to (10);
    create table part_2 partition of part default;
    insert into part values (1), (50);
  `,
}

const GONE = [['rows_deleted', 't', null, 5]]
const OUTSIDE = '-- gateway: no-transaction\n'

describe('rows that anything deletes are asked about', () => {
  let platform: Platform
  beforeAll(async () => {
    platform = await newPlatform(gateway, BASE)
  })

  test.each([
    'prepare p as delete from t; execute p;',
    'explain analyze delete from t;',
    'create table x as with d as (delete from t returning *) select * from d;',
    'insert into log select purge();',
    'select purge() union all select 1;',
    'select purge() from (values (1)) v;',
    'with a as materialized (select purge()) select * from a;',
    'insert into ruled values (1);',
    'delete from t where 1 = 1;',
  ])('%s', async (text) => {
    expect(lossesOf(await platform.deploy(next(text)))).toEqual(GONE)
    expect(await queryDatabase(platform.database, 'select from t')).toHaveLength(5)
  })

  test.each([
    ['know of no row', 'b', 'select 1'],
    ['know of one that came and went', 'c', 'insert into t values (9); delete from t where id = 9'],
  ])('a trigger that truncates, in a copy, whose statistics %s', async (_, to, change) => {
    const { name } = platform
    await gateway.register(name, await pack(BASE), 'a')
    const body = { platform: name, tenant_id: 'a', to }
    expect(await gateway.post('/admin/clone-tenant', body)).toMatchObject({ status: 201 })
    await queryDatabase(`${name}_${to}`, change)
    const files = { ...BASE, ...next('insert into cleared values (1);') }
    const answer = await gateway.register(name, await pack(files), to)
    expect(lossesOf(answer)).toEqual([['table_truncated', 't', null, null]])
    expect(await queryDatabase(`${name}_${to}`, 'select from t')).toHaveLength(5)
  })

  test('a trigger that truncates', async () => {
    const answer = await platform.deploy(next('insert into cleared values (1);'))
    expect(lossesOf(answer)).toEqual([['table_truncated', 't', null, null]])
  })

  test.each([
    'delete from expiring where id < 7;',
    'do $$ begin delete from expiring where id < 7; end $$;',
    'delete from part where d < 10;',
    'update part set d = 11 where d = 1;',
    'alter table worded alter column a type text; alter table worded add column c float default random();',
    "do $$ begin insert into log values (1); execute 'delete from log'; end $$;",
  ])('a condition says which rows go: %s', async (text) => {
    const { body } = await platform.deploy(next(text), { dry_run: 'true' })
    expect(body).toMatchObject({ status: 'dry_run' })
  })

  test('it may lose them where the file says so', async () => {
    const { deploy } = await newPlatform(gateway, BASE)
    const text = '-- gateway: allow-data-loss\ninsert into cleared values (1);'
    expect((await deploy(next(text))).body).toMatchObject({ status: 'ready' })
  })
})

describe('outside of a transaction too', () => {
  let platform: Platform
  beforeAll(async () => {
    platform = await newPlatform(gateway, BASE)
  })

  test.each([
    ['do $$ begin truncate t; end $$;', [['table_truncated', 't', null, 5]]],
    ['select purge();', GONE],
    ['insert into log select purge();', GONE],
    ['call purge_all();', GONE],
    [
      "do $$ begin execute 'drop rule clear on ruled; drop table t'; end $$;",
      [['table_dropped', 't', null, 5]],
    ],
    ['drop collation co cascade;', [['column_dropped', 'worded', 'b', null]]],
  ])('%s', async (text, losses) => {
    const answer = await platform.deploy(next(OUTSIDE + text))
    expect(lossesOf(answer)).toEqual(losses)
    expect(await queryDatabase(platform.database, 'select b from worded, t')).toHaveLength(5)
  })

  test('what commits by itself and may do anything needs leave', async () => {
    const call = "call run('delete from t');"
    const refused = await platform.deploy(next(OUTSIDE + call))
    expect(lossesOf(refused)).toEqual([])
    expect(refused.body).toMatchObject({ file: 'migrations/002_next.pssql', line: 2 })
    const { deploy } = await newPlatform(gateway, BASE)
    const allowed = await deploy(next(`-- gateway: no-transaction, allow-data-loss\n${call}`))
    expect(allowed.body).toMatchObject({ status: 'ready' })
  })
})

test('what commits by itself does not run twice', async () => {
  const { database, deploy } = await newPlatform(gateway, {
    'migrations/001.sql': `
      create table t (id int primary key, n int default 0);
      insert into t select generate_series(1, 3);
      create procedure fill() language plpgsql as $$ begin
        for i in 1..3 loop update t set n = n + 1 where id = i; commit; end loop;
      end $$;
    `,
  })
  const holder = connectTo(database)
  await becomePlatform(holder)
  await holder.unsafe('begin; update t set n = n where id = 3')
  const deploying = deploy({ 'migrations/002.sql': `${OUTSIDE}call fill();` })
  await expect
    .poll(
      () => queryDatabase(database, "select from pg_stat_activity where wait_event_type = 'Lock'"),
      {
        timeout: 20_000,
      },
    )
    .toHaveLength(1)
  await new Promise((resolve) => setTimeout(resolve, 500))
  await holder.unsafe('rollback')
  await holder.end()
  expect((await deploying).body).toMatchObject({ status: 'ready' })
  expect(await queryDatabase(database, 'select distinct n from t')).toEqual([{ n: 1 }])
})

describe('a migration that adds a value to an enum and uses it', () => {
  const one: Files = {
    'migrations/001.sql': `
      create type st as enum ('a', 'b');
      create table j (s st default 'a', id int);
      insert into j values ('a', 1), ('b', 2);
    `,
  }
  const more = {
    'migrations/002.sql': `
      alter type st add value 'c';
      update j set s = 'c' where id = 1;
      alter table j alter s set default 'c';
    `,
  }

  test('deploys to a database that has the type, after a dry run that says what it cannot check', async () => {
    const { deploy } = await newPlatform(gateway, one)
    const dry = await deploy(more, { dry_run: 'true' })
    expect(dry.body).toMatchObject({ status: 'dry_run' })
    expect(dry.body.warnings.join()).toContain('a dry run can check neither this statement')
    expect((await deploy(more)).body).toMatchObject({ status: 'ready', warnings: [] })
  })

  test('deploys to a new database too, and to one that lags behind', async () => {
    const { database } = await newPlatform(gateway, { ...one, ...more })
    expect(await queryDatabase(database, 'select s from j where id = 1')).toEqual([{ s: 'c' }])
    const lagging = await newPlatform(gateway, { 'migrations/000.sql': 'create table x (id int);' })
    expect((await lagging.deploy({ ...one, ...more })).body).toMatchObject({ status: 'ready' })
  })
})

test('an empty file of tables/ declares nothing', async () => {
  const { deploy } = await newPlatform(gateway, {
    'migrations/001.sql': 'create table t (id int);',
  })
  const { body } = await deploy({ 'tables/t.sql': '' })
  expect(body).toMatchObject({ status: 'ready', warnings: [] })
})

test('a plan has the migrations in their order', async () => {
  const { deploy } = await newPlatform(gateway, {
    'migrations/001.sql': 'create table t (id int);',
  })
  const more = {
    'migrations/005_index.sql': `${OUTSIDE}create index concurrently i on t (id);`,
    'migrations/006_age.sql': 'alter table t add age int;',
  }
  const { body } = await deploy(more, { dry_run: 'true' })
  expect(body.plan[0]?.pending_migrations ?? body.plan.pending_migrations).toEqual([
    '005_index.sql',
    '006_age.sql',
  ])
})

test('a migration that was renamed is one that the older archive has', async () => {
  const text = 'create table t (id int);'
  const f = 'create or replace function f() returns int language sql as $$ select 1 $$;'
  const { deploy } = await newPlatform(gateway, {
    'migrations/001.sql': text,
    'functions/f.sql': f,
  })
  const moved = { 'migrations/001.sql': undefined, 'migrations/2024/001.sql': text }
  expect((await deploy({ ...moved, 'functions/f.sql': f.replace('1 $', '2 $') })).status).toBe(200)
  const back = await deploy({}, { allow: 'older' })
  expect(back.status).toBe(200)
  expect(back.body.warnings.join()).toContain('rows stay as they are')
  expect(back.body.warnings.join()).not.toContain('2024/001.sql')
})

test('deploys run without JIT, calls with what the database says', async () => {
  const { name, database } = await newPlatform(gateway, {
    'migrations/001.sql': "create table t as select current_setting('jit') as jit;",
    'functions/f.sql':
      "create or replace function f() returns text language sql as $$ select current_setting('jit') $$;",
  })
  expect(await queryDatabase(database, 'select jit from t')).toEqual([{ jit: 'off' }])
  const [own] = await queryDatabase(database, 'show jit')
  const { body } = await gateway.call(name, 'f', [])
  expect(JSON.stringify(body.rows)).toContain(own.jit)
})

describe('a function that a migration and functions/ make', () => {
  const file = {
    'functions/mf.sql':
      'create or replace function mf() returns int language sql as $$ select 2 $$;',
  }

  test.each([
    "create function mf() returns int language sql as 'select 1'; create table t (i int default mf());",
    "drop function if exists mf(); create function mf() returns int language sql as 'select 1';",
    `create function a() returns int language plpgsql as $$ begin return mf(); end $$;
     create function mf() returns int language sql as 'select 1';`,
    'create table t (i int default mf());',
  ])('%s', async (text) => {
    const { name } = await newPlatform(gateway, { 'migrations/001.sql': text, ...file })
    const { body } = await gateway.call(name, 'mf', [])
    expect(JSON.stringify(body.rows)).toContain('2')
  })
})
