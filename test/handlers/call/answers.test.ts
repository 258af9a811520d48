import { describe, expect, test } from 'vitest'

import {
  database,
  define,
  failure,
  gateway,
  pingBody,
  platform,
  raw,
  rows,
  setUp,
} from './setup.ts'

setUp()

describe('the answer', () => {
  test('has the rows, their number and the time', async () => {
    await define(`
      create function three() returns table (n int, word text) language sql
      as $$ values (1, 'one'), (2, 'two'), (3, null) $$
    `)
    const { status, headers, body } = await gateway.call(platform, 'three')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(body).toEqual({
      rows: [
        { n: 1, word: 'one' },
        { n: 2, word: 'two' },
        { n: 3, word: null },
      ],
      row_count: 3,
      execution_time_ms: expect.any(Number),
    })
    expect(Number.isInteger(body.execution_time_ms)).toBe(true)
  })

  test('of a function that returns no rows has none', async () => {
    await define(`
      create function nothing() returns setof int language sql as $$ select 1 where false $$;
      create function nothing_at_all() returns table (a int, b text) language plpgsql
      as $$ begin end $$
    `)
    for (const name of ['nothing', 'nothing_at_all']) {
      expect((await gateway.call(platform, name)).body).toMatchObject({ rows: [], row_count: 0 })
    }
  })

  test('has thousands of rows, in their order', async () => {
    await define(`
      create function count_to(p_n int) returns setof int language sql
      as $$ select generate_series(1, p_n) $$
    `)
    const numbers = await rows('count_to', [5000])
    expect(numbers.map((row) => row.count_to)).toEqual(
      Array.from({ length: 5000 }, (_, i) => i + 1),
    )
  })

  test('tells that what was done is done', async () => {
    await define(`
      create table note (body text);
      create function add_note(p_body text) returns void language sql
      as $$ insert into note values (p_body) $$;
      create function add_and_fail(p_body text) returns void language plpgsql
      as $$ begin insert into note values (p_body); raise exception 'no'; end $$
    `)
    await rows('add_note', ['kept'])
    await failure('add_and_fail', ['undone'])
    expect(await define('select body from note')).toEqual([{ body: 'kept' }])
  })
})

describe('the shape of the result', () => {
  test.each([
    [
      'a scalar is one row whose column is the name of the function',
      'returns int',
      'select 7',
      [{ shape: 7 }],
    ],
    ['null is a row, too', 'returns int', 'select null::int', [{ shape: null }]],
    [
      'a set of scalars',
      'returns setof text',
      `values ('a'), ('b')`,
      [{ shape: 'a' }, { shape: 'b' }],
    ],
    ['a composite is its columns', 'returns pair', `select (1, 'x')::pair`, [{ a: 1, b: 'x' }]],
    [
      'a set of composites',
      'returns setof pair',
      `values (1, 'x'), (2, null)`,
      [
        { a: 1, b: 'x' },
        { a: 2, b: null },
      ],
    ],
    ['a table', 'returns table (c int, d text)', `values (1, 'x')`, [{ c: 1, d: 'x' }]],
    ['an array', 'returns int[]', `select '{1,2}'::int[]`, [{ shape: [1, 2] }]],
    [
      'an array of composites',
      'returns pair[]',
      `select array[(1, 'x')::pair]`,
      [{ shape: [{ a: 1, b: 'x' }] }],
    ],
    ['JSON', 'returns json', `select '{"a": [1, {}]}'::json`, [{ shape: { a: [1, {}] } }]],
  ])('%s', async (_, returns, sql, expected) => {
    await define(`
      drop function if exists shape;
      drop type if exists pair;
      create type pair as (a int, b text);
      create function shape() ${returns} language sql as $$ ${sql} $$
    `)
    expect(await rows('shape')).toEqual(expected)
  })

  test('OUT parameters are columns, one alone as well', async () => {
    await define(`
      create function one_out(p_a int, out o_b int) language sql as $$ select p_a + 1 $$;
      create function two_out(out o_a int, p_b int, out o_c text) language sql
      as $$ select p_b, 'c' $$;
      create function in_out(inout x int, inout y int default 10) language plpgsql
      as $$ begin x := x + y; y := -y; end $$
    `)
    expect(await rows('one_out', [1])).toEqual([{ o_b: 2 }])
    expect(await rows('two_out', [5])).toEqual([{ o_a: 5, o_c: 'c' }])
    expect(await rows('two_out', { p_b: 5 })).toEqual([{ o_a: 5, o_c: 'c' }])
    expect(await rows('in_out', [1, 2])).toEqual([{ x: 3, y: -2 }])
    expect(await rows('in_out', { x: 1 })).toEqual([{ x: 11, y: -10 }])
  })

  test('void is one row with an empty string, whatever the language', async () => {
    await define(`
      create function void_sql() returns void language sql as $$ select 1 $$;
      create function void_plpgsql() returns void language plpgsql as $$ begin end $$;
      create function void_atomic() returns void language sql begin atomic select 1; end
    `)
    for (const name of ['void_sql', 'void_plpgsql', 'void_atomic']) {
      expect(await rows(name)).toEqual([{ [name]: '' }])
    }
  })

  test('columns may have any name', async () => {
    await define(`
      create function odd_names() returns table (
        r int, "rows" text, "row of call" int, row_count int, "r.*" int, "select" int,
        "a ""b""" int, "Été" int, is_current boolean, odd_names int
      ) language sql
      as $$ values (1, 'x', 2, 3, 4, 5, 6, 7, false, 8) $$
    `)
    expect(await rows('odd_names')).toEqual([
      {
        r: 1,
        rows: 'x',
        'row of call': 2,
        row_count: 3,
        'r.*': 4,
        select: 5,
        'a "b"': 6,
        Été: 7,
        is_current: false,
        odd_names: 8,
      },
    ])
  })

  test('one column with the name of the function, or of something in the call', async () => {
    for (const name of ['r', 'rows', '"row of call"', 'row_count', 'is_current', 'v', 'x']) {
      await define(`
        drop function if exists single;
        create function single() returns table (${name} int) language sql as $$ values (1), (2) $$
      `)
      const column = name.replaceAll('"', '')
      expect(await rows('single')).toEqual([{ [column]: 1 }, { [column]: 2 }])
    }
  })

  test('a column that is a composite is an object', async () => {
    await define(`
      create type inner_pair as (r int, v text);
      create function outer_pair() returns table (r inner_pair, x int) language sql
      as $$ select (1, 'a')::inner_pair, 2 $$
    `)
    expect(await rows('outer_pair')).toEqual([{ r: { r: 1, v: 'a' }, x: 2 }])
  })

  test('json is answered to the letter, duplicate keys and all', async () => {
    await define(`
      create function as_written() returns table (o_value json) language sql
      as $$ select '{"b": 1.50,  "a":1e3, "a" : "\\u00e9"}'::json $$
    `)
    const { text } = await raw({ chunks: [JSON.stringify({ platform, function: 'as_written' })] })
    expect(text).toContain('[{"o_value":{"b": 1.50,  "a":1e3, "a" : "\\u00e9"}}]')
  })

  test('a record without a column list is refused', async () => {
    await define(`
      create function some_record() returns record language sql as $$ select 1, 2 $$;
      create function some_records() returns setof record language sql as $$ select 1, 2 $$
    `)
    for (const name of ['some_record', 'some_records']) {
      expect(await failure(name)).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringMatching(/^Function some_records?\(\) .*"returns table \(\.\.\.\)"/),
      })
    }
  })
})

describe('the request id', () => {
  test("is the client's own, in answers and in errors", async () => {
    for (const id of ['abc-123', 'a.b:c_d', '7', 'x'.repeat(128)]) {
      for (const body of [pingBody(), '{']) {
        const { headers } = await gateway.post('/call', body, { 'x-request-id': id })
        expect(headers.get('x-request-id')).toBe(id)
      }
    }
    expect(gateway.logged.some((line) => line.request_id === 'abc-123')).toBe(true)
  })

  test('is made where the client sends none, or none that is valid', async () => {
    const sent = ['', 'a b', 'a"b', 'é', 'x'.repeat(129), '<script>', 'a,b']
    const ids = new Set<string>()
    for (const id of [undefined, ...sent]) {
      const { headers } = await gateway.post('/call', pingBody(), id ? { 'x-request-id': id } : {})
      expect(headers.get('x-request-id')).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      ids.add(headers.get('x-request-id')!)
    }
    expect(ids.size).toBe(sent.length + 1)
  })
})

test('the log has a line for each call, with its platform and database, without its values', async () => {
  await define(`
    create function whisper(p_word text) returns text language plpgsql
    as $$ begin raise exception '%', p_word; end $$
  `)
  const body = { platform, function: 'whisper', params: ['Mr. Secret'] }
  await gateway.post('/call', body, { 'x-request-id': 'logged' })
  await new Promise((resolve) => setTimeout(resolve, 50))
  const line = gateway.logged.find((one) => one.request_id === 'logged')
  expect(line).toMatchObject({ method: 'POST', path: '/call', status: 400, platform, database })
  expect(JSON.stringify(gateway.logged)).not.toContain('Secret')
})
