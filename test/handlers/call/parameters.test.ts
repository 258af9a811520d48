import { beforeAll, describe, expect, test } from 'vitest'

import { define, failure, rows, setUp } from './setup.ts'

setUp()

describe('parameters', () => {
  beforeAll(async () => {
    await define(`
      create function greet(p_name text, p_greeting text default 'Hello', p_mark text default '!')
      returns text language sql as $$ select p_greeting || ', ' || p_name || p_mark $$;
      create function unnamed(int, text) returns text language sql as $$ select $1 || $2 $$
    `)
  })

  test.each([
    [['Ann'], 'Hello, Ann!'],
    [['Ann', 'Bye'], 'Bye, Ann!'],
    [['Ann', 'Bye', '.'], 'Bye, Ann.'],
    [{ p_name: 'Ann' }, 'Hello, Ann!'],
    [{ p_mark: '?', p_name: 'Ann' }, 'Hello, Ann?'],
    [{ p_greeting: 'Hi', p_mark: '', p_name: 'Ann' }, 'Hi, Ann'],
    [['Ann', null], null],
  ])('%j', async (params, greeting) => {
    expect(await rows('greet', params)).toEqual([{ greet: greeting }])
  })

  test('of a function that names none go by position', async () => {
    expect(await rows('unnamed', [1, 'x'])).toEqual([{ unnamed: '1x' }])
    expect(await failure('unnamed', ['x', 'x'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringMatching(/^Parameter 1 \(integer\) does not convert: /),
    })
  })

  test.each([
    ['too few', [], '0 parameters'],
    ['too many', ['a', 'b', 'c', 'd'], '4 parameters'],
    ['a wrong name', { patient: 'Ann' }, 'parameters named patient'],
    ['one wrong name', { p_name: 'Ann', p_hello: 'Hi' }, 'parameters named p_name, p_hello'],
    ['one missing', { p_greeting: 'Hi' }, 'parameters named p_greeting'],
  ])('%s: 404 with what there is', async (_, params, given) => {
    const text =
      "greet(p_name text, p_greeting text DEFAULT 'Hello'::text, p_mark text DEFAULT '!'::text)"
    expect(await failure('greet', params)).toEqual({
      status: 404,
      error: 'function_not_found',
      message: `No function greet takes ${given}; there is ${text}`,
      candidates: [text],
    })
  })

  test.each([
    [{ name: 'Ann' }, ['p_name'], 'p_name'],
    [{ P_NAME: 'Ann' }, ['p_name'], 'p_name'],
    [{ p_nmae: 'Ann', marks: '!' }, ['p_name', 'p_mark'], 'p_name or p_mark'],
    [{ p_name: 'Ann', p_greetings: 'Hi' }, ['p_greeting'], 'p_greeting'],
    [{ pName: 'Ann', color: 'red' }, ['p_name'], 'p_name'],
  ])('%j: 404 with the names that may be meant', async (params, suggestions, said) => {
    const error = await failure('greet', params)
    expect(error).toMatchObject({ status: 404, error: 'function_not_found', suggestions })
    expect(error.message).toContain(`; did you mean ${said}? There is greet(p_name text, `)
  })

  test('with names that need quotes', async () => {
    await define(`
      create function quoted("a b" int, "C" int, "x""y" int, "select" int) returns int[]
      language sql as $$ select array[$1, $2, $3, $4] $$
    `)
    expect(await rows('quoted', { select: 4, 'x"y': 3, 'a b': 1, C: 2 })).toEqual([
      { quoted: [1, 2, 3, 4] },
    ])
  })

  test('are left out, null or empty where there are none', async () => {
    for (const params of [undefined, null, [], {}]) {
      expect(await rows('ping', params)).toEqual([{ ping: 'pong' }])
    }
  })

  test('are neither a string, a number nor a boolean', async () => {
    for (const params of ['x', 1, 1.5, true, '']) {
      expect(await failure('ping', params)).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringContaining('params must be an array'),
      })
    }
  })

  test('may be as many as PostgreSQL takes', async () => {
    const names = Array.from({ length: 100 }, (_, i) => `p_${i} int`)
    await define(`
      create function hundred(${names.join()}) returns int language sql as $$ select p_99 $$
    `)
    expect(
      await rows(
        'hundred',
        names.map((_, i) => i),
      ),
    ).toEqual([{ hundred: 99 }])
  })

  test('are values and never SQL', async () => {
    const text = `'); drop table note; select ('"$1\\`
    expect(await rows('greet', [text, '', ''])).toEqual([{ greet: `, ${text}` }])
    const named = { 'p_name" => null); drop table note; --': 1 }
    expect(await failure('greet', named)).toMatchObject({ error: 'function_not_found' })
  })
})

describe('overloads', () => {
  beforeAll(async () => {
    await define(`
      create function pick() returns text language sql as $$ select 'nothing' $$;
      create function pick(p_id int) returns text language sql as $$ select 'integer' $$;
      create function pick(p_name text) returns text language sql as $$ select 'text' $$;
      create function pick(p_flag boolean) returns text language sql as $$ select 'boolean' $$;
      create function pick(p_ids int[]) returns text language sql as $$ select 'integers' $$;
      create function pick(p_names text[]) returns text language sql as $$ select 'texts' $$;
      create function pick(p_data jsonb) returns text language sql as $$ select 'jsonb' $$;
      create function pick(p_id int, p_name text) returns text language sql
      as $$ select 'integer and text' $$;
      create function pick(p_name text, p_id int) returns text language sql
      as $$ select 'text and integer' $$
    `)
  })

  test.each([
    [[], 'nothing'],
    [[1], 'integer'],
    [['1'], 'text'],
    [[false], 'boolean'],
    [[[1, 2]], 'integers'],
    [[['a']], 'texts'],
    [[{ a: 1 }], 'jsonb'],
    [[1, 'x'], 'integer and text'],
    [['x', 1], 'text and integer'],
    [{ p_id: '1' }, 'integer'],
    [{ p_name: 'x' }, 'text'],
    [{ p_data: 1 }, 'jsonb'],
    [{ p_ids: [] }, 'integers'],
  ])('%j runs the one for %s', async (params, expected) => {
    expect(await rows('pick', params)).toEqual([{ pick: expected }])
  })

  test('two that fit alike are a 400 with both', async () => {
    expect(await failure('pick', ['a', 'b'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      candidates: ['pick(p_id integer, p_name text)', 'pick(p_name text, p_id integer)'],
    })
  })

  test('null is a literal without a type, which becomes text', async () => {
    expect(await rows('pick', [null])).toEqual([{ pick: 'text' }])
  })

  test('none that fits is a 404 with all', async () => {
    const error = await failure('pick', [1, 2, 3])
    expect(error).toMatchObject({ status: 404, error: 'function_not_found' })
    expect(error.candidates).toHaveLength(9)
  })

  test('a number goes to the type that it has in PostgreSQL', async () => {
    await define(`
      create function kind(p_n int) returns text language sql as $$ select 'int' $$;
      create function kind(p_n bigint) returns text language sql as $$ select 'bigint' $$;
      create function kind(p_n numeric) returns text language sql as $$ select 'numeric' $$
    `)
    expect(await rows('kind', [1])).toEqual([{ kind: 'int' }])
    expect(await rows('kind', [3000000000])).toEqual([{ kind: 'bigint' }])
    expect(await rows('kind', [1.5])).toEqual([{ kind: 'numeric' }])
  })

  test('with a default that makes two fit are ambiguous, as in PostgreSQL', async () => {
    await define(`
      create function twice(p_a int) returns int language sql as $$ select 1 $$;
      create function twice(p_a int, p_b int default 0) returns int language sql as $$ select 2 $$
    `)
    expect(await failure('twice', [1])).toMatchObject({ status: 400, error: 'invalid_request' })
    expect(await rows('twice', [1, 2])).toEqual([{ twice: 2 }])
  })
})

describe('VARIADIC', () => {
  beforeAll(async () => {
    await define(`
      create function joined(p_sep text, variadic p_parts text[]) returns text language sql
      as $$ select array_to_string(p_parts, p_sep, 'null') $$;
      create function total(variadic p_numbers numeric[] default '{100}') returns numeric
      language sql as $$ select coalesce(sum(n), 0) from unnest(p_numbers) n $$;
      create function any_of(variadic p_values anyarray) returns text language sql
      as $$ select array_to_string(p_values, '|') $$
    `)
  })

  test.each([
    ['none', ['-'], ''],
    ['one', ['-', 'a'], 'a'],
    ['many', ['-', 'a', null, 'b,c', '"d"'], 'a-null-b,c-"d"'],
    ['the array itself', ['-', ['a', 'b']], 'a-b'],
    ['an empty array', ['-', []], ''],
    ['by name', { p_sep: '-', p_parts: ['a', 'b'] }, 'a-b'],
    ['none by name', { p_sep: '-' }, ''],
    ['null', ['-', null], null],
  ])('%s', async (_, params, expected) => {
    expect(await rows('joined', params)).toEqual([{ joined: expected }])
  })

  test('with a default', async () => {
    expect(await rows('total', [])).toEqual([{ total: 100 }])
    expect(await rows('total', [1, 2.5])).toEqual([{ total: 3.5 }])
    expect(await rows('total', [[]])).toEqual([{ total: 0 }])
  })

  test('of any type', async () => {
    expect(await rows('any_of', [1, 2])).toEqual([{ any_of: '1|2' }])
    expect(await rows('any_of', ['a', 'b', 'c'])).toEqual([{ any_of: 'a|b|c' }])
  })

  test('without what comes before is a 404', async () => {
    expect(await failure('joined', [])).toMatchObject({
      status: 404,
      candidates: ['joined(p_sep text, VARIADIC p_parts text[])'],
    })
    expect(await failure('joined', { p_parts: ['a'] })).toMatchObject({ status: 404 })
  })

  test('a value that does not convert is named as the array', async () => {
    expect(await failure('total', [1, 'x'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p_numbers',
      type: 'numeric[]',
    })
  })
})

describe('polymorphic functions', () => {
  beforeAll(async () => {
    await define(`
      create function same(p_a anyelement, p_b anyelement) returns boolean language sql
      as $$ select p_a = p_b $$;
      create function common(p_a anycompatible, p_b anycompatible) returns text language sql
      as $$ select pg_typeof(p_a) $$;
      create function lengths(p_a anyarray) returns int language sql as $$ select cardinality(p_a) $$
    `)
  })

  test('take the type of the value', async () => {
    expect(await rows('same', [1, 1])).toEqual([{ same: true }])
    expect(await rows('same', ['a', 'b'])).toEqual([{ same: false }])
    expect(await rows('same', { p_a: [1, 2], p_b: [1, 2] })).toEqual([{ same: true }])
    expect(await rows('common', [1, 2.5])).toEqual([{ common: 'numeric' }])
    expect(await rows('lengths', [['a', 'b']])).toEqual([{ lengths: 2 }])
  })

  test('with values that have no type in common are a 404', async () => {
    expect(await failure('same', [1, 'a'])).toMatchObject({
      status: 404,
      error: 'function_not_found',
      candidates: ['same(p_a anyelement, p_b anyelement)'],
    })
    expect(await failure('lengths', [5])).toMatchObject({ status: 404 })
  })
})
