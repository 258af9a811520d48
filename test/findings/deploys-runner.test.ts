import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  connectTo,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// What deploys of the first design got wrong in running files: sessions, order, histories.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '5' })
})
afterAll(() => gateway.stop())

interface Platform {
  database: string
  deploy(files: Files, flags?: Record<string, string>, tenant?: string): Promise<Answer>
  query(text: string, tenant?: string): Promise<Json[]>
  call(name: string, tenant?: string): Promise<Json>
}

function newPlatform(): Platform {
  const name = uniqueName('run')
  return {
    database: `${name}_main`,
    deploy: async (files, flags = {}, tenant) =>
      gateway.register(name, await pack(files), tenant, flags),
    query: (text, tenant = 'main') => queryDatabase(`${name}_${tenant}`, text),
    call: async (function_, tenant) => (await gateway.call(name, function_, [], tenant)).body,
  }
}

const expectReady = ({ body }: Answer) => expect(body).toMatchObject({ status: 'ready' })

describe('B2: each file begins with the same session', () => {
  test.each([
    ['settings', `select set_config('search_path', '', false);`],
    ['a search path', 'create schema app; set search_path = app;'],
    ['the local search path', 'create schema app; set local search_path = app;'],
    ['a temporary table', 'create temp table item (id int);'],
    ['a cursor', 'declare c cursor for select 1;'],
    ['read-only sessions', `set default_transaction_read_only = on; set row_security = off;`],
  ])('%s', async (_, leaving) => {
    const { deploy, query, call } = newPlatform()
    const answer = await deploy({
      'migrations/001_base.sql': 'create table public.item (id int);',
      'migrations/002_leave.sql': leaving,
      'migrations/003_use.sql':
        'insert into item values (1); declare c cursor for select 1; create table made (id int);',
      ...textFunction('motto', 'first'),
      'seeders/item.sql': 'insert into item values (2);',
    })
    expectReady(answer)
    expect(await query('select id from public.item order by 1')).toEqual([{ id: 1 }, { id: 2 }])
    expect(await query('select from public.made')).toEqual([])
    expect((await call('motto')).rows).toEqual([{ motto: 'first' }])
  })

  test('also where an existing database gets several at once', async () => {
    const { deploy, query } = newPlatform()
    const base: Files = { 'migrations/001_base.sql': 'create table item (id int);' }
    expectReady(await deploy(base))
    expectReady(
      await deploy({
        ...base,
        'migrations/002_leave.sql': 'create temp table item (id int); set search_path = pg_temp;',
        'migrations/003_use.sql': 'insert into item values (1);',
      }),
    )
    expect(await query('select id from public.item')).toEqual([{ id: 1 }])
  })
})

describe('C1: what each release went through', () => {
  const CHECKED = `
    create table parent (id int primary key);
    create table child (parent_id int references parent deferrable initially deferred);`

  test('an insert under a deferred constraint, then ALTER', async () => {
    const history: Files = {
      'migrations/001_base.sql': CHECKED,
      'migrations/002_rows.sql': 'insert into child values (1); insert into parent values (1);',
      'migrations/003_alter.sql': 'alter table child add column note text;',
    }
    expectReady(await newPlatform().deploy(history))
    // And where the migrations meet a database that has the first one alone.
    const { deploy } = newPlatform()
    expectReady(await deploy({ 'migrations/001_base.sql': CHECKED }))
    expectReady(await deploy(history))
  })

  test('a constraint that waits for the end waits for the end of its file, and names it', async () => {
    const { deploy } = newPlatform()
    expectReady(await deploy({ 'migrations/001_base.sql': CHECKED }))
    const { status, body } = await deploy({
      'migrations/001_base.sql': CHECKED,
      'migrations/002_rows.sql': 'insert into child values (7);',
      'migrations/003_more.sql': 'insert into parent values (1); insert into child values (1);',
    })
    expect(status).toBe(422)
    expect(body).toMatchObject({
      error: 'migration_failed',
      file: 'migrations/002_rows.sql',
      sqlstate: '23503',
    })
  })

  test('a trigger on a function of functions/, and one that a default calls', async () => {
    const files: Files = {
      'migrations/001_base.sql': 'create table item (id int, code text);',
      'migrations/002_trigger.sql': `
        create trigger stamp before insert on item for each row execute function stamp();
        alter table item add column extra text default next_code();
        insert into item values (1);`,
      'functions/stamp.sql': `
        create or replace function stamp() returns trigger language plpgsql as $$
        begin new.code := next_code(); return new; end $$;`,
      'functions/next_code.sql': `
        create or replace function next_code() returns text language sql as $$ select 'c' $$;`,
      'functions/items.sql': `
        create or replace function items() returns setof item language sql as $$ select * from item $$;`,
    }
    const { deploy, query } = newPlatform()
    expectReady(await deploy(files))
    expect(await query('select * from item')).toEqual([{ id: 1, code: 'c', extra: 'c' }])
  })

  test('types/ has the present: a type that migrations make, rename, and whose values they rename', async () => {
    const files: Files = {
      'types/mood.sql': `create type mood as enum ('glad', 'sad', 'calm');`,
      'types/feeling.sql': `create type feeling as enum ('warm', 'cold');`,
      'types/state.sql': `create type state as enum ('new', 'done');`,
      'migrations/001_base.sql': `
        create type mood as enum ('happy', 'sad');
        create type old_feeling as enum ('warm');
        create table item (mood mood, feeling old_feeling, state state);
        insert into item values ('happy', 'warm', 'done');`,
      'migrations/002_names.sql': `
        alter type mood rename value 'happy' to 'glad';
        alter type old_feeling rename to feeling;`,
      'migrations/003_state.sql': `alter type state rename value 'finished' to 'done';`,
      'functions/calm.sql': `
        create or replace function calm() returns mood language sql as $$ select 'calm'::mood $$;`,
    }
    const { deploy, query, call } = newPlatform()
    const answer = await deploy(files)
    expectReady(answer)
    expect(answer.body.warnings.join()).toContain('migrations/003_state.sql, line 1: passed over')
    expect(await query('select * from item')).toEqual([
      { mood: 'glad', feeling: 'warm', state: 'done' },
    ])
    expect(await query('select enum_range(null::feeling)::text as all')).toEqual([
      { all: '{warm,cold}' },
    ])
    expect((await call('calm')).rows).toEqual([{ calm: 'calm' }])
  })
})

describe('C2: a new value of an enum is used in the deploy that adds it', () => {
  const base: Files = {
    'types/mood.sql': `create type mood as enum ('glad');`,
    'migrations/001_base.sql': `create type state as enum ('new'); create table item (mood mood, state state);`,
  }
  const next: Files = {
    ...base,
    'types/mood.sql': `create type mood as enum ('glad', 'sad');`,
    'migrations/002_value.sql': `alter type state add value 'done';`,
    'migrations/003_use.sql': `insert into item values ('sad', 'done');`,
    'functions/sad.sql': `create or replace function sad() returns mood language sql begin atomic select 'sad'::mood; end;`,
    'views/sads.sql': `create view sads as select * from item where mood = 'sad';`,
    'seeders/sad.sql': `insert into item values ('sad', 'new');`,
  }

  test('by a database that has the type, and by a new one', async () => {
    for (const isThere of [true, false]) {
      const { deploy, query, call } = newPlatform()
      if (isThere) expectReady(await deploy(base))
      expectReady(await deploy(next))
      expect(await query('select * from sads order by 2')).toEqual([
        { mood: 'sad', state: 'new' },
        { mood: 'sad', state: 'done' },
      ])
      expect((await call('sad')).rows).toEqual([{ sad: 'sad' }])
    }
  })

  test('a type that a pending migration makes', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy(base))
    expectReady(
      await deploy({
        ...base,
        'migrations/002_type.sql': `create type kind as enum ('a'); create table kinds (kind kind);`,
        'migrations/003_value.sql': `alter type kind add value 'b';`,
        'migrations/004_use.sql': `insert into kinds values ('b');`,
      }),
    )
    expect(await query('select * from kinds')).toEqual([{ kind: 'b' }])
  })

  test('where the deploy fails, the values stay and the next deploy goes on', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy(base))
    const broken = {
      ...next,
      'functions/bad.sql': 'create function bad() returns int language sql as $$ select x $$;',
    }
    expect((await deploy(broken)).status).toBe(422)
    expect(await query('select count(*)::int as n from item')).toEqual([{ n: 0 }])
    expectReady(await deploy(next))
  })

  test('of the type that the search path of the file means', async () => {
    const { deploy, query } = newPlatform()
    const types = `create schema other; create type other.state as enum ('new');`
    const both = { ...base, 'migrations/002_other.sql': types }
    expectReady(await deploy(both))
    const add = `select set_config('search_path', 'other', false); alter type state add value 'done';`
    expectReady(await deploy({ ...both, 'migrations/003_add.sql': add }))
    const rows = await query(
      `select enumtypid::regtype::text as type from pg_enum where enumlabel = 'done'`,
    )
    expect(rows).toEqual([{ type: 'other.state' }])
  })

  test('a dry run says what it could not check', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy(base))
    const { status, body } = await deploy(next, { dry_run: 'true' })
    expect(status).toBe(200)
    expect(JSON.stringify(body)).toContain(
      'migrations/003_use.sql, line 1, uses a new value of an enum: a dry run can check neither',
    )
    expect(await query('select enum_range(null::mood)::text as all')).toEqual([{ all: '{glad}' }])
  })
})

describe('C14: tables/ is the full state, migrations alter', () => {
  const files: Files = {
    'tables/item.sql': `
      create table item (id int primary key, name text, note text default default_note());
      create index item_name on item (name);`,
    'tables/part.sql': 'create table part (item_id int references item, amount numeric);',
    'migrations/001_note.sql': `alter table item add column note text default default_note();`,
    'migrations/002_index.sql': 'create index item_name on item (name);',
    'migrations/003_rename.sql': 'alter table part rename column quantity to amount;',
    'migrations/004_rows.sql': 'insert into item (id, name) values (1, upper_name($$a$$));',
    'functions/default_note.sql': `
      create or replace function default_note() returns text language sql as $$ select 'none' $$;`,
    'functions/upper_name.sql': `
      create or replace function upper_name(p text) returns text language plpgsql as $$
      begin return helper(p); end $$;`,
    'functions/helper.sql': `
      create or replace function helper(p text) returns text language sql as $$ select upper(p) $$;`,
  }

  test('a new tenant gets all of it', async () => {
    const { deploy, query } = newPlatform()
    const answer = await deploy(files)
    expectReady(answer)
    expect(await query('select * from item')).toEqual([{ id: 1, name: 'A', note: 'none' }])
    expect(answer.body.warnings.filter((one: string) => one.includes('passed over'))).toHaveLength(
      3,
    )
    expect((await deploy(files)).body).toMatchObject({ functions_changed: 0 })
  })

  test('a table that a migration makes is the migration’s', async () => {
    const { deploy, query } = newPlatform()
    expectReady(
      await deploy({
        'tables/item.sql': 'create table item (id int, name text);',
        'migrations/001_base.sql': 'create table item (id int);',
        'migrations/002_name.sql': 'alter table item add column name text;',
      }),
    )
    expect(await query('select * from item')).toEqual([])
  })
})

test('D2: rows that a migration selects are not kept in memory', async () => {
  const { deploy } = newPlatform()
  global.gc?.()
  const before = process.memoryUsage().rss
  let most = 0
  const watching = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss)
  }, 20)
  expectReady(
    await deploy({
      'migrations/001_rows.sql': `select n, repeat('x', 300) as a from generate_series(1, 600000) n;`,
    }),
  )
  clearInterval(watching)
  // 600,000 rows as objects take some 400 MB.
  expect((most - before) / 2 ** 20).toBeLessThan(200)
})

test('a procedure that commits has the hint to run the migration outside of a transaction', async () => {
  const { deploy } = newPlatform()
  const { body } = await deploy({
    'migrations/001_a.sql': `create procedure p() language plpgsql as 'begin commit; end';`,
    'migrations/002_b.sql': 'call p();',
  })
  expect(body).toMatchObject({
    sqlstate: '2D000',
    file: 'migrations/002_b.sql',
    hint: expect.stringMatching('gateway: no-transaction'),
  })
})

test('a statement that one file prepares is not in the way of the next', async () => {
  const { deploy } = newPlatform()
  const prepared = 'prepare p as select 1; execute p;'
  expectReady(
    await deploy({
      'migrations/001_a.sql': prepared,
      'migrations/002_b.sql': `${prepared} -- again`,
    }),
  )
})

test('D8: another session’s temporary table does not have a deploy run twice', async () => {
  const { deploy, database, query } = newPlatform()
  expectReady(
    await deploy({
      'migrations/001_base.sql': 'create sequence runs; create table spare (id int);',
    }),
  )
  const other = connectTo(database)
  await other.unsafe('create temp table mine (id int); insert into mine values (1)')
  expectReady(
    await deploy({
      'migrations/001_base.sql': 'create sequence runs; create table spare (id int);',
      'migrations/002_run.sql': `select nextval('runs'); drop table spare;`,
    }),
  )
  await other.end()
  expect(await query('select last_value::int as n from runs')).toEqual([{ n: 1 }])
})

describe('what the database sets for its sessions', () => {
  const TABLE = { 'migrations/001_t.sql': 'create table t (id int);' }

  async function platformWith(name: string, value: string): Promise<Platform> {
    const platform = newPlatform()
    expectReady(await platform.deploy(TABLE))
    // transaction_timeout came with PostgreSQL 17.
    const known = await platform.query(`select from pg_settings where name = '${name}'`)
    const alter = `alter database ${platform.database} set ${name} = '${value}'`
    if (known.length > 0) await platform.query(alter)
    return platform
  }

  test.each([
    ['statement_timeout', '100ms'],
    ['transaction_timeout', '100ms'],
    ['idle_in_transaction_session_timeout', '1ms'],
  ])('%s does not end a deploy, nor a handover', async (name, value) => {
    const { database, deploy, query } = await platformWith(name, value)
    await query(`grant connect on database ${database} to public`)
    expectReady(await deploy({ ...TABLE, 'migrations/002_long.sql': 'select pg_sleep(0.3);' }))
  })

  test('rows are asked about that came after the deploy had begun', async () => {
    const { database, deploy, query } = await platformWith(
      'default_transaction_isolation',
      'repeatable read',
    )
    const answer = deploy({
      ...TABLE,
      'migrations/002_wait.sql': `do $$ begin perform pg_sleep(30);
        exception when query_canceled then null; end $$`,
      'migrations/003_drop.sql': 'drop table t;',
    })
    const inWait = `from pg_stat_activity where datname = '${database}' and wait_event = 'PgSleep'`
    await until(async () => (await query(`select ${inWait}`)).length > 0)
    await query('insert into t values (1)')
    await query(`select pg_cancel_backend(pid) ${inWait}`)
    expect((await answer).body).toMatchObject({
      error: 'data_loss',
      file: 'migrations/003_drop.sql',
    })
  })
})

test.each([
  ['the file', 'set standard_conforming_strings = off;'],
  ['a text put together', "select set_config('standard_conforming' || '_strings', 'off', false);"],
  ['the database', ''],
])('no COMMIT hides in a string that is read otherwise, by a setting of %s', async (_, setting) => {
  const { database, deploy, query } = newPlatform()
  const base = { 'migrations/001_t.sql': 'create table t (id int);' }
  expectReady(await deploy(base))
  if (!setting) await query(`alter database ${database} set standard_conforming_strings = off`)
  const { body } = await deploy({
    ...base,
    'migrations/002_hide.sql': `create table u (id int); ${setting} select 'a\\' || '; commit; begin; --';`,
    'migrations/003_fail.sql': 'select 1 / 0;',
  })
  expect(body).toMatchObject({ error: 'migration_failed' })
  expect(await query(`select to_regclass('u') as made`)).toEqual([{ made: null }])
})

test('two constraints of one name, of which one is deferred', async () => {
  const { deploy, query } = newPlatform()
  const files = {
    'migrations/001_tables.sql': `
      create table p (id int primary key);
      create table a (id int constraint parent references p deferrable initially deferred);
      create table b (id int constraint parent references p);`,
    'migrations/002_rows.sql': 'insert into a values (1); insert into p values (1);',
  }
  expectReady(await deploy(files))
  expect(await query('select id from a')).toEqual([{ id: 1 }])
})
