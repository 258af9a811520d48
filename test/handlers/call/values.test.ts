import { beforeAll, describe, expect, test } from 'vitest'

import { define, failure, rows, setUp } from './setup.ts'

setUp()

describe('a value that does not convert', () => {
  const values: [type: string, value: unknown][] = [
    ['integer', 'x'],
    ['integer', ''],
    ['integer', 1.5],
    ['integer', 2147483648],
    ['integer', true],
    ['integer', [1]],
    ['integer', { a: 1 }],
    ['smallint', 32768],
    ['numeric', '1,5'],
    ['boolean', 'perhaps'],
    ['date', '2024-02-30'],
    ['timestamp with time zone', 'soon'],
    ['time without time zone', '25:00'],
    ['interval', '1 lustrum'],
    ['uuid', 'not-a-uuid'],
    ['bytea', '\\x0'],
    ['inet', '1.2.3.400'],
    ['bit varying', '012'],
    ['xml', '<a>'],
    ['int4range', '[2,1]'],
    ['mood', 'angry'],
    ['mood', 5],
    ['positive', 0],
    ['positive', 'x'],
    ['short_list', [1, 2, 3]],
    ['short_list', ['x']],
    ['settings', { other: 1 }],
    ['settings', []],
    ['even', 3],
    ['even[]', [2, 3]],
    ['even_pair', { a: 2, b: 3 }],
    ['jsonb', 'lone \ud800'],
    ['jsonb', 'nul \0'],
    ['jsonb', { 'nul \0': 1 }],
    ['integer[]', ['x']],
    ['integer[]', [1, null, 1.5]],
    ['integer[]', [[1], [2, 3]]],
    ['integer[]', [[1], 2]],
    ['integer[]', [{ a: 1 }]],
    ['integer[]', { a: 1 }],
    ['integer[]', 5],
    ['integer[]', '1,2'],
    ['mood[]', ['happy', 'angry']],
    ['positive[]', [1, 0]],
    ['text[]', ['nul \0']],
    ['text[]', ['\ud800']],
    ['point2', { x: 'a' }],
    ['point2', [1, 2]],
    ['point2', 'x'],
    ['point2', '(1)'],
    ['point2', 5],
    ['point2[]', [{ x: 1 }, { y: 'a' }]],
    ['shape', { mood: 'angry' }],
    ['shape', { size: 0 }],
    ['shape', { origin: { x: 1.5 } }],
    ['shape', { origin: [1] }],
    ['shape', { Origin: { x: 1 } }],
    ['shape', { origin: { z: 1 } }],
    ['shape', { points: [{ x: 1 }, { x: 'a' }] }],
    ['shape', { points: {} }],
  ]
  const types = [...new Set(values.map(([type]) => type))]

  beforeAll(async () => {
    await define(`
      create type mood as enum ('sad', 'happy');
      create domain positive as int check (value > 0);
      create domain short_list as int[] check (cardinality(value) < 3);
      create domain settings as jsonb check (value ? 'name');
      create type point2 as (x int, y int);
      create type shape as (name text, mood mood, origin point2, size positive, points point2[]);
      create function is_even(p_n int) returns boolean language plpgsql as $$
      begin
        if p_n % 2 <> 0 then raise exception '% is odd', p_n using errcode = 'PT418'; end if;
        return true;
      end $$;
      create domain even as int check (is_even(value));
      create type even_pair as (a even, b even);
      create function takes_even(p_n even) returns int language sql as $$ select 1 $$;
      create function takes_shape(p_shape shape) returns int language plpgsql
      as $$ begin return 1; end $$
    `)
    const functions = types.map(
      (type, i) => `
        create function takes_${i}(p_before text[], p_value ${type}) returns text
        language plpgsql as $$ begin return 'taken'; end $$`,
    )
    await define(functions.join(';'))
  })

  test.each(values)('%s: %j', async (type, value) => {
    const name = `takes_${types.indexOf(type)}`
    for (const params of [[['a'], value], { p_value: value, p_before: [] }]) {
      const error = await failure(name, params)
      expect(error).toMatchObject({
        status: 400,
        error: 'invalid_request',
        parameter: 'p_value',
        type,
        cause: expect.any(String),
      })
      const why = error.cause.split(' | ')[0]
      expect(error.message).toBe(`Parameter p_value (${type}) does not convert: ${why}`)
    }
  })

  test('says what PostgreSQL says of it', async () => {
    expect(await failure('takes_even', ['x'])).toEqual({
      status: 400,
      error: 'invalid_request',
      message: 'Parameter p_n (even) does not convert: invalid input syntax for type integer: "x"',
      parameter: 'p_n',
      type: 'even',
      cause: 'invalid input syntax for type integer: "x"',
      sqlstate: '22P02',
    })
    expect(await failure('takes_shape', [{ mood: 'angry' }])).toMatchObject({
      cause: 'invalid input value for enum mood: "angry"',
      sqlstate: '22P02',
    })
  })

  test('says where it is, in words of the request', async () => {
    await define(`
      create function takes_lists(p_lists int[], int[] default null) returns int
      language plpgsql as $$ begin return 1; end $$
    `)
    for (const [params, hint] of [
      [[[[1], 2]], 'See the array element [1] of key "p_lists".'],
      [{ p_lists: { a: 1 } }, 'See the value of key "p_lists".'],
      [[[1], { a: 1 }], 'See the value of key "2".'],
    ]) {
      expect(await failure('takes_lists', params)).toMatchObject({ status: 400, hint })
    }
    expect(await failure('takes_shape', [{ points: 5 }])).toMatchObject({
      status: 400,
      hint: 'See the value of key "points".',
    })
  })

  test('text with a NUL character or half a surrogate pair', async () => {
    await define(`
      create or replace function takes_text(p_text text) returns text language sql
      as $$ select p_text $$
    `)
    for (const text of ['a\0b', '\0', 'a\ud800', '\udc00b']) {
      expect(await failure('takes_text', [text])).toMatchObject({
        status: 400,
        error: 'invalid_request',
        parameter: 'p_text',
        type: 'text',
      })
    }
    expect(await rows('takes_text', ['\ud83d\ude00'])).toEqual([{ takes_text: '😀' }])
  })

  test('is not an error with the same SQLSTATE from inside of the function', async () => {
    await define(`
      create function inner_cast(p_text text, p_ids int[]) returns int language plpgsql
      as $$ begin return p_text::int; end $$;
      create function inlined_cast(p_text text, p_ids int[]) returns int language sql immutable
      as $$ select p_text::int $$;
      create function inner_enum(p_text text, p_ids int[]) returns mood language plpgsql
      as $$ begin return p_text::mood; end $$;
      create function inner_json(p_text text, p_ids int[]) returns json language plpgsql
      as $$ begin return p_text::json; end $$;
      create function inner_domain(p_text text, p_ids int[]) returns positive language plpgsql
      as $$ begin return -length(p_text); end $$;
      create function inner_sql(p_text text, p_ids int[]) returns text language plpgsql
      as $$ begin execute format('select %L::int', p_text); return 1; end $$
    `)
    const text = 'x\nunnamed portal parameter $1'
    for (const [name, sqlstate] of [
      ['inner_cast', '22P02'],
      ['inlined_cast', '22P02'],
      ['inner_enum', '22P02'],
      ['inner_json', '22P02'],
      ['inner_domain', '23514'],
      ['inner_sql', '22P02'],
    ] as const) {
      for (const ids of [[1], '{1}', null]) {
        const error = await failure(name, [text, ids])
        expect(error).toMatchObject({ status: 400, error: 'query_failed', sqlstate })
        expect(error.parameter).toBeUndefined()
      }
    }
  })
})
