import { describe, expect, test } from 'vitest'
import { type Files, textFunction } from '../../helpers/platforms.ts'

// Functions, views, triggers and policies that the first design lost, did not notice or could not
// replace.

import { newPlatform, ready, setUp, sql, TABLE } from './setup.ts'

await setUp()

describe('G3: names that nobody has, in bodies of PL/pgSQL', () => {
  const body = (text: string) =>
    `create or replace function work(p int) returns int language plpgsql as $$\nbegin\n  ${text}\n  return 1;\nend $$;`
  const base: Files = {
    'migrations/001_base.sql': TABLE,
    'functions/work.sql': body('update item\n    set price = p;'),
  }

  test('a forgotten migration, a renamed column, an unknown function: warnings with file and line', async () => {
    const { deploy } = await newPlatform(base)
    const renamed = await deploy({
      'migrations/002_rename.sql': 'alter table item rename column price to cost;',
    })
    expect(renamed.body).toMatchObject(ready)
    expect(renamed.body.warnings).toEqual([
      expect.stringMatching(/^functions\/work\.sql, line 4: column price of item does not exist/),
    ])
    const forgotten = await deploy({
      'functions/work.sql': body('insert into item_log values (p);\n  perform app.notify_all(p);'),
    })
    expect(forgotten.body.warnings).toEqual([
      expect.stringMatching(/^functions\/work\.sql, line 3: relation item_log does not exist/),
      expect.stringMatching(
        /^functions\/work\.sql, line 4: function app\.notify_all does not exist/,
      ),
    ])
  })

  test('what is there, or is made on the way, is no warning', async () => {
    const { deploy } = await newPlatform(base)
    const { body: answer } = await deploy({
      ...textFunction('motto', 'm'),
      'functions/work.sql': body(`create temp table if not exists scratch (x int);
        with c as (select id from item) insert into scratch select count(*) from c;
        perform motto(), coalesce(p, 1), item.name, name(item) from item, pg_class, generate_series(1, 2);
        insert into item (id, name) values (p, now()::text) on conflict (id) do update set name = excluded.name;`),
    })
    expect(answer).toMatchObject({ ...ready, warnings: [] })
  })
})

test('a function’s own search path holds when its body is checked', async () => {
  const fn = (n: number) =>
    `create or replace function app.inside() returns setof int set search_path = app language sql as $$ select id + ${n} from hidden $$;`
  const { deploy, query } = await newPlatform({
    'schemas/app.sql': 'create schema app;',
    'migrations/001_base.sql':
      'create table app.hidden (id int); insert into app.hidden values (1);',
    'functions/inside.sql': fn(0),
  })
  expect((await deploy({ 'functions/inside.sql': fn(1) })).body).toMatchObject(ready)
  expect(await query('select app.inside() as n')).toEqual([{ n: 2 }])
})

test('a materialized view keeps its rows and its indexes while only its neighbours change', async () => {
  const file = (n: number) => `
    create materialized view mv as select id, name from item;
    create unique index on mv (id);
    create or replace view beside as select ${n} as n;`
  const { deploy, query } = await newPlatform({
    'migrations/001_base.sql': `${TABLE} insert into item values (1, 'one');`,
    'views/mv.sql': file(1),
    'views/mv2.sql':
      'create materialized view mv2 as select name from item; create index by_name on mv2 (name);',
  })
  const rows = () =>
    query(`select oid::text from pg_class where relname in ('mv2', 'by_name') order by 1`)
  const before = await rows()
  expect((await deploy({ 'views/mv.sql': file(2) })).body).toMatchObject(ready)
  expect(
    await query(`select count(*)::int as n from pg_index where indrelid = 'mv'::regclass`),
  ).toEqual([{ n: 1 }])
  const other = {
    'views/mv2.sql':
      "create materialized view mv2 as select name from item; create index by_name on mv2 (name); comment on materialized view mv2 is 'x';",
  }
  expect((await deploy(other)).body).toMatchObject(ready)
  expect(await rows()).toEqual(before)
})

test('G3: where the database has plpgsql_check, that says what will fail', async () => {
  // The embedded server does not have the extension: this has its function's signature.
  const { deploy } = await newPlatform({
    'migrations/001_base.sql': `create function plpgsql_check_function_tb(
        funcoid regprocedure, relid regclass default 0, fatal_errors boolean default true,
        other_warnings boolean default true, performance_warnings boolean default false,
        extra_warnings boolean default true
      ) returns table (functionid regproc, lineno int, statement text, sqlstate text, message text,
        detail text, hint text, level text, "position" int, query text, context text)
      language sql as $$
        select $1::oid::regproc, 3, 'RETURN', '42703', 'column "x" does not exist', '', '', 'error', 1, '', ''
        where not $3 and not $4
        union all select $1::oid::regproc, 3, '', '', 'unused variable', '', '', 'warning', 1, '', ''
      $$`,
    ...textFunction('motto', 'm'),
  })
  const { body } = await deploy({
    'functions/work.sql':
      'create function work() returns int language plpgsql as $$\nbegin\n  return (select x from nowhere);\nend $$;',
    'functions/on_change.sql':
      'create function on_change() returns trigger language plpgsql as $$\nbegin\n  delete from elsewhere; return new;\nend $$;',
  })
  expect(body).toMatchObject(ready)
  expect(body.warnings).toEqual([
    'functions/work.sql, line 3: column "x" does not exist',
    expect.stringMatching(/^functions\/on_change.sql, line 3: relation elsewhere does not exist/),
  ])
})

test('an unchanged view with select * has the columns that a new database would have', async () => {
  const { deploy, query } = await newPlatform({
    'migrations/001_base.sql': 'create table t (id int, b int);',
    'views/v.sql': 'create or replace view v as select id, b from t;',
    'views/a.sql': 'create or replace view a as select * from v where id > 0;',
    'views/b.sql': 'create or replace view b as select * from t;',
  })
  const { body } = await deploy({
    'migrations/002_more.sql': 'alter table t add column c text;',
    'views/v.sql': 'create or replace view v as select id, c, b from t;',
  })
  expect(body).toMatchObject(ready)
  const columns = await query(`
    select attrelid::regclass::text as view, string_agg(attname, ' ' order by attnum) as names
    from pg_attribute where attrelid in ('a'::regclass, 'b'::regclass) group by 1 order by 1`)
  expect(columns).toEqual([
    { view: 'a', names: 'id c b' },
    { view: 'b', names: 'id b c' },
  ])
})

test('a file that runs again since what it made was in the way is asked before it loses rows', async () => {
  const { deploy, query } = await newPlatform({
    'migrations/001_base.sql': 'create table cache (id int);',
    'functions/base.sql': `create or replace function base() ${sql('select 1')}`,
    'functions/caller.sql':
      'truncate cache; create or replace function caller() returns int language sql begin atomic select base(); end;',
  })
  await query('insert into cache values (1)')
  const { status, body } = await deploy({
    'functions/base.sql': `create or replace function base() ${sql('select 1::bigint', 'bigint')}`,
  })
  expect([status, body.error, body.file]).toEqual([409, 'data_loss', 'functions/caller.sql'])
  expect(await query('select id from cache')).toEqual([{ id: 1 }])
})
