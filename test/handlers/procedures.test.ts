import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { mostHeld } from '../helpers/most-held.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const platform = uniqueName('procedures')
const database = `${platform}_main`
let gateway: TestGateway

/** Runs SQL in the platform's database, behind the gateway's back. */
const define = (sql: string) => queryDatabase(database, sql)

beforeAll(async () => {
  gateway = await startTestGateway({ MAX_RESULT_BYTES: '100000' })
  const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  expect(body).toMatchObject({ status: 'ready' })
  await define(`
    create table note (body text);
    create function notes() returns setof text language sql as $$ select body from note $$
  `)
})
afterAll(() => gateway.stop())

/** The rows of a call that succeeds. */
async function rows(name: string, params?: unknown): Promise<Json[]> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body).toMatchObject({ rows: expect.any(Array), row_count: body.rows?.length })
  expect(status).toBe(200)
  return body.rows
}

/** What is changed by hand is seen within 5 s, and looked for once a second at most. */
const seen = (name: string, params: unknown) =>
  expect.poll(async () => (await gateway.call(platform, name, params)).body, {
    timeout: 8000,
    interval: 250,
  })

/** The status and the body of a call that fails. */
async function failure(name: string, params?: unknown): Promise<Json> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body.rows).toBeUndefined()
  return { status, ...body }
}

const post = (body: Json, path = '/call') => gateway.post(path, { platform, ...body })

/** The rows of the answer as they are written. */
async function rowsText(name: string, params: string): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}}`,
  })
  const text = await response.text()
  return /^\{"rows":(.*),"row_count":1,"execution_time_ms":\d+\}$/s.exec(text)?.[1] ?? text
}

/** How often a text was noted, which begins so. */
async function noted(body: string): Promise<number> {
  const [row] = await define(
    `select count(*)::int as times from note where starts_with(body, '${body}')`,
  )
  return row.times
}

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

describe('its transactions', () => {
  test('are its own: what it has committed stays when it fails, and it does not run again', async () => {
    await define(`
      create procedure commit_and_fail(p_note text) language plpgsql as $$
      begin
        insert into note values (p_note || ' kept');
        commit;
        insert into note values (p_note || ' lost');
        raise exception 'no more' using errcode = 'PT418';
      end $$;
      create procedure commits(p_note text, p_times int, out o_done int) language plpgsql as $$
      begin
        o_done := 0;
        for i in 1..p_times loop
          insert into note values (p_note);
          if i % 2 = 0 then rollback; else commit; o_done := o_done + 1; end if;
        end loop;
      end $$
    `)
    expect(await failure('commit_and_fail', ['half'])).toMatchObject({
      status: 418,
      error: 'query_failed',
      message: 'no more',
      context: expect.stringContaining('commit_and_fail'),
    })
    expect([await noted('half kept'), await noted('half lost')]).toEqual([1, 0])
    expect(await rows('commits', { p_note: 'odd', p_times: 5 })).toEqual([{ o_done: 3 }])
    expect(await noted('odd')).toBe(3)
  })

  test('are not begun again, whatever its errors look like', async () => {
    // Errors of these kinds also come from a statement that is stale, or a call of nothing.
    const statements = {
      wrong_type: 'insert into narrow select * from wide',
      no_function: 'perform no_such_function(1)',
      no_type: `execute 'select 1::no_such_type'`,
      no_setting: `perform current_setting('no.such.setting')`,
      no_procedure: 'call no_such_procedure()',
      not_a_number: `perform 'x'::int`,
      not_a_parameter: `execute 'select $1::int' using 'x'::text`,
    }
    await define('create table narrow (n int); create table wide (n text);')
    for (const [name, statement] of Object.entries(statements)) {
      await define(`
        create procedure ${name}(p_ids int[], p_text text) language plpgsql as $$
        begin
          insert into note values ('${name}');
          commit;
          ${statement};
        end $$
      `)
      for (let calls = 1; calls <= 3; calls++) {
        expect(await failure(name, [[1], 'unnamed portal parameter $1'])).toMatchObject({
          error: 'query_failed',
          context: expect.stringContaining(name),
        })
        expect(await noted(name)).toBe(calls)
      }
    }
  })

  test('end when its time is up', async () => {
    const slow = await startTestGateway({ STATEMENT_TIMEOUT_SECS: '1' })
    try {
      const name = uniqueName('slow')
      const files = {
        'functions/nap.pssql': `
          create procedure nap(inout p_seconds float8) language plpgsql
          as $$ begin commit; perform pg_sleep(p_seconds); end $$;`,
      }
      expect(await slow.register(name, await pack(files))).toMatchObject({ status: 200 })
      expect(await slow.call(name, 'nap', [30])).toMatchObject({
        status: 504,
        body: { error: 'query_timeout' },
      })
      expect((await slow.call(name, 'nap', [0.01])).body.rows).toEqual([{ p_seconds: 0.01 }])
    } finally {
      await slow.stop()
    }
  })
})

describe('an error behind which something may be committed', () => {
  beforeAll(() =>
    define(`
      create procedure commit_first(p_body text, p_seconds float8 default 0, p_error text default null)
      language plpgsql as $$
      begin
        insert into note values (p_body);
        commit;
        perform pg_sleep(p_seconds);
        if p_error is not null then raise exception '%', p_error; end if;
        insert into note values (p_body || ' more');
      end $$;
      create procedure calls_one(p_body text) language plpgsql as $$
      begin call commit_first(p_body, 0, 'no'); end $$;
      create procedure raises(p_body text) language plpgsql as $$
      begin insert into note values (p_body); raise exception 'no'; end $$;
      create procedure sleeps(p_body text) language plpgsql as $$
      begin insert into note values (p_body); perform pg_sleep(5); end $$;
      create table paid (id int primary key,
        of int references paid deferrable initially deferred);
      create procedure pays_nobody() language sql as $$ insert into paid values (1, 7) $$;
      create function writes_much(p_body text) returns text language plpgsql as $$
      begin insert into note values (p_body); return repeat('x', 200000); end $$;
      create function reads_much() returns text language sql as $$ select repeat('x', 200000) $$;
    `),
  )
  test('says so: the procedure is cancelled', async () => {
    const call = { function: 'commit_first', params: ['cancelled', 5] }
    // Known from then on.
    await rows('commit_first', ['warm'])
    const { status, body } = await post({ ...call, timeout_ms: 700 })
    expect({ status, ...body }).toMatchObject({ status: 504, may_have_run: true })
    const batch = await post({ calls: [call], timeout_ms: 700 }, '/batch')
    expect(batch.body.results).toMatchObject([{ status: 504, may_have_run: true }])
    expect(await noted('cancelled')).toBe(2)
  })

  test('says so: the procedure, or one that it calls, raises it', async () => {
    const told = { status: 400, cause: 'no', may_have_run: true }
    expect(await failure('commit_first', ['raised', 0, 'no'])).toMatchObject(told)
    expect(await failure('calls_one', ['raised'])).toMatchObject(told)
    const calls = [{ function: 'commit_first', params: ['raised', 0, 'no'] }]
    expect((await post({ calls }, '/batch')).body.results).toMatchObject([told])
    expect(await noted('raised')).toBe(3)
  })

  test('says so: the rows of a function that has written are too many', async () => {
    const told = { status: 413, error: 'result_too_large', may_have_run: true }
    expect(await failure('writes_much', ['much'])).toMatchObject(told)
    const calls = [{ function: 'writes_much', params: ['much'] }]
    expect((await post({ calls }, '/batch')).body.results).toMatchObject([told])
    expect(await noted('much')).toBe(2)
    expect(await failure('reads_much')).not.toHaveProperty('may_have_run')
  })

  test('is another one where all was rolled back', async () => {
    for (const [name, ...params] of [
      ['raises', 'never'],
      ['commit_first', 'never', 'x'],
      ['pays_nobody'],
    ]) {
      expect(await failure(name!, params)).not.toHaveProperty('may_have_run')
    }
    const slow = await post({ function: 'sleeps', params: ['never'], timeout_ms: 700 })
    expect(slow.body.error).toBe('query_timeout')
    expect(slow.body).not.toHaveProperty('may_have_run')
    const calls = [{ function: 'writes_much', params: ['never'] }]
    const { body } = await post({ calls, transaction: true }, '/batch')
    expect(body).not.toHaveProperty('may_have_run')
    expect(await noted('never')).toBe(0)
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

describe('the settings of a session', () => {
  test('are there in all of its transactions, and gone afterwards', async () => {
    await define(`
      create function user_now() returns text language sql
      as $$ select current_setting('app.user_id', true) $$;
      create procedure who(out o_before text, out o_after text) language plpgsql as $$
      begin
        o_before := user_now();
        commit;
        o_after := user_now();
        if o_after = 'fails' then raise exception 'no'; end if;
      end $$
    `)
    const call = (user: string) =>
      gateway.post('/call', { platform, function: 'who', session: { 'app.user_id': user } })
    expect((await call('7')).body.rows).toEqual([{ o_before: '7', o_after: '7' }])
    expect((await call('fails')).status).toBe(400)
    for (let i = 0; i < 5; i++) expect([null, '']).toContain((await rows('user_now'))[0].user_now)
  })
})

describe('a procedure that has changed', () => {
  const sql = 'language sql as'

  test.each<[string, string, string, unknown, Json[]]>([
    [
      'another type of parameter',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `procedure chameleon(inout p text) ${sql} $$ select p || '!' $$`,
      ['x'],
      [{ p: 'x!' }],
    ],
    [
      'a time zone, which is not lost',
      `procedure chameleon(inout p timestamp) ${sql} $$ select p $$`,
      `procedure chameleon(inout p timestamptz) ${sql} $$ select p $$`,
      ['2024-01-01T00:00:00+02:00'],
      [{ p: '2023-12-31T22:00:00+00:00' }],
    ],
    [
      'other names, of which none is taken for another',
      `procedure chameleon(p_from int, p_to int, out o text) ${sql}
        $$ select p_from || ' to ' || p_to $$`,
      `procedure chameleon(p_to int, p_from int, out o text) ${sql}
        $$ select p_from || ' to ' || p_to $$`,
      { p_from: 1, p_to: 2 },
      [{ o: '1 to 2' }],
    ],
    [
      'other columns',
      `procedure chameleon(p int, out a int) ${sql} $$ select p $$`,
      `procedure chameleon(p int, out b text, out c numeric) ${sql} $$ select 'x', 1.50 $$`,
      [1],
      [{ b: 'x', c: 1.5 }],
    ],
    [
      'columns instead of none',
      `procedure chameleon() ${sql} $$ select 1 $$`,
      `procedure chameleon(out a int[]) ${sql} $$ select '{1,2}'::int[] $$`,
      [],
      [{ a: [1, 2] }],
    ],
    [
      'columns of other types, and nothing that goes in',
      `procedure chameleon(out a int) ${sql} $$ select 1 $$`,
      `procedure chameleon(out a jsonb) ${sql} $$ select '{"a": 1}'::jsonb $$`,
      [],
      [{ a: { a: 1 } }],
    ],
    [
      'one parameter more',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `procedure chameleon(inout p int, q int) ${sql} $$ select p + q $$`,
      [1, 2],
      [{ p: 3 }],
    ],
    [
      'VARIADIC',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `procedure chameleon(variadic p int[]) ${sql} $$ select 1 $$`,
      [1, 2],
      [],
    ],
    [
      'a function instead',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `function chameleon(p int) returns int ${sql} $$ select -p $$`,
      [1],
      [{ chameleon: -1 }],
    ],
    [
      'a procedure instead of a function',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `procedure chameleon(inout p int) ${sql} $$ select -p $$`,
      [1],
      [{ p: -1 }],
    ],
  ])('behind the back of the gateway: %s', async (_, before, after, params, expected) => {
    await define(`drop routine if exists chameleon; create ${before}`)
    await gateway.call(platform, 'chameleon', params)
    await gateway.call(platform, 'chameleon', [1])
    await gateway.call(platform, 'chameleon', [1, 2])
    await define(`drop routine if exists chameleon; create ${after}`)
    await seen('chameleon', params).toMatchObject({ rows: expected })
  })

  test('a type of its parameters has another name', async () => {
    await define(`
      create type shade as enum ('light');
      create procedure tint(inout p_shade shade) ${sql} $$ select p_shade $$;
      create function tinted(p_shade shade) returns shade ${sql} $$ select p_shade $$
    `)
    expect(await rows('tint', ['light'])).toEqual([{ p_shade: 'light' }])
    expect(await rows('tinted', ['light'])).toEqual([{ tinted: 'light' }])
    await define('alter type shade rename to tone')
    await seen('tint', ['light']).toMatchObject({ rows: [{ p_shade: 'light' }] })
    await seen('tinted', ['light']).toMatchObject({ rows: [{ tinted: 'light' }] })
    await define('create schema paint; alter type tone set schema paint')
    await seen('tint', ['light']).toMatchObject({ rows: [{ p_shade: 'light' }] })
    await seen('tinted', ['light']).toMatchObject({ rows: [{ tinted: 'light' }] })
    await define('alter schema paint rename to colors')
    await seen('tint', ['light']).toMatchObject({ rows: [{ p_shade: 'light' }] })
    await seen('tinted', ['light']).toMatchObject({ rows: [{ tinted: 'light' }] })
  })

  test('again and again while it is called, runs once for each call that succeeds', async () => {
    const versions = [
      `(inout p_n int) language plpgsql as $$
        begin insert into note values ('flicker ' || p_n); commit; end $$`,
      `(p_n bigint, out o_text text) language plpgsql as $$
        begin insert into note values ('flicker ' || p_n); commit; o_text := p_n; end $$`,
    ]
    await define(`create procedure flicker${versions[0]}`)
    let done = false
    let next = 0
    const succeeded: number[] = []
    /** Dropped between its commit and its end, which PL/pgSQL does not survive. */
    const interrupted: number[] = []
    const refused = new Set<string>()
    const callers = Array.from({ length: 4 }, async () => {
      while (!done) {
        const n = next++
        const { status, body } = await gateway.call(platform, 'flicker', [n])
        if (status === 200) {
          expect([[{ p_n: n }], [{ o_text: String(n) }]]).toContainEqual(body.rows)
          succeeded.push(n)
        } else if (/PL\/pgSQL function flicker\(.*return type$/.test(body.context)) {
          interrupted.push(n)
        } else {
          refused.add(
            `${status} ${body.error} ${body.context}${status === 404 ? '' : ` ${body.sqlstate} ${body.message} ${JSON.stringify(body)}`}`,
          )
        }
      }
    })
    for (let i = 1; i <= 90; i++) {
      const version = versions[i % 2]
      await define(`begin; drop procedure flicker; create procedure flicker${version}; commit`)
    }
    done = true
    await Promise.all(callers)
    // Replaced again with each new attempt.
    refused.delete('404 function_not_found undefined')
    expect([...refused]).toEqual([])
    const ran = await define(`select body from note where starts_with(body, 'flicker ')`)
    const ascending = (numbers: number[]) => numbers.sort((a, b) => a - b)
    expect(ascending(ran.map(({ body }) => Number(body.slice(8))))).toEqual(
      ascending([...succeeded, ...interrupted]),
    )
    expect(succeeded.length).toBeGreaterThan(20)
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
