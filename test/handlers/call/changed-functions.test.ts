import { describe, expect, test } from 'vitest'
import { type Json, type TestGateway, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

import { define, failure, gateway, other, platform, rows, setUp } from './setup.ts'

setUp()

describe('a function that has changed', () => {
  const changed = async (before: string, after: string) => {
    await define(`drop routine if exists chameleon; create ${before}`)
    await gateway.call(platform, 'chameleon', [1])
    await define(`drop routine if exists chameleon; create ${after}`)
  }
  const sql = 'language sql as'
  /** What is changed by hand is seen within 5 s, and looked for once a second at most. */
  const IN_TIME = { timeout: 8000, interval: 250 }
  const seen = (name: string, params: unknown) =>
    expect.poll(async () => (await gateway.call(platform, name, params)).body, IN_TIME)

  test('by a deploy takes its new parameters at once', async () => {
    const name = uniqueName('deploys')
    const deploy = async (text: string) =>
      gateway.register(name, await pack({ 'functions/f.pssql': text }), undefined, {
        allow: 'functions_missing',
      })
    const call = async (params: unknown) => (await gateway.call(name, 'f', params)).body
    await deploy(`create or replace function f(p_a int) returns int ${sql} $$ select p_a $$;`)
    expect(await call({ p_a: 1 })).toMatchObject({ rows: [{ f: 1 }] })
    await deploy(`create or replace function f(p_b text) returns text ${sql} $$ select p_b $$;`)
    expect(await call({ p_b: 'x' })).toMatchObject({ rows: [{ f: 'x' }] })
    expect(await call(['x'])).toMatchObject({ rows: [{ f: 'x' }] })
    expect(await call({ p_a: 1 })).toMatchObject({
      error: 'function_not_found',
      candidates: ['f(p_b text)'],
    })
    await deploy(`create or replace function f(p_b text) returns void ${sql} $$ select 1 $$;`)
    expect(await call(['x'])).toMatchObject({ rows: [{ f: '' }] })
    await deploy(`create or replace function g() returns int ${sql} $$ select 1 $$;`)
    expect(await call(['x'])).toMatchObject({ error: 'function_not_found' })
  })

  test('by a deploy through another gateway', async () => {
    const name = uniqueName('deploys')
    const deploy = async (text: string) =>
      other.register(name, await pack({ 'functions/f.pssql': text }))
    const call = async (params: unknown) => (await gateway.call(name, 'f', params)).body
    await deploy(`create or replace function f(p_a int) returns int ${sql} $$ select p_a $$;`)
    expect(await call([1])).toMatchObject({ rows: [{ f: 1 }] })
    await deploy(`create or replace function f(p_a bigint) returns void ${sql} $$ select 1 $$;`)
    expect(await call([1])).toMatchObject({ rows: [{ f: '' }] })
    await deploy(`create or replace function f(p_b bigint) returns bigint ${sql} $$ select p_b $$;`)
    expect(await call({ p_b: 3000000000 })).toMatchObject({ rows: [{ f: 3000000000 }] })
  })

  test.each<[string, string, string, unknown, Json[] | undefined]>([
    [
      'another return type',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(p int) returns table (a int, b text) ${sql} $$ select p, 'x' $$`,
      [1],
      [{ a: 1, b: 'x' }],
    ],
    [
      'a value instead of void',
      `function chameleon(p int) returns void ${sql} $$ select p $$`,
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      [1],
      [{ chameleon: 1 }],
    ],
    [
      'void instead of a value',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(p int) returns void ${sql} $$ select p $$`,
      [1],
      [{ chameleon: '' }],
    ],
    [
      'another type of parameter',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(p text) returns text ${sql} $$ select p || '!' $$`,
      ['x'],
      [{ chameleon: 'x!' }],
    ],
    [
      'a wider type, with a value that needs it',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(p numeric) returns numeric ${sql} $$ select p $$`,
      [1.5],
      [{ chameleon: 1.5 }],
    ],
    [
      'a time zone, which is not lost',
      `function chameleon(p timestamp) returns text ${sql} $$ select p::text $$`,
      `function chameleon(p timestamptz) returns text ${sql} $$ select p::text $$`,
      ['2024-01-01T00:00:00+02:00'],
      [{ chameleon: '2023-12-31 22:00:00+00' }],
    ],
    [
      'other names',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(q int) returns int ${sql} $$ select q $$`,
      { q: 1 },
      [{ chameleon: 1 }],
    ],
    [
      'one parameter more',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(p int, q int) returns int ${sql} $$ select p + q $$`,
      [1, 2],
      [{ chameleon: 3 }],
    ],
    [
      'a default',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(p int default 5) returns int ${sql} $$ select p $$`,
      [],
      [{ chameleon: 5 }],
    ],
    [
      'VARIADIC',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `function chameleon(variadic p int[]) returns int ${sql} $$ select p[2] $$`,
      [1, 2],
      [{ chameleon: 2 }],
    ],
    [
      'no VARIADIC any more',
      `function chameleon(variadic p int[]) returns int ${sql} $$ select p[1] $$`,
      `function chameleon(p int) returns int ${sql} $$ select -p $$`,
      [1],
      [{ chameleon: -1 }],
    ],
    [
      'an aggregate instead',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      'aggregate chameleon(int) (sfunc = int4pl, stype = int)',
      [1],
      undefined,
    ],
  ])('behind the back of the gateway: %s', async (_, before, after, params, expected) => {
    await changed(before, after)
    // What is changed by hand is seen within 5 s; mostly by the first call that does not fit.
    const call = async () => {
      const { status, body } = await gateway.call(platform, 'chameleon', params)
      return expected ? body.rows : status
    }
    await expect.poll(call, IN_TIME).toEqual(expected ?? 404)
  })

  test('behind the back of the gateway: gone, and there again', async () => {
    await changed(
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      'schema if not exists unrelated',
    )
    await expect
      .poll(() => failure('chameleon', [1]), IN_TIME)
      .toMatchObject({
        status: 404,
        error: 'function_not_found',
        message: 'There is no function chameleon',
      })
    await define(`create function chameleon(p int) returns int ${sql} $$ select p $$`)
    expect(await rows('chameleon', [1])).toEqual([{ chameleon: 1 }])
  })

  test('behind the back of the gateway: an overload for what did not convert', async () => {
    await define(`
      drop function if exists chameleon;
      create function chameleon(p int) returns text ${sql} $$ select 'int' $$
    `)
    await seen('chameleon', ['x']).toMatchObject({ error: 'invalid_request' })
    await define(`create function chameleon(p text) returns text ${sql} $$ select 'text' $$`)
    await seen('chameleon', ['x']).toMatchObject({ rows: [{ chameleon: 'text' }] })
    expect(await rows('chameleon', [1])).toEqual([{ chameleon: 'int' }])
    await define('drop function chameleon(text)')
    await seen('chameleon', ['x']).toMatchObject({ error: 'invalid_request', type: 'integer' })
    await define('drop function chameleon(int)')
  })

  test('a table that its rows are of has another column', async () => {
    await define(`
      create table thing (id int);
      insert into thing values (1);
      create function things() returns setof thing ${sql} $$ select * from thing $$;
      create function add_thing(p_thing thing) returns int ${sql} $$ select p_thing.id $$
    `)
    expect(await rows('things')).toEqual([{ id: 1 }])
    expect(await rows('add_thing', [{ id: 1 }])).toEqual([{ add_thing: 1 }])
    await define(`alter table thing add column name text default 'new'`)
    expect(await rows('things')).toEqual([{ id: 1, name: 'new' }])
    await define('alter table thing alter column id type text using id::text')
    await define(`
      create or replace function add_thing(p_thing thing) returns int
      ${sql} $$ select length(p_thing.id) $$
    `)
    expect(await rows('things')).toEqual([{ id: '1', name: 'new' }])
    expect(await rows('add_thing', [{ id: 'abc', name: 'x' }])).toEqual([{ add_thing: 3 }])
  })

  test('a migration through the gateway has added a column to its table', async () => {
    const name = uniqueName('adds')
    const files = {
      'migrations/001_things.pssql': `create table thing (id int); insert into thing values (1);`,
      'functions/things.pssql': `create or replace function things() returns setof thing ${sql} $$
        select * from thing $$;`,
    }
    await gateway.register(name, await pack(files))
    const call = async (on: TestGateway) => (await on.call(name, 'things')).body.rows
    for (const on of [gateway, other]) expect(await call(on)).toEqual([{ id: 1 }])
    const more = { 'migrations/002_name.pssql': `alter table thing add column name text;` }
    expect(await gateway.migrate(name, await pack({ ...files, ...more }))).toMatchObject({
      status: 200,
    })
    for (const on of [gateway, other]) expect(await call(on)).toEqual([{ id: 1, name: null }])
  })

  test('a type of its parameters was dropped and made anew', async () => {
    const make = (definition: string) => `
      create type shade as ${definition};
      create function tint(p_shade shade) returns text ${sql} $$ select p_shade::text $$`
    await define(make(`enum ('light')`))
    expect(await rows('tint', ['light'])).toEqual([{ tint: 'light' }])
    await define(`drop type shade cascade; ${make(`enum ('dark')`)}`)
    await seen('tint', ['dark']).toMatchObject({ rows: [{ tint: 'dark' }] })
    await define(`drop type shade cascade; ${make('(name text, part real)')}`)
    await seen('tint', [{ name: 'a', part: 0.5 }]).toMatchObject({ rows: [{ tint: '(a,0.5)' }] })
  })

  test('an enum has another label', async () => {
    await define(`
      create type color as enum ('red');
      create function paint(p_color color) returns color ${sql} $$ select p_color $$
    `)
    expect(await failure('paint', ['blue'])).toMatchObject({ status: 400 })
    await define(`alter type color add value 'blue'`)
    expect(await rows('paint', ['blue'])).toEqual([{ paint: 'blue' }])
  })

  test('again and again while it is called, answers as it was before or after', async () => {
    const versions = [
      `returns table (a int) ${sql} $$ select 1 $$`,
      `returns table (b text) language plpgsql as $$ begin b := 'two'; return next; end $$`,
    ]
    await define(`create function flicker() ${versions[0]}`)
    let done = false
    const callers = Array.from({ length: 4 }, async () => {
      const answers = new Set<string>()
      while (!done) {
        const { status, body } = await gateway.call(platform, 'flicker')
        answers.add(`${status} ${JSON.stringify(body.rows ?? body.error)}`)
      }
      return answers
    })
    for (let i = 1; i <= 30; i++) {
      await define(
        `begin; drop function flicker(); create function flicker() ${versions[i % 2]}; commit`,
      )
    }
    done = true
    const answers = new Set((await Promise.all(callers)).flatMap((set) => [...set]))
    // One that was replaced again while the call was tried again.
    answers.delete('404 "function_not_found"')
    expect([...answers].sort()).toEqual(['200 [{"a":1}]', '200 [{"b":"two"}]'])
  })
})
