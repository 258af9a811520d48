import { describe, expect, test } from 'vitest'
import type { Json } from '../../helpers/gateway.ts'
import { type Files, textFunction } from '../../helpers/platforms.ts'

// Functions, views, triggers and policies that the first design lost, did not notice or could not
// replace.

import { newPlatform, ROLE, ready, setUp, sql, TABLE } from './setup.ts'

await setUp()

describe('A8: what people have put on an object survives its replacement', () => {
  test('grants, revokes, comments, settings of functions', async () => {
    const { deploy, query } = await newPlatform({
      'functions/say.sql': `create or replace function say(a int) ${sql('select a')}`,
    })
    await query(`
      revoke execute on function say(int) from public;
      grant execute on function say(int) to ${ROLE} with grant option;
      comment on function say(int) is 'it''s mine';
      alter function say(int) set work_mem to '8MB';
      alter function say(int) set search_path to public, "$user";
    `)
    const read = () =>
      query(`select proacl::text as acl, proconfig::text as config, obj_description(oid, 'pg_proc') as comment,
        pg_get_userbyid(proowner) as owner from pg_proc where proname = 'say'`)
    const before = await read()
    expect(before[0].acl).toContain(`${ROLE}=X*`)
    // A renamed parameter: it has to be dropped.
    const renamed = `create or replace function say(b int) ${sql('select b + 1')}`
    expect((await deploy({ 'functions/say.sql': renamed })).body).toMatchObject(ready)
    expect(await read()).toEqual(before)
    // In place, where PostgreSQL takes away what SET has set.
    const changed = `create or replace function say(b int) ${sql('select b + 2')}`
    expect((await deploy({ 'functions/say.sql': changed })).body).toMatchObject(ready)
    expect(await read()).toEqual(before)
  })

  test('but what the file says itself comes first, and what it says no more goes', async () => {
    const fn = (set: string) =>
      `create or replace function say() returns int ${set} language sql as 'select 1';`
    const { deploy, query } = await newPlatform({
      'functions/say.sql': fn(`set work_mem = '1MB' set search_path = public`),
    })
    await query(
      `alter function say() set work_mem to '8MB'; alter function say() set statement_timeout to '9s'`,
    )
    await deploy({ 'functions/say.sql': fn(`set work_mem = '2MB'`) })
    const [row] = await query(`select proconfig from pg_proc where proname = 'say'`)
    expect(row.proconfig.toSorted()).toEqual(['statement_timeout=9s', 'work_mem=2MB'])
  })

  test('grants and comments of views, of their columns, and default privileges', async () => {
    const { deploy, query } = await newPlatform({
      'migrations/001_base.sql': TABLE,
      'views/v.sql': 'create view v as select id, name from item;',
      'views/m.sql': 'create materialized view m as select id from item;',
    })
    await query(`
      grant select on v, m to ${ROLE};
      grant update (name) on v to ${ROLE};
      comment on view v is 'a view'; comment on column v.name is 'a column';
      comment on materialized view m is 'an m';
      alter view v set (security_invoker = on);
      alter default privileges grant insert on tables to ${ROLE};
      alter default privileges grant execute on functions to ${ROLE};
    `)
    const read = () =>
      query(`select relname, relacl::text as acl, reloptions::text as options,
          obj_description(c.oid, 'pg_class') as comment,
          (select string_agg(attname || coalesce(attacl::text, '') || coalesce(col_description(c.oid, attnum), ''), ' ' order by attname)
            from pg_attribute where attrelid = c.oid and attnum > 0) as columns
        from pg_class c where relname in ('v', 'm') order by 1`)
    const before = await read()
    const { body } = await deploy({
      'views/v.sql': 'create view v as select name, id from item;',
      'views/m.sql': 'create materialized view m as select id from item where true;',
    })
    expect(body).toMatchObject(ready)
    expect(await read()).toEqual(before)
  })

  test('privileges that nobody has set, where ALTER DEFAULT PRIVILEGES has come since', async () => {
    const { deploy, query } = await newPlatform({
      'migrations/001_base.sql': TABLE,
      'functions/say.sql': `create or replace function say(a int) ${sql('select a')}`,
      'views/v.sql': 'create view v as select id, say(id) as said from item;',
    })
    await query(`
      alter default privileges grant select on tables to public;
      alter default privileges revoke execute on functions from public;
      alter default privileges revoke insert on tables from current_user;
    `)
    const read = () =>
      query(`select has_table_privilege('public', 'v', 'select') as may_read,
        has_table_privilege(current_user, 'v', 'insert') as may_write,
        has_function_privilege('public', 'say(int)', 'execute') as may_run`)
    const before = { may_read: false, may_write: true, may_run: true }
    expect(await read()).toEqual([before])
    const renamed = `create or replace function say(b int) ${sql('select b + 1')}`
    expect((await deploy({ 'functions/say.sql': renamed })).body).toMatchObject(ready)
    expect(await read()).toEqual([before])
  })
})

describe('B1: what is in place is what the catalogs have', () => {
  const base: Files = {
    'migrations/001_base.sql': TABLE,
    'functions/list_items.sql':
      'create or replace function list_items() returns setof item language sql as $$ select * from item $$;',
    'views/v.sql': 'create view v as select id from item;',
    ...textFunction('motto', 'm'),
  }

  test('what a migration takes along is made again, in the same deploy', async () => {
    const { deploy, call, query } = await newPlatform(base)
    const { body } = await deploy({
      'migrations/002_anew.sql': 'drop table item cascade; create table item (id int, name text);',
    })
    // The deploy's own migration dropped them: nobody has to be warned.
    expect(body).toMatchObject({ ...ready, functions_deployed: 2, warnings: [] })
    expect((await call('list_items')).row_count).toBe(0)
    expect(await query('select * from v')).toEqual([])
  })

  test('what was dropped or replaced by hand is made again by the same archive, and named', async () => {
    const { deploy, call, query } = await newPlatform(base)
    expect((await deploy({})).body).toMatchObject({ ...ready, functions_changed: 0 })
    await query('drop function list_items()')
    await query(
      `create or replace function motto() returns text language sql as $$ select 'hacked' $$`,
    )
    const { body } = await deploy({})
    expect(body).toMatchObject({ ...ready, functions_changed: 2, functions_deployed: 2 })
    expect(body.warnings.join()).toContain('function public.list_items() is gone')
    expect(body.warnings.join()).toContain('function public.motto() is not as the file left it')
    expect((await call('list_items')).row_count).toBe(0)
    expect((await call('motto')).rows).toEqual([{ motto: 'm' }])
    expect((await deploy({})).body).toMatchObject({ functions_changed: 0, warnings: [] })
  })

  test('grants by hand are no change: nothing is made again', async () => {
    const { deploy, query } = await newPlatform(base)
    await query('revoke execute on function motto() from public; create table by_hand (x int)')
    expect((await deploy({})).body).toMatchObject({ ...ready, functions_changed: 0, warnings: [] })
  })

  test('a column that is gone under an unchanged function: an error at its line', async () => {
    const { deploy, call } = await newPlatform({
      'migrations/001_base.sql': TABLE,
      'functions/prices.sql':
        'create function prices()\nreturns setof int\nlanguage sql as $$\n  select price\n  from item\n$$;',
      'functions/names.sql':
        'create function names() returns setof text language sql as $$ select price::text from item $$;',
    })
    const { status, body } = await deploy({
      'migrations/002_drop.sql': 'alter table item drop column price;',
    })
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'function_deploy_failed', sqlstate: '42703' })
    const places = body.failures.map(({ file, line }: Json) => [file, line])
    expect(places.toSorted()).toEqual([
      ['functions/names.sql', 1],
      ['functions/prices.sql', 4],
    ])
    expect((await call('prices')).rows).toEqual([])
  })
})

describe('C4, C5: objects of the archive that stand in each other’s way', () => {
  const base: Files = {
    'migrations/001_base.sql': `${TABLE} insert into item values (1, 'one', 10);`,
    'functions/size.sql': `create or replace function size(i int) ${sql('select i')}`,
    'functions/caller.sql':
      'create or replace function caller() returns int language sql begin atomic select size(2); end;',
    'functions/rows.sql':
      'create or replace function all_rows() returns setof base language sql as $$ select * from base $$;',
    'views/base.sql': 'create or replace view base as select id, size(price) as s from item;',
    'views/on_top.sql': 'create or replace view on_top as select s from base;',
  }

  test('function, views on it, atomic callers and RETURNS SETOF of a view change together', async () => {
    const { deploy, call, query } = await newPlatform(base)
    await query(`comment on view on_top is 'kept'`)
    const { body } = await deploy({
      'functions/size.sql': `create or replace function size(i int) ${sql("select 'L' || i", 'text')}`,
      'functions/caller.sql':
        'create or replace function caller() returns text language sql begin atomic select size(2); end;',
    })
    expect(body).toMatchObject({ ...ready, functions_dropped: [] })
    expect(await query('select s from on_top')).toEqual([{ s: 'L10' }])
    expect((await call('caller')).rows).toEqual([{ caller: 'L2' }])
    expect((await call('all_rows')).rows).toEqual([{ id: 1, s: 'L10' }])
    expect(await query(`select obj_description('on_top'::regclass) as c`)).toEqual([{ c: 'kept' }])
  })

  test('a base view changes a column’s type', async () => {
    const { deploy, query, call } = await newPlatform(base)
    const { body } = await deploy({
      'views/base.sql':
        'create or replace view base as select id, size(price)::text as s from item;',
      'views/on_top.sql': 'create or replace view on_top as select s as t from base;',
    })
    expect(body).toMatchObject(ready)
    expect(await query('select t from on_top')).toEqual([{ t: '10' }])
    expect((await call('all_rows')).rows).toEqual([{ id: 1, s: '10' }])
  })

  test('a file is moved, and its function returns something else', async () => {
    const { deploy, call } = await newPlatform(base)
    const { body } = await deploy({
      'functions/size.sql': undefined,
      'functions/sizes/size.sql': `create or replace function size(price int) ${sql('select price::bigint', 'bigint')}`,
    })
    expect(body).toMatchObject({ ...ready, functions_dropped: [], functions_deployed: 3 })
    expect((await call('size', { price: 3 })).rows).toEqual([{ size: 3 }])
  })

  test('defaults, checks, indexes, triggers and policies of tables come back as they were', async () => {
    const trigger =
      'create or replace function on_item() returns trigger language plpgsql as $$ begin return new; end $$;'
    const { deploy, query } = await newPlatform({
      'functions/size.sql': `create or replace function size(i int) returns int immutable language sql as $$ select i $$;`,
      'functions/on_item.sql': trigger,
    })
    const names = (n: string) =>
      `create or replace function size(${n} int) returns int immutable language sql as $$ select ${n} $$;`
    await deploy({
      'migrations/001_base.sql': undefined,
      'migrations/002_parts.sql': `${TABLE}
        alter table item alter column price set default size(5);
        alter table item add constraint small check (size(price) < 100);
        comment on constraint small on item is 'not too much';
        create index by_size on item (size(price)) where price > 0;
        create trigger t before insert on item for each row when (size(new.id) > 0) execute function on_item();
        alter table item disable trigger t;
        create policy p on item for update using (size(id) > 1) with check (size(id) > 2);`,
    })
    const read = () =>
      query(`
        select pg_get_expr(adbin, adrelid) as text from pg_attrdef where adrelid = 'item'::regclass
        union all select pg_get_constraintdef(oid) || obj_description(oid) from pg_constraint where conname = 'small'
        union all select pg_get_indexdef('by_size'::regclass)
        union all select pg_get_triggerdef(oid) || tgenabled::text from pg_trigger where tgname = 't'
        union all select concat(polcmd, polroles, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) from pg_policy`)
    const before = await read()
    expect(before).toHaveLength(5)
    expect((await deploy({ 'functions/size.sql': names('n') })).body).toMatchObject(ready)
    expect(await read()).toEqual(before)
  })

  test('what no file made is named, and stays', async () => {
    const { deploy, query } = await newPlatform(base)
    await query('create view mine as select * from on_top')
    const { status, body } = await deploy({
      'functions/size.sql': `create or replace function size(i int) ${sql("select 'L'", 'text')}`,
    })
    expect([status, body.error]).toEqual([422, 'function_deploy_failed'])
    expect(body).toMatchObject({ file: 'functions/size.sql', line: 1, sqlstate: '2BP01' })
    expect(body.cause).toContain('view mine')
    expect(await query('select s from mine')).toEqual([{ s: 10 }])
    // What PostgreSQL replaces in place needs no drop.
    const inPlace = {
      'functions/size.sql': `create or replace function size(i int) ${sql('select i + 1')}`,
    }
    expect((await deploy(inPlace)).body).toMatchObject(ready)
    expect(await query('select s from mine')).toEqual([{ s: 11 }])
  })

  test('a function goes together with the views that used it', async () => {
    const { deploy, query } = await newPlatform(base)
    const { body } = await deploy(
      {
        'functions/size.sql': undefined,
        'functions/caller.sql': undefined,
        'views/base.sql': 'create or replace view base as select id, price as s from item;',
      },
      { allow: 'functions_missing' },
    )
    expect(body).toMatchObject(ready)
    expect(body.functions_dropped.toSorted()).toEqual(['public.caller()', 'public.size(integer)'])
    expect(await query('select s from on_top')).toEqual([{ s: 10 }])
  })
})

describe('C7: other statements of a file', () => {
  test('an aggregate deploys, changes and goes', async () => {
    const file = (start: number) => `
      create or replace function addit(a int, b int) ${sql('select a + b')}
      create aggregate total(int) (sfunc = addit, stype = int, initcond = '${start}');
      create aggregate howmany(*) (sfunc = int4inc, stype = int, initcond = '0');
    `
    const { deploy, query } = await newPlatform({ 'functions/total.sql': file(0) })
    expect(await query('select total(x), howmany(*) from generate_series(1, 3) x')).toEqual([
      { total: 6, howmany: 3 },
    ])
    expect((await deploy({ 'functions/total.sql': file(10) })).body).toMatchObject({
      ...ready,
      functions_deployed: 3,
    })
    expect(await query('select total(x) from generate_series(1, 3) x')).toEqual([{ total: 16 }])
    const { body } = await deploy(
      { 'functions/total.sql': undefined, ...textFunction('x', 'x') },
      { allow: 'functions_missing' },
    )
    expect(body.functions_dropped.toSorted()).toEqual([
      'public.addit(integer, integer)',
      'public.howmany()',
      'public.total(integer)',
    ])
  })

  test('types, casts, operators, triggers and indexes can be changed again and again', async () => {
    const file = (n: number) => `
      create type pair as (a int, b int);
      create function pair_text(p pair) returns text language sql immutable as $$ select '${n}:' || p.a $$;
      create cast (pair as text) with function pair_text(pair);
      create function same(a pair, b pair) returns boolean language sql immutable as $$ select ${n} > 0 $$;
      create operator === (leftarg = pair, rightarg = pair, function = same);
      create function on_item() returns trigger language plpgsql as $$ begin new.name := '${n}'; return new; end $$;
      create trigger stamp before insert on item for each row execute function on_item();
      create index by_name_${n} on item (name);
    `
    const { deploy, query } = await newPlatform({
      'migrations/001_base.sql': `${TABLE}`,
      'functions/all.sql': file(1),
    })
    await query('create table uses_pair (p pair)')
    for (const n of [2, 3]) {
      const { body } = await deploy({ 'functions/all.sql': file(n) })
      expect(body).toMatchObject({ ...ready, functions_deployed: 3 })
      expect(await query(`select row(1, 2)::pair::text as t`)).toEqual([{ t: `${n}:1` }])
      expect(await query(`select row(1, 2)::pair === row(1, 2)::pair as t`)).toEqual([{ t: true }])
      await query(`insert into item values (${n})`)
      expect(await query(`select name from item where id = ${n}`)).toEqual([{ name: `${n}` }])
      expect(await query(`select relname from pg_class where relname like 'by\\_name%'`)).toEqual([
        { relname: `by_name_${n}` },
      ])
    }
  })
})
