import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createReader } from '../helpers/for-file.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { newPlatform as newPlatformOf } from '../helpers/releases.ts'

// Functions, views, triggers and policies that the first design lost, did not notice or could not
// replace.

const ROLE = await createReader()
let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const newPlatform = (base: Files) => newPlatformOf(gateway, base)

const ready = { status: 'ready' }
const sql = (text: string, returns = 'int') => `returns ${returns} language sql as $$ ${text} $$;`
const TABLE = 'create table item (id int primary key, name text, price int);'

describe('A4: what is made by a file', () => {
  const grants = {
    'functions/zz_grants.sql': 'grant execute on all functions in schema public to public;',
  }
  const base: Files = {
    'migrations/001_base.sql': `${TABLE} create function helper() ${sql('select 7')}`,
    ...textFunction('motto', 'm'),
    ...grants,
  }

  test('a file of grants owns nothing: without it all functions stay', async () => {
    const { deploy, call, query } = await newPlatform(base)
    const files = await query(
      `select name, objects from _db_gateway_files where section = 'functions'`,
    )
    expect(files.find(({ name }) => name === 'zz_grants.sql')?.objects).toEqual([])
    const { body } = await deploy({ 'functions/zz_grants.sql': undefined })
    expect(body).toMatchObject({ ...ready, functions_dropped: [], functions_deployed: 1 })
    expect((await call('helper')).rows).toEqual([{ helper: 7 }])
    expect((await call('motto')).rows).toEqual([{ motto: 'm' }])
  })

  test('it runs again with each change, so that what is new is granted too', async () => {
    const { deploy, query } = await newPlatform({
      ...base,
      'functions/zz_grants.sql': 'revoke execute on all functions in schema public from public;',
    })
    await deploy(textFunction('later', 'l'))
    const [row] = await query(`select proacl::text as acl from pg_proc where proname = 'later'`)
    expect(row.acl).not.toMatch(/[{,]=X/)
  })

  test('a function that somebody makes by hand meanwhile is booked to nobody', async () => {
    const { deploy, query, call } = await newPlatform({
      ...base,
      'functions/slow.sql': `create function slow() ${sql('select 1')}`,
    })
    const deploying = deploy({
      'functions/slow.sql': `create or replace function slow() ${sql('select 2')} select pg_sleep(1);`,
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    await query(`create function by_hand() ${sql('select 8')}`)
    expect((await deploying).body).toMatchObject(ready)
    await deploy({ 'functions/slow.sql': undefined })
    expect((await call('by_hand')).rows).toEqual([{ by_hand: 8 }])
  })
})

describe('A5: two files that make one thing', () => {
  const one = `create or replace function one(a int) ${sql('select 1')}`

  test.each([
    [
      'a function',
      'functions/b.sql',
      `create or replace function public.one(x integer) ${sql('select 2')}`,
      'functions/a.sql',
    ],
    ['a view', 'views/w.sql', 'create view public.v as select 2 as n', 'views/v.sql'],
    [
      'a trigger',
      'functions/t.sql',
      'create trigger t before insert on public.item execute function tf();',
      'triggers/t.sql',
    ],
  ])('%s: both are named, and nothing is done', async (_what, path, text, other) => {
    const platform = uniqueName('obj')
    const files: Files = {
      'migrations/001_base.sql': TABLE,
      'functions/a.sql': one,
      'views/v.sql': 'create or replace view v as select 1 as n;',
      'functions/tf.sql':
        'create function tf() returns trigger language plpgsql as $$ begin return new; end $$;',
      'triggers/t.sql': 'create trigger t before insert on item execute function tf();',
    }
    expect((await gateway.register(platform, await pack(files))).body).toMatchObject(ready)
    const { status, body } = await gateway.register(
      platform,
      await pack({ ...files, [path]: text }),
    )
    expect(status).toBe(422)
    expect(body.message).toContain(path)
    expect(body.message).toContain(other)
    expect(body.files.toSorted()).toEqual([path, other].toSorted())
  })

  test('overloads in two files are two things', async () => {
    const { call } = await newPlatform({
      'functions/a.sql': one,
      'functions/b.sql': `create function one(a text) ${sql('select 2')}`,
    })
    expect((await call('one', { a: 1 })).rows).toEqual([{ one: 1 }])
  })
})

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
    expect(body).toMatchObject({ ...ready, functions_deployed: 2 })
    expect(body.warnings.join()).toContain(
      'functions/list_items.sql: function public.list_items() is gone',
    )
    expect(body.warnings.join()).toContain('views/v.sql: view public.v is gone')
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

test('C6: a function whose new columns look like another’s arguments', async () => {
  const { deploy, call } = await newPlatform({
    'functions/list.sql': `create or replace function list_members(p_limit int, p_offset int) ${sql('select 1')}`,
  })
  const next = {
    'functions/list.sql':
      'create or replace function list_members(p_limit int) returns table (o_id int) language sql as $$ select 5 $$;',
  }
  const { plan } = (await deploy(next, { dry_run: 'true' })).body
  expect(plan[0].functions).toEqual({
    create: ['public.list_members(integer)'],
    change: [],
    drop: ['public.list_members(integer, integer)'],
  })
  const { body } = await deploy(next)
  expect(body).toMatchObject({
    ...ready,
    functions_dropped: ['public.list_members(integer, integer)'],
    functions_deployed: 1,
  })
  expect((await call('list_members', [1])).rows).toEqual([{ o_id: 5 }])
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

test('C8: an argument’s type is renamed by a migration', async () => {
  const { deploy, call, query } = await newPlatform({
    'migrations/001_base.sql': `create type kind as enum ('a');`,
    'functions/f.sql': `create or replace function f(k kind, n int) ${sql('select n')}`,
    ...textFunction('motto', 'm'),
  })
  const { body } = await deploy({
    'migrations/002_rename.sql': 'alter type kind rename to sort;',
    'functions/f.sql': `create or replace function f(k sort, n int) ${sql('select n + 1')}`,
  })
  expect(body).toMatchObject(ready)
  expect((await call('f', { k: 'a', n: 1 })).rows).toEqual([{ f: 2 }])
  await query('drop type sort cascade')
  const gone = await deploy({
    'functions/f.sql': `create or replace function f(k text, n int) ${sql('select n + 2')}`,
  })
  expect(gone.body).toMatchObject(ready)
  expect((await call('f', { k: 'a', n: 1 })).rows).toEqual([{ f: 3 }])
})

describe('sections', () => {
  const base: Files = {
    'schemas/app.sql': `create schema app; comment on schema app is 'one';`,
    'migrations/001_base.sql':
      'create table app.item (id int, name text); alter table app.item enable row level security;',
    'functions/stamp.sql': `create or replace function app.stamp() returns trigger language plpgsql as $$ begin new.name := 'a'; return new; end $$;`,
    'triggers/item.sql':
      'create trigger stamp before insert on app.item for each row execute function app.stamp();',
    'policies/item.sql': 'create policy mine on app.item using (id = 1);',
  }

  test('schemas/ runs first of all, and again', async () => {
    const { deploy, query } = await newPlatform(base)
    const { body } = await deploy({
      'schemas/app.sql': `create schema app; comment on schema app is 'two';`,
    })
    expect(body).toMatchObject(ready)
    expect(await query(`select obj_description('app'::regnamespace) as c`)).toEqual([{ c: 'two' }])
    const gone = await deploy({ 'schemas/app.sql': undefined })
    expect(gone.body.warnings.join()).toContain('schemas/app.sql is gone')
    expect(await query('select * from app.item')).toEqual([])
  })

  test('triggers/ and policies/ are replaced, and go with their files', async () => {
    const { deploy, query } = await newPlatform(base)
    const { body } = await deploy({
      'triggers/item.sql':
        'create trigger stamp before insert or update on app.item for each row execute function app.stamp();',
      'policies/item.sql': 'create policy mine on app.item for select using (id = 2);',
    })
    expect(body).toMatchObject(ready)
    expect(
      await query(`select pg_get_triggerdef(oid) as t from pg_trigger where tgname = 'stamp'`),
    ).toEqual([{ t: expect.stringContaining('INSERT OR UPDATE') }])
    expect(await query('select polcmd from pg_policy')).toEqual([{ polcmd: 'r' }])
    const allow = 'functions_missing'
    const plan = (await deploy({ 'triggers/item.sql': undefined }, { dry_run: 'true', allow })).body
      .plan[0]
    expect(plan.others.drop).toEqual(['trigger stamp on app.item'])
    const gone = await deploy(
      { 'triggers/item.sql': undefined, 'policies/item.sql': undefined },
      { allow },
    )
    expect(gone.body.warnings.join()).toMatch(/policy/)
    expect(await query(`select from pg_trigger where tgname = 'stamp'`)).toEqual([])
    expect(await query('select from pg_policy')).toEqual([])
  })

  test('they take over what migrations made', async () => {
    const { deploy, query } = await newPlatform({
      ...base,
      'triggers/item.sql': '',
      'policies/item.sql': '',
      'migrations/002_by_migration.sql': `
        create function app.old() returns trigger language plpgsql as $$ begin return new; end $$;
        create trigger stamp before insert on app.item for each row execute function app.old();
        create policy mine on app.item using (id = 9);`,
    })
    const { body } = await deploy({
      'triggers/item.sql': base['triggers/item.sql']!,
      'policies/item.sql': base['policies/item.sql']!,
    })
    expect(body).toMatchObject(ready)
    expect(
      await query(`select pg_get_triggerdef(oid) as t from pg_trigger where tgname = 'stamp'`),
    ).toEqual([{ t: expect.stringContaining('app.stamp()') }])
  })

  test('an error names its section and line', async () => {
    const { deploy } = await newPlatform(base)
    const bad = await deploy({
      'triggers/bad.sql':
        '\ncreate trigger x before insert on nowhere execute function app.stamp();',
    })
    expect(bad.body).toMatchObject({
      error: 'trigger_deploy_failed',
      file: 'triggers/bad.sql',
      line: 2,
    })
    const policy = await deploy({
      'policies/bad.sql': 'create policy x on app.item using (nothing = 1);',
    })
    expect(policy.body).toMatchObject({
      error: 'policy_deploy_failed',
      file: 'policies/bad.sql',
      line: 1,
    })
    const schema = await deploy({ 'schemas/bad.sql': 'create schema pg_bad;' })
    expect(schema.body).toMatchObject({ error: 'schema_deploy_failed', file: 'schemas/bad.sql' })
  })
})

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
