import { describe, expect, test } from 'vitest'
import { uniqueName } from '../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../helpers/platforms.ts'

// Functions, views, triggers and policies that the first design lost, did not notice or could not
// replace.

import { gateway, newPlatform, ready, setUp, sql, TABLE } from './setup.ts'

await setUp()

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
