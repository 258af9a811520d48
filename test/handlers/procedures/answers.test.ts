import { describe, expect, test } from 'vitest'
import type { Json } from '../../helpers/gateway.ts'
import { mostHeld } from '../../helpers/most-held.ts'

import {
  define,
  failure,
  gateway,
  noted,
  platform,
  post,
  rows,
  rowsText,
  seen,
  setUp,
} from './setup.ts'

setUp()

describe('the answer of a procedure', () => {
  test('is one row of its INOUT and OUT parameters, in their order', async () => {
    await define(`
      create procedure add_up(p_a int, out o_sum int, inout p_text text, p_b int default 10,
        inout p_c int default 0)
      language plpgsql as $$ begin o_sum := p_a + p_b; p_text := p_text || '!'; end $$
    `)
    expect(await rows('add_up', [1, 'x'])).toEqual([{ o_sum: 11, p_text: 'x!', p_c: 0 }])
    expect(await rows('add_up', [1, 'x', 2, 3])).toEqual([{ o_sum: 3, p_text: 'x!', p_c: 3 }])
    expect(await rows('add_up', { p_text: 'y', p_a: 1 })).toEqual([
      { o_sum: 11, p_text: 'y!', p_c: 0 },
    ])
    expect(await rows('add_up', { p_text: 'y', p_a: 1, p_c: 5 })).toEqual([
      { o_sum: 11, p_text: 'y!', p_c: 5 },
    ])
  })

  test('has no rows where it has none of them', async () => {
    await define(`
      create procedure add_note(p_body text) language sql
      as $$ insert into note values (p_body) $$;
      create procedure nothing() language plpgsql as $$ begin end $$
    `)
    expect((await gateway.call(platform, 'add_note', ['one'])).body).toEqual({
      rows: [],
      row_count: 0,
      execution_time_ms: expect.any(Number),
    })
    expect(await noted('one')).toBe(1)
    expect(await rows('nothing')).toEqual([])
  })

  test('names those that have no name as PostgreSQL does, and keeps two of one name', async () => {
    await define(`
      create procedure unnamed(int, out int, out text) language sql as $$ select $1 + 1, 'x' $$;
      create procedure same_name(out column2 int, out int) language sql as $$ select 1, 2 $$;
      create procedure odd_names(inout "a b" int, out "C" int, out "x""y" int, out r int)
      language sql as $$ select 1, 2, 3, 4 $$
    `)
    expect(await rows('unnamed', [1])).toEqual([{ column1: 2, column2: 'x' }])
    expect(await rowsText('same_name', '[]')).toBe('[{"column2":1,"column2":2}]')
    expect(await rows('odd_names', { 'a b': 0 })).toEqual([{ 'a b': 1, C: 2, 'x"y': 3, r: 4 }])
  })

  test('is as exact as that of a function', async () => {
    const parameters = `
      inout p_big bigint, inout p_numeric numeric, inout p_float float8, inout p_text text,
      inout p_bytes bytea, inout p_at timestamptz, inout p_json json, inout p_jsonb jsonb,
      inout p_ints int[], inout p_jsons jsonb[], inout p_mood mood, inout p_positive positive,
      inout p_pair pair, inout p_pairs pair[], inout p_nest nest, inout p_range int4range,
      inout p_char char(3), inout p_bits varbit, inout p_none text`
    await define(`
      create type mood as enum ('sad', 'happy');
      create domain positive as int not null check (value > 0);
      create type pair as (n numeric, t text);
      create type nest as (pairs pair[], at timestamptz, raw json);
      create procedure everything(${parameters}) language plpgsql as $$ begin end $$;
      create function everything_too(${parameters}) language plpgsql as $$ begin end $$
    `)
    const params = `[
      9223372036854775807, 12345678901234567890.10, 0.1, "é 😀 \\"q\\" \\\\ \\n",
      "\\\\x00ff", "2024-02-29T12:00:00.123456+02:00", {"b": 1.50, "a": null}, {"b":1e400},
      [1, null, 2], [[1], {"a": "{\\\\"}, null], "happy", 5,
      {"n": 1.50, "t": "a,b \\"c\\""}, [{"n": 0.10}, null], {"pairs": [{"t": "(x)"}],
      "at": "0044-03-15 12:00:00 BC", "raw": {"k": 1.0}}, "[1,5]",
      "ab", "0101", null
    ]`
    const answer = await rowsText('everything', params)
    expect(answer).toMatch(/^\[\{"p_big":9223372036854775807,"p_numeric":12345678901234567890\.10,/)
    expect(answer).toBe(await rowsText('everything_too', params))
  })

  test('may be of any type where that follows from the values', async () => {
    await define(`
      create procedure double(inout p_value anyelement, out o_list anyarray, out o_note text)
      language plpgsql
      as $$ begin o_list := array[p_value, p_value]; o_note := pg_typeof(p_value); end $$
    `)
    expect(await rowsText('double', '[1.50]')).toBe(
      '[{"p_value":1.50,"o_list":[1.50,1.50],"o_note":"numeric"}]',
    )
    expect(await rows('double', { p_value: { a: 1 } })).toEqual([
      { p_value: { a: 1 }, o_list: [{ a: 1 }, { a: 1 }], o_note: 'jsonb' },
    ])
  })

  test('is refused where it has columns that nobody knows', async () => {
    await define(`
      create procedure some_record(out o_row record) language plpgsql
      as $$ begin insert into note values ('record'); o_row := row(1, 2); end $$
    `)
    expect(await failure('some_record')).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringContaining('composite type'),
    })
    expect(await noted('record')).toBe(0)
  })

  test('that is larger than MAX_RESULT_BYTES is refused', async () => {
    await define(`
      create procedure large(out o_text text) language sql as $$ select repeat('x', 100000) $$
    `)
    expect(await failure('large')).toMatchObject({ error: 'result_too_large' })
  })

  test('counts as it is read, and is not read where it is larger than MAX_RESULT_BYTES', async () => {
    await define(`
      create procedure note_and_give(p_bytes int, out o_text text) language plpgsql as $$
      begin
        insert into note values ('given');
        o_text := repeat('x', p_bytes);
      end $$
    `)
    const given = (bytes: number, transaction?: boolean) => {
      const calls = [{ function: 'note_and_give', params: [bytes] }]
      if (transaction === undefined) return post(calls[0]!)
      return post({ calls, transaction }, '/batch')
    }
    for (const transaction of [undefined, true, false]) {
      // PostgreSQL's texts, and their JSON.
      const most = await mostHeld(gateway, async () => {
        expect((await given(90_000, transaction)).status).toBe(200)
      })
      expect(most).toBeGreaterThan(180_000)
      let told: Json
      const least = await mostHeld(gateway, async () => {
        const { body } = await given(10_000_000, transaction)
        told = body.results?.[0] ?? body
      })
      expect(least).toBe(0)
      expect(told).toMatchObject({ error: 'result_too_large' })
      expect(told.message).not.toContain('stream')
      expect(told.may_have_run).toBe(transaction ? undefined : true)
    }
    expect(await noted('given')).toBe(5)
  })
})

describe('its parameters', () => {
  test('are taken apart like those of a function', async () => {
    await define(`
      create type point2 as (x int, y int);
      create type shape as (name text, points point2[]);
      create procedure take(
        p_point point2, out o_text text, p_shapes shape[], p_grid int[] default '{}'
      ) language plpgsql
      as $$ begin o_text := format('%s %s %s', p_point, p_shapes, p_grid); end $$
    `)
    const shapes = [{ name: 'a b', points: [{ x: 1 }, { x: 2, y: 3 }] }, null]
    const text =
      '(1,2) {"(\\"a b\\",\\"{\\"\\"(1,)\\"\\",\\"\\"(2,3)\\"\\"}\\")",NULL} {{1,2},{3,4}}'
    const grid = [
      [1, 2],
      [3, 4],
    ]
    expect(await rows('take', [{ x: 1, y: 2 }, shapes, grid])).toEqual([{ o_text: text }])
    expect(await rows('take', { p_grid: grid, p_shapes: shapes, p_point: { x: 1, y: 2 } })).toEqual(
      [{ o_text: text }],
    )
    expect(await rows('take', ['(1,2)', '{}'])).toEqual([{ o_text: '(1,2) {} {}' }])
  })

  test.each([
    ['p_point', [{ x: 'a' }, []], 'point2', '22P02'],
    ['p_shapes', [null, [{ points: [{ y: 1.5 }] }]], 'shape[]', '22P02'],
    ['p_grid', [null, null, ['x']], 'integer[]', '22P02'],
    ['p_grid', [null, null, 'x'], 'integer[]', '22P02'],
  ])('that do not convert are named: %s', async (parameter, params, type, sqlstate) => {
    const error = await failure('take', params)
    expect(error).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter,
      type,
      sqlstate,
    })
    const why = error.cause.split(' | ')[0]
    expect(error.message).toBe(`Parameter ${parameter} (${type}) does not convert: ${why}`)
  })

  test('may be VARIADIC', async () => {
    await define(`
      create procedure count_all(out o_count int, variadic p_ids int[]) language plpgsql
      as $$ begin o_count := cardinality(p_ids); end $$
    `)
    expect(await rows('count_all', [1, 2, 3])).toEqual([{ o_count: 3 }])
    expect(await rows('count_all', [[1, 2]])).toEqual([{ o_count: 2 }])
    expect(await rows('count_all', { p_ids: [7] })).toEqual([{ o_count: 1 }])
    expect(await rows('count_all', [])).toEqual([{ o_count: 0 }])
  })

  test('choose among procedures and functions of one name', async () => {
    await define(`
      create procedure pick(p_id int, out o_which text) language sql as $$ select 'integer' $$;
      create procedure pick(p_name text, out o_which text) language sql as $$ select 'text' $$;
      create procedure pick(p_name text, p_id int, out o_which text) language sql
      as $$ select 'both' $$;
      create function pick(p_flag boolean) returns text language sql as $$ select 'function' $$
    `)
    expect(await rows('pick', [1])).toEqual([{ o_which: 'integer' }])
    expect(await rows('pick', ['x'])).toEqual([{ o_which: 'text' }])
    expect(await rows('pick', { p_id: '1' })).toEqual([{ o_which: 'integer' }])
    expect(await rows('pick', ['x', 1])).toEqual([{ o_which: 'both' }])
    expect(await rows('pick', [true])).toEqual([{ pick: 'function' }])
    // As PostgreSQL chooses for a literal without a type.
    expect(await rows('pick', [null])).toEqual([{ o_which: 'text' }])
    await define('drop procedure pick(text)')
    expect(await failure('pick', [null])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      candidates: ['pick(IN p_id integer, OUT o_which text)', 'pick(p_flag boolean)'].sort(),
    })
  })

  test('that no procedure takes are a 404 with what there is', async () => {
    await define(`
      create procedure archive_patient(p_patient_id int, out o_rows int) language sql
      as $$ select 1 $$
    `)
    const text = 'archive_patient(IN p_patient_id integer, OUT o_rows integer)'
    expect(await failure('archive_patient', [1, null])).toEqual({
      status: 404,
      error: 'function_not_found',
      message: `No procedure archive_patient takes 2 parameters; there is ${text}`,
      candidates: [text],
    })
    expect(await failure('archive_patient', { patientId: 1 })).toEqual({
      status: 404,
      error: 'function_not_found',
      message:
        'No procedure archive_patient takes parameters named patientId; did you mean ' +
        `p_patient_id? There is ${text}`,
      candidates: [text],
      suggestions: ['p_patient_id'],
    })
  })
})

test.each([
  ['its session', ''],
  ['its session, and commits', 'commit;'],
])('an encoding that a procedure sets for %s ends it with an error', async (_, more) => {
  await define(`
    create or replace procedure latin(inout p_word text) language plpgsql as $$
    begin set client_encoding = 'LATIN1'; p_word := 'é'; ${more} end $$`)
  await seen('latin', ['x']).toMatchObject({
    error: 'query_failed',
    message: expect.stringContaining('client_encoding was left set to LATIN1'),
    may_have_run: true,
  })
  expect(await rowsText('ping', '[]')).toBe('[{"ping":"pong"}]')
})
