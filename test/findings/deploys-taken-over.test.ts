import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectTo,
  dropDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// What moves from one section of an archive to another, what a failed deploy has left behind, and
// whether the state of a database or a checksum decides what is made.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

function textFunction(name: string, body = "select 'x'::text"): string {
  return `create or replace function ${name}() returns text language sql as $$ ${body} $$;`
}

function platform() {
  const name = uniqueName('moved')
  const database = `${name}_main`
  return {
    name,
    database,
    deploy: async (files: Files, flags: Record<string, string> = {}): Promise<Json> => {
      const answer = await gateway.register(name, await pack(files), undefined, flags)
      return { http: answer.status, ...answer.body }
    },
    query: (text: string): Promise<Json[]> => queryDatabase(database, text),
    call: async (name_: string): Promise<number> => (await gateway.call(name, name_, [])).status,
  }
}

function without(files: Files, ...paths: string[]): Files {
  return Object.fromEntries(Object.entries(files).filter(([path]) => !paths.includes(path)))
}

describe('1, 6: what another section makes now is no leftover', () => {
  const TRIGGER =
    'create or replace trigger audit before update on t for each row execute function suppress_redundant_updates_trigger();'
  const FILES: Files = {
    'migrations/001.sql': 'create table t (id int);',
    'functions/f.sql': textFunction('f'),
    'functions/g.sql': textFunction('g'),
    'functions/h.sql': textFunction('h'),
    'views/v.sql': 'create or replace view v as select id from t;',
    'views/w.sql': 'create or replace view w as select id from t;',
    'triggers/a.sql': TRIGGER,
    'triggers/b.sql': TRIGGER.replace('audit', 'other'),
  }
  const MOVED = ['functions/f.sql', 'views/v.sql', 'triggers/a.sql']
  const rest = without(FILES, ...MOVED)
  const text = MOVED.map((path) => FILES[path]).join('\n')
  const there = `
    select to_regproc('f') is not null as f, to_regclass('v') is not null as v,
      exists (select from pg_trigger where tgname = 'audit') as a
  `
  const ALL = [{ f: true, v: true, a: true }]

  test.each([
    ['its text', text],
    ['a DO block', `do $do$ begin execute $x$ ${text} $x$; end $do$;`],
    ['a file outside of transactions', `-- gateway: no-transaction\n${text}`],
  ])('a migration takes it over: %s', async (_, migration) => {
    const { deploy, query, call } = platform()
    await deploy(FILES)
    const next = { ...rest, 'migrations/002.sql': migration }
    const answer = await deploy(next)
    expect(answer).toMatchObject({ http: 200, functions_dropped: [] })
    expect(await query(there)).toEqual(ALL)
    expect(await call('f')).toBe(200)
    // What is still nobody's goes.
    const last = await deploy(without(next, 'functions/h.sql'))
    expect(last).toMatchObject({ http: 200, functions_dropped: ['public.h()'] })
    expect(await query(there)).toEqual(ALL)
  })

  test('a migration that a failed deploy has committed takes it over', async () => {
    const { deploy, query } = platform()
    await deploy(FILES)
    const next = { ...rest, 'migrations/002.sql': `-- gateway: no-transaction\n${text}` }
    const failed = await deploy({ ...next, 'functions/g.sql': textFunction('g', 'selekt 1') })
    expect(failed.http).toBe(422)
    expect(await deploy(next)).toMatchObject({ http: 200, functions_dropped: [] })
    expect(await query(there)).toEqual(ALL)
  })

  test('a type moves from functions/ to types/', async () => {
    const { deploy, query } = platform()
    const type = 'create type pair as (a int, b int);'
    const files: Files = { 'functions/a.sql': type, 'functions/f.sql': textFunction('f') }
    await deploy(files)
    const next = { ...without(files, 'functions/a.sql'), 'types/pair.sql': type }
    expect(await deploy(next)).toMatchObject({ http: 200 })
    expect(await query(`select typname from pg_type where typname = 'pair'`)).toHaveLength(1)
    const user =
      'create or replace function g() returns pair language sql as $$ select (1, 2)::pair $$;'
    expect(await deploy({ ...next, 'functions/g.sql': user })).toMatchObject({ http: 200 })
  })
})

describe('2: what a failed deploy has committed', () => {
  test('functions are checked against it by the next one', async () => {
    const { deploy } = platform()
    const files: Files = {
      'migrations/001.sql': 'create table t (a int);',
      'functions/f.sql': textFunction('f'),
      'functions/g.sql':
        'create or replace function g() returns int language sql as $$ select a from t $$;',
    }
    await deploy(files)
    const next = {
      ...files,
      'migrations/002.sql': '-- gateway: no-transaction\nalter table t rename column a to b;',
      'functions/f.sql': textFunction('f', 'selekt 1'),
    }
    expect((await deploy(next)).http).toBe(422)
    const mended = { ...next, 'functions/f.sql': textFunction('f', `select 'y'::text`) }
    expect(await deploy(mended)).toMatchObject({ http: 422, file: 'functions/g.sql' })
  })
})

describe('15, 16: what a file drops of what others make', () => {
  test('15: another file runs again', async () => {
    const { deploy, call } = platform()
    const files: Files = {
      'functions/a.sql': textFunction('a'),
      'functions/b.sql': textFunction('b'),
    }
    await deploy(files)
    const next = {
      ...files,
      'functions/a.sql': `drop function if exists b(); ${textFunction('a')}`,
    }
    expect(await deploy(next)).toMatchObject({ http: 200, functions_deployed: 2 })
    expect([await call('a'), await call('b')]).toEqual([200, 200])
  })

  test('16: what goes with a CASCADE is made again', async () => {
    const { deploy, query, call } = platform()
    const head = 'drop function if exists x() cascade;'
    const files: Files = {
      'migrations/001.sql': 'create table t (id text);',
      'functions/x.sql': head + textFunction('x'),
      'views/v.sql': 'create or replace view v as select x() as x;',
      'functions/at.sql':
        'create or replace function at_x() returns text language sql begin atomic select x(); end;',
      'policies/p.sql': 'create policy p on t using (id = x());',
    }
    expect((await deploy(files)).http).toBe(200)
    const next = { ...files, 'functions/x.sql': head + textFunction('x', `select 'y'::text`) }
    expect(await deploy(next)).toMatchObject({ http: 200 })
    expect(await query('select x from v')).toEqual([{ x: 'y' }])
    expect(await query('select polname from pg_policy')).toEqual([{ polname: 'p' }])
    expect(await call('at_x')).toBe(200)
  })
})

describe('7: tables and types that are gone are made again', () => {
  const FILES: Files = {
    'types/pair.sql': 'create type pair as (a int, b int);',
    'types/mood.sql': `create type mood as enum ('good', 'bad');`,
    'tables/t.sql': 'create table t (id int primary key);',
    'tables/u.sql': 'create table u (id int);',
    'functions/f.sql': textFunction('f'),
  }
  const there = `
    select to_regclass('u') is not null as u, to_regtype('pair') is not null as pair,
      to_regtype('mood') is not null as mood
  `
  test.each([
    ['the same archive', FILES],
    ['another function', { ...FILES, 'functions/f.sql': textFunction('f', `select 'z'::text`) }],
  ])('%s', async (_, next) => {
    const { deploy, query } = platform()
    await deploy(FILES)
    await query('drop table u; drop type pair; drop type mood')
    expect(await deploy(next)).toMatchObject({ http: 200, tables_created: ['u'] })
    expect(await query(there)).toEqual([{ u: true, pair: true, mood: true }])
  })
})

describe('10, 11: templates', () => {
  let copying: TestGateway
  beforeAll(async () => {
    copying = await startTestGateway({ TEMPLATES: 'on' })
  })
  afterAll(() => copying.stop())

  const admin = (text: string): Promise<Json[]> =>
    queryDatabase(copying.server.database, text, { asGateway: true })
  const settled = (name: string, count: number) =>
    until(async () => {
      const rows = await admin(
        `select from _db_gateway_templates where platform = '${name}' and state <> 'unfinished'`,
      )
      return rows.length >= count
    })

  test('10: a database that somebody else makes meanwhile is not dropped', async () => {
    const name = uniqueName('meanwhile')
    const archive = await pack({ 'functions/f.sql': textFunction('f') })
    await copying.register(name, archive)
    await settled(name, 1)
    const lock = connectTo(copying.server.database)
    await lock.unsafe('begin; lock table _db_gateway_templates in access exclusive mode')
    const registering = copying.register(name, archive, 'theirs')
    await until(async () => {
      const rows = await admin(
        `select from pg_locks where not granted and relation = '_db_gateway_templates'::regclass`,
      )
      return rows.length > 0
    })
    await admin(`create database ${name}_theirs`)
    await queryDatabase(`${name}_theirs`, 'create table precious (id int)', { asGateway: true })
    await lock.unsafe('commit')
    await lock.end()
    const { status, body } = await registering
    expect({ status, error: body.error }).toEqual({ status: 409, error: 'name_conflict' })
    await queryDatabase(`${name}_theirs`, 'select from precious', { asGateway: true })
    await dropDatabase(`${name}_theirs`)
  })

  test('11: code that migrations name is proven from nothing', async () => {
    const name = uniqueName('proven')
    const norm = (body: string) =>
      `create or replace function norm(x text) returns text language sql immutable as $$ select ${body} $$;`
    const files: Files = {
      'migrations/001.sql': 'create table t (id int, c text);',
      'migrations/002.sql': `insert into t select 1, outer_norm('A');`,
      'functions/outer.sql':
        'create or replace function outer_norm(x text) returns text language plpgsql immutable as $$ begin return norm(x); end $$;',
      'functions/norm.sql': norm('lower(x)'),
      'functions/f.sql': textFunction('f'),
      'functions/g.sql': textFunction('g'),
    }
    await copying.register(name, await pack(files))
    await settled(name, 1)
    const changed = await pack({ ...files, 'functions/norm.sql': norm(`upper(x) || '!'`) })
    await copying.migrate(name, changed)
    await copying.register(name, changed, 'two')
    expect(await queryDatabase(`${name}_two`, 'select c from t')).toEqual([{ c: 'A!' }])
    const gone = await copying.migrate(
      name,
      await pack(without(files, 'functions/norm.sql', 'functions/outer.sql')),
    )
    expect(JSON.stringify(gone.body)).toContain('new_tenants_fail: migrations/002.sql')
  })
})
