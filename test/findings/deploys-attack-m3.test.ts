import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

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
    expect(await deploy(next)).toMatchObject({ http: 200, tables_created: ['public.u'] })
    expect(await query(there)).toEqual([{ u: true, pair: true, mood: true }])
  })
})
