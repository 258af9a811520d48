import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import type { Files } from '../helpers/platforms.ts'
import { newPlatform as newPlatformOf } from '../helpers/releases.ts'

// What a file makes is what it has made in the end, where it sets the search path and renames too.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const APP: Files = {
  'schemas/app.sql': 'create schema app;',
  'migrations/001_t.sql': 'create table t (id int);',
}
const newPlatform = (files: Files) => newPlatformOf(gateway, { ...APP, ...files })

const FUNCTIONS = `select p.oid::regprocedure::text as name, prosrc as body from pg_proc p
  where pronamespace in ('public'::regnamespace, 'app'::regnamespace) order by 1`
const body = (value: number) => `returns int language sql as $$ select ${value} $$;`

describe("set_config('search_path', …) at the head of a file", () => {
  test.each([
    ["select pg_catalog.set_config('search_path', 'app', false);", 'app.one()'],
    [`select set_config('search_path', '"no such", app, public', true);`, 'app.one()'],
  ])('%s', async (head, name) => {
    const file = (value: number) => ({
      'functions/one.sql': `${head} create function one() ${body(value)}`,
    })
    const { deploy, query } = await newPlatform({
      ...file(1),
      'functions/two.sql': `create or replace function two() ${body(2)}`,
    })
    const changed = await deploy(file(3))
    expect(changed.body).toMatchObject({
      status: 'ready',
      functions_deployed: 2,
      functions_changed: 1,
    })
    expect(await query(FUNCTIONS)).toContainEqual({ name, body: ' select 3 ' })
    const gone = await deploy({ 'functions/one.sql': undefined })
    expect(gone.body).toMatchObject({
      status: 'ready',
      functions_dropped: [name],
      functions_deployed: 1,
    })
    expect((await query(FUNCTIONS)).map((one) => one.name)).toEqual(['two()'])
  })
})

describe('a file that renames what it makes', () => {
  test('a function, into another schema too', async () => {
    const file = (value: number) => ({
      'functions/one.sql': `create or replace function draft(a int default 1) ${body(value)}
        alter function draft(int) rename to one; alter function one set schema app;
        create or replace function two() ${body(value)}`,
    })
    const { deploy, query } = await newPlatform(file(1))
    await query(
      'grant execute on function app.one to public; comment on function app.one(int) is $$it$$',
    )
    const changed = await deploy(file(3))
    expect(changed.body).toMatchObject({
      status: 'ready',
      functions_deployed: 2,
      functions_changed: 2,
    })
    expect(await query(FUNCTIONS)).toEqual([
      { name: 'app.one(integer)', body: ' select 3 ' },
      { name: 'two()', body: ' select 3 ' },
    ])
    const [{ comment }] = await query(
      `select obj_description('app.one(int)'::regprocedure) as comment`,
    )
    expect(comment).toBe('it')
    await query('drop function app.one')
    const again = await deploy({ 'migrations/002_none.sql': 'select 1;' })
    expect(again.body.warnings).toEqual([
      'functions/one.sql: function app.one(integer) is gone; it has been made again',
    ])
    const gone = await deploy({ 'functions/one.sql': undefined }, { allow: 'functions_missing' })
    expect(gone.body.functions_dropped.toSorted()).toEqual(['app.one(integer)', 'public.two()'])
    expect(await query(FUNCTIONS)).toEqual([])
  })

  test('a view, a materialized view and a trigger', async () => {
    const files = (value: number): Files => ({
      'views/v.sql': `create view v0 as select ${value} as n; alter view v0 rename to v;`,
      'views/m.sql': `create materialized view m0 as select ${value} as n; alter materialized view m0 rename to m;`,
      'functions/f.sql': `create or replace function f() returns trigger language plpgsql as $$ begin return new; end $$;`,
      'triggers/t.sql': `create trigger t0 after ${value > 1 ? 'insert' : 'delete'} on t execute function f(); alter trigger t0 on t rename to t1;`,
    })
    const { deploy, query } = await newPlatform(files(1))
    const changed = await deploy(files(2))
    expect(changed.body).toMatchObject({ status: 'ready' })
    expect(await query('select v.n as v, m.n as m from v, m')).toEqual([{ v: 2, m: 2 }])
    const triggers = await query(
      `select tgname, tgtype & 4 > 0 as inserts from pg_trigger where not tgisinternal`,
    )
    expect(triggers).toEqual([{ tgname: 't1', inserts: true }])
    const [{ n }] = await query(
      `select count(*)::int as n from pg_class where relname in ('v', 'm', 'v0', 'm0')`,
    )
    expect(n).toBe(2)
  })
})
