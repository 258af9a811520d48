import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createReader } from '../helpers/for-file.ts'
import { startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import type { Files } from '../helpers/platforms.ts'
import { newPlatform as newPlatformOf, type Platform } from '../helpers/releases.ts'

// Parts of tables, views and rules that stand in the way of a deploy.

const ROLE = await createReader()
let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const newPlatform = (base: Files) => newPlatformOf(gateway, base)

const ready = { status: 'ready' }

describe('parts of partitioned tables', () => {
  const k = (name: string) =>
    `create or replace function k(${name} int) returns int language sql immutable as $$ select ${name} $$;`
  const indexes = `
    select c.relname as name, i.indisvalid as valid, i.indisunique as "unique",
      pg_get_indexdef(c.oid) as definition, obj_description(c.oid) as comment,
      i.indisclustered as clustered, c.reloptions as options,
      (select h.inhparent::regclass::text from pg_inherits h where h.inhrelid = c.oid) as parent
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where c.relnamespace = 'public'::regnamespace and c.relname not like '\\_db%' order by 1`

  test('an index on a replaced function comes back on all partitions, unique and valid', async () => {
    const { deploy, query } = await newPlatform({
      'functions/k.sql': k('v'),
      'migrations/001.sql': `
        create table m (id int, d int) partition by range (d);
        create table m1 partition of m for values from (0) to (10);
        create table m2 partition of m for values from (10) to (100) partition by range (d);
        create table m2a partition of m2 for values from (10) to (50);
        create table m2b partition of m2 default;
        create index mi on m (k(id)) with (fillfactor = 70);
        create unique index mu on m (d, k(id));
        create index half on only m (k(d));
        create index half_1 on m1 (k(d));
        alter index half attach partition half_1;
        create index alone on m2a (k(id), d);
        alter index m1_k_idx rename to renamed;
        comment on index renamed is 'of m1';
        comment on index mi is 'of m';
        alter table m1 cluster on renamed;
        insert into m values (1, 1), (2, 50);`,
    })
    const before = await query(indexes)
    expect(before.length).toBeGreaterThan(10)
    const { body } = await deploy({ 'functions/k.sql': k('w') })
    expect(body).toMatchObject(ready)
    expect(await query(indexes)).toEqual(before)
    await expect(query('insert into m values (1, 1)')).rejects.toThrow(/duplicate key/)
  })

  test('an exclusion constraint and what is set on an index come back', async () => {
    const { deploy, query } = await newPlatform({
      'functions/k.sql': k('v'),
      'migrations/001.sql': `create table t (id int primary key, a int); insert into t values (1, 1);
        alter table t add constraint ex exclude using btree (k(a) with =) deferrable initially deferred;
        comment on constraint ex on t is 'one each';
        create index i on t (k(id)); alter index i alter column 1 set statistics 55;`,
    })
    const state = `
      select pg_get_constraintdef(k.oid) as definition, obj_description(k.oid) as comment,
        (select attstattarget::int from pg_attribute where attrelid = 'i'::regclass) as target
      from pg_constraint k where conname = 'ex'`
    const before = await query(state)
    expect((await deploy({ 'functions/k.sql': k('w') })).body).toMatchObject(ready)
    expect(await query(state)).toEqual(before)
    await expect(query('insert into t values (2, 1)')).rejects.toThrow(/conflicting key/)
  })

  test('a partition key, a domain and a statistics object: keep the function', async () => {
    const { deploy } = await newPlatform({
      'functions/k.sql': k('v'),
      'migrations/001.sql': 'create table p (a int) partition by range (k(a));',
    })
    const { status, body } = await deploy({ 'functions/k.sql': k('w') })
    expect(status).toBe(422)
    expect(body.hint).toMatch(/^Keep the function public\.k\(integer\) as it is/)
  })

  test('a default comes back where it was, and no other is overwritten', async () => {
    const { deploy, query } = await newPlatform({
      'functions/k.sql': k('v'),
      'migrations/001.sql': `
        create table m (id int default k(1), d int) partition by range (d);
        create table m1 partition of m for values from (0) to (10);
        create table m2 partition of m default;
        alter table m1 alter id set default 7;
        alter table m2 alter id drop default;`,
    })
    const defaults = `
      select c.relname as name, pg_get_expr(d.adbin, d.adrelid) as value
      from pg_attrdef d join pg_class c on c.oid = d.adrelid where c.relname ~ '^m' order by 1`
    const before = await query(defaults)
    const { body } = await deploy({ 'functions/k.sql': k('w') })
    expect(body).toMatchObject(ready)
    expect(await query(defaults)).toEqual(before)
  })
})

describe('rules are made by files', () => {
  const base = {
    'migrations/001.sql': 'create table t (id int primary key, a text, b int);',
    'views/v.sql': 'create or replace view v as select * from t;',
  }
  const rule = (name = 'rl') =>
    `create or replace rule ${name} as on delete to v do instead delete from t where id = old.id;`
  const release2 = {
    'migrations/002.sql': 'alter table t add c int;',
    'views/v.sql': 'create or replace view v as select c as z, t.* from t;',
  }
  const rules = `select rulename as name from pg_rules where schemaname = 'public' order by 1`

  test('a rule goes with its view and comes back', async () => {
    const { deploy, query } = await newPlatform({ ...base, 'views/r.sql': rule() })
    await query(`comment on rule rl on v is 'hey'`)
    expect((await deploy(release2)).body).toMatchObject(ready)
    await query('insert into t values (1); delete from v')
    expect(await query('select * from t')).toEqual([])
    const [row] = await query(
      `select obj_description(oid, 'pg_rewrite') as text from pg_rewrite where rulename = 'rl'`,
    )
    expect(row).toEqual({ text: 'hey' })
  })

  test('it may stand behind its view, and goes with its file', async () => {
    const { deploy, query } = await newPlatform({
      ...base,
      'views/v.sql': `${base['views/v.sql']} ${rule()}`,
    })
    const { body } = await deploy({
      ...release2,
      'views/v.sql': `${release2['views/v.sql']} ${rule()}`,
    })
    expect(body).toMatchObject(ready)
    expect(await query(rules)).toEqual([{ name: 'rl' }])
    expect((await deploy({ 'views/v.sql': release2['views/v.sql'] })).body).toMatchObject(ready)
    expect(await query(rules)).toEqual([])
  })

  test('one that a migration made is put back as it was', async () => {
    const { deploy, query } = await newPlatform({
      'functions/one.sql':
        'create or replace function one(a int) returns int language sql as $$ select a $$;',
      'migrations/001.sql': `create table t (id int); create table log (id int);
        create rule rl as on insert to t do also insert into log values (one(new.id));
        alter table t enable always rule rl;`,
    })
    const { body } = await deploy({
      'functions/one.sql':
        'create or replace function one(b int) returns int language sql as $$ select b $$;',
    })
    expect(body).toMatchObject(ready)
    await query('insert into t values (3)')
    expect(await query('select * from log')).toEqual([{ id: 3 }])
    expect(await query(`select ev_enabled from pg_rewrite where rulename = 'rl'`)).toEqual([
      { ev_enabled: 'A' },
    ])
  })
})

describe('what the archive cannot have is told with a way out', () => {
  test('a generated column', async () => {
    const slug = (name: string) =>
      `create or replace function slug(${name} text) returns text language sql immutable as $$ select ${name} $$;`
    const { deploy } = await newPlatform({
      'functions/f.sql': slug('x'),
      'migrations/001.sql':
        'create table t (id int, a text, s text generated always as (slug(a)) stored);',
    })
    const { status, body } = await deploy({ 'functions/f.sql': slug('y') })
    expect(status).toBe(422)
    expect(body).toMatchObject({
      file: 'functions/f.sql',
      cause: 'generated column s of table t depends on it',
    })
    expect(body.hint).toMatch(/another name.*generated always as/)
    // The way that the hint shows.
    const { body: after } = await deploy({
      'functions/f.sql': slug('x'),
      'functions/f2.sql': slug('y').replace('slug(', 'slug2('),
      'migrations/002.sql':
        'alter table t drop column s, add column s text generated always as (slug2(a)) stored;',
    })
    expect(after).toMatchObject(ready)
  })

  test('what is gone is named with its own file', async () => {
    const { deploy } = await newPlatform({
      'migrations/001.sql': `create function mf() returns int language sql as 'select 1';
        create table t (i int default mf());`,
    })
    await deploy({
      'functions/mf.sql':
        'create or replace function mf() returns int language sql as $$ select 2 $$;',
    })
    const { status, body } = await deploy({
      'functions/mf.sql': undefined,
      'functions/o.sql':
        'create or replace function o() returns int language sql as $$ select 3 $$;',
    })
    expect(status).toBe(422)
    expect(body.file).toBe('functions/mf.sql')
    expect(body.hint).toMatch(/Keep function public\.mf\(\).*default value/)
  })
})

describe('views in the way of a migration', () => {
  const base = {
    'migrations/001.sql': 'create table t (id int primary key, a text, b int);',
    'views/z.sql': 'create view item_summary as select id, a, max(b) as m from t group by id;',
    'views/y.sql': 'create view short as select id, m from item_summary;',
    'functions/all.sql':
      'create or replace function summaries() returns setof item_summary language sql stable as $$ select * from item_summary $$;',
  }
  const kept = `
    select relacl::text as acl, obj_description(oid) as comment, reloptions as options
    from pg_class where relname in ('item_summary', 'short') order by relname`
  const byHand = async ({ query }: Platform) => {
    await query(`grant select on item_summary, short to ${ROLE};
      comment on view item_summary is 'hey'; alter view item_summary set (security_barrier = true)`)
    await query(`revoke execute on function summaries() from public`)
    return query(kept)
  }
  const acl = `select proacl::text as acl from pg_proc where proname = 'summaries'`

  test('what people have set stays on what a migration drops', async () => {
    const platform = await newPlatform(base)
    const { deploy, query } = platform
    const before = await byHand(platform)
    const aclBefore = await query(acl)
    const { body } = await deploy({
      'migrations/002.sql':
        'drop view if exists item_summary cascade; alter table t alter b type bigint;',
    })
    expect(body).toMatchObject(ready)
    expect(await query(kept)).toEqual(before)
    expect(await query(acl)).toEqual(aclBefore)
  })

  test.each([
    ['retyped', 'alter table t alter b type bigint;'],
    [
      'freed of its key',
      'alter table t drop constraint t_pkey; alter table t add primary key (id);',
    ],
    ['dropped and made again', 'alter table t drop b; alter table t add b int;'],
  ])('a table is %s below a view of the archive', async (_, text) => {
    const platform = await newPlatform(base)
    const { deploy, query } = platform
    const before = await byHand(platform)
    const { body } = await deploy({ 'migrations/002.sql': text }, { allow: 'data_loss' })
    expect(body).toMatchObject(ready)
    expect(await query(kept)).toEqual(before)
  })

  test('a view that no file makes stays, and the error says what to write', async () => {
    const { deploy, query } = await newPlatform(base)
    await query('create view by_hand as select * from item_summary')
    const { status, body } = await deploy({
      'migrations/002.sql': 'alter table t alter b type bigint;',
    })
    expect(status).toBe(422)
    expect(body.hint).toMatch(/drop view if exists .* cascade/)
    expect(await query('select * from by_hand')).toEqual([])
  })
})

describe('functions that take the columns of tables', () => {
  test('they run again once a migration has changed those', async () => {
    const { deploy, query } = await newPlatform({
      'migrations/001.sql': 'create table t (id int, j numeric(10, 2));',
      'functions/g.sql':
        'create or replace function g(p t.j%type) returns t.j%type language plpgsql as $$ begin return p; end $$;',
      'functions/rows.sql':
        'create or replace function rows() returns setof t language sql stable begin atomic select * from t; end;',
    })
    const { body } = await deploy({
      'migrations/002.sql': 'alter table t add z int default 5; insert into t values (1, 2);',
    })
    expect(body).toMatchObject(ready)
    expect(await query('select id, z from rows()')).toEqual([{ id: 1, z: 5 }])
    const { body: retyped } = await deploy({
      'functions/rows.sql': undefined,
      'migrations/003.sql': 'alter table t alter j type text;',
    })
    expect(retyped).toMatchObject(ready)
    const found = `select pg_get_function_arguments(oid) as types from pg_proc where proname = 'g'`
    expect(await query(found)).toEqual([{ types: 'p text' }])
  })
})

describe('a function that a migration makes and functions/ has too', () => {
  const returns = (text: string) => `returns int language sql as $$ select ${text} $$;`

  test('the migration makes it, and the file replaces it; others are made ahead still', async () => {
    const { query } = await newPlatform({
      'migrations/001.sql': `create function mf() ${returns('1')}
        create table t (i int default mf(), j int default other(), k int default mf(3));`,
      'functions/mf.sql': `create or replace function mf() ${returns('2')}`,
      'functions/mf1.sql': `create or replace function mf(a int) ${returns('a')}`,
      'functions/other.sql': `create or replace function other() ${returns('5')}`,
    })
    expect(await query('insert into t default values returning *')).toEqual([{ i: 2, j: 5, k: 3 }])
  })
})
