import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const MAX_BODY_BYTES = 100_000

const platform = uniqueName('call')
const database = `${platform}_main`
let adminUrl: string
let gateway: TestGateway
/** A second gateway on the same PostgreSQL, which gives statements one second. */
let other: TestGateway

beforeAll(async () => {
  adminUrl = await createAdminDatabase()
  const env = { DATABASE_URL: adminUrl, MAX_BODY_BYTES: String(MAX_BODY_BYTES) }
  gateway = await startTestGateway(env)
  other = await startTestGateway({ ...env, STATEMENT_TIMEOUT_SECS: '1' })
  const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  expect(body).toMatchObject({ status: 'ready' })
})
afterAll(async () => {
  await other.stop()
  await gateway.stop()
  await dropAdminDatabase(adminUrl)
})

/** Runs SQL in the platform's database, behind the gateway's back. */
const define = (sql: string) => queryDatabase(database, sql)

/** The same, where unknown names came just before, which have the database asked only now and then. */
async function defineNew(sql: string): Promise<void> {
  await define(sql)
  await sleep(1100)
}

/** The rows of a call that succeeds. */
async function rows(name: string, params?: unknown): Promise<Json[]> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body).toMatchObject({ rows: expect.any(Array), row_count: body.rows?.length })
  expect(status).toBe(200)
  return body.rows
}

/** The status and the body of a call that fails. */
async function failure(name: string, params?: unknown): Promise<Json> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body.rows).toBeUndefined()
  return { status, ...body }
}

/** The status and the body of an answer to a request's body, whatever it is. */
async function post(body: unknown): Promise<Json> {
  const answer = await gateway.post('/call', body)
  return { status: answer.status, ...answer.body }
}

interface RawAnswer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** Whether "100 Continue" came before. */
  continued: boolean
}

interface RawRequest {
  headers?: Record<string, string>
  chunks?: (string | Buffer)[]
  /** Send the body when the server says "100 Continue", and not before. */
  waits?: boolean
}

/** A request that fetch would not send. */
function raw({ headers = {}, chunks = [], waits = false }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let continued = false
    const req = httpRequest(`${gateway.url}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      agent: false,
    })
    const send = () => {
      for (const chunk of chunks) req.write(chunk)
      req.end()
    }
    req.on('continue', () => {
      continued = true
      send()
    })
    req.on('error', reject)
    req.on('response', async (res) => {
      let text = ''
      for await (const chunk of res.setEncoding('utf8')) text += chunk
      resolve({ status: res.statusCode!, headers: res.headers, text, continued })
      req.destroy()
    })
    if (waits) req.flushHeaders()
    else send()
  })
}

const pingBody = (extra: object = {}) => JSON.stringify({ platform, function: 'ping', ...extra })

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

describe('what is not a function to be called', () => {
  beforeAll(async () => {
    await define(`
      create aggregate my_sum(int) (sfunc = int4pl, stype = int);
      create function my_trigger() returns trigger language plpgsql
      as $$ begin return new; end $$;
      create function my_event_trigger() returns event_trigger language plpgsql
      as $$ begin end $$;
      create extension hstore;
      create schema private;
      create function private.elsewhere() returns int language sql as $$ select 1 $$
    `)
  })

  test.each([
    ['unknown', 'no_such_function'],
    ['of PostgreSQL', 'pg_sleep'],
    ['of PostgreSQL', 'version'],
    ['of PostgreSQL', 'current_setting'],
    ['of PostgreSQL', 'pg_terminate_backend'],
    ['of the information schema', '_pg_truetypid'],
    ['an aggregate', 'my_sum'],
    ["a trigger's", 'my_trigger'],
    ["an event trigger's", 'my_event_trigger'],
    ["an extension's", 'hstore_to_json'],
    ['in another schema', 'elsewhere'],
  ])('%s: %s', async (_, name) => {
    for (const params of [[], [1]]) {
      expect(await failure(name, params)).toEqual({
        status: 404,
        error: 'function_not_found',
        message: `There is no function ${name}`,
      })
    }
  })

  describe('that is nearly right', () => {
    beforeAll(async () => {
      await defineNew(`
        create function get_patient_by_id(int) returns int language sql as 'select 1';
        create function get_patients_by_ids(int[]) returns int language sql as 'select 1';
        create function book_appointment() returns int language sql as 'select 1';
        create procedure close_days() language sql as 'select 1'
      `)
    })

    test.each([
      ['get_patient_by_idd', ['get_patient_by_id', 'get_patients_by_ids']],
      ['get_patient_by_ids', ['get_patient_by_id', 'get_patients_by_ids']],
      ['getpatientbyid', ['get_patient_by_id', 'get_patients_by_ids']],
      ['book_apointment', ['book_appointment']],
      ['appointment_bok', []],
      ['close_day', ['close_days']],
      ['hstore_to_jsn', []],
      ['pg_slep', []],
    ])('%s: 404 with the names that may be meant', async (name, suggestions) => {
      const said = suggestions.length > 0 ? `; did you mean ${suggestions.join(' or ')}?` : ''
      expect(await failure(name)).toEqual({
        status: 404,
        error: 'function_not_found',
        message: `There is no function ${name}${said}`,
        ...(suggestions.length > 0 && { suggestions }),
      })
    })
  })

  test('one of the platform with the name of one of PostgreSQL is its own', async () => {
    await defineNew(`
      create function pg_backend_pid() returns text language sql as $$ select 'mine' $$;
      create function lower(p_text text) returns text language sql as $$ select 'mine' $$
    `)
    expect(await rows('pg_backend_pid')).toEqual([{ pg_backend_pid: 'mine' }])
    expect(await rows('lower', ['X'])).toEqual([{ lower: 'mine' }])
  })

  test.each([
    'Ping',
    'ping()',
    'public.ping',
    'ping; select 1',
    '"ping"',
    '1ping',
    'pi-ng',
    'pi ng',
    'ping\n',
    'pïng',
    'p'.repeat(64),
    ' ',
  ])('%j is not a name', async (name) => {
    expect(await post({ platform, function: name })).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringMatching(/^function must match \^\[a-z_\]/),
    })
  })

  test.each([5, true, ['ping'], { name: 'ping' }])('%j is no string', async (name) => {
    expect(await post({ platform, function: name })).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: `function must be a string; got ${JSON.stringify(name)}`,
    })
  })

  test('a name of 63 characters is one, and so is one that begins with _', async () => {
    const names = ['f'.repeat(63), '_f', 'select']
    const definition = (name: string) =>
      `create function "${name}"() returns int language sql as $$ select 1 $$`
    await defineNew(names.map(definition).join(';'))
    for (const name of names) {
      expect(await rows(name)).toEqual([{ [name]: 1 }])
    }
  })
})

describe('the request', () => {
  test.each([
    ['a syntax error', '{"platform":"x",}', /^The body is not JSON: .*position 16/],
    ['an end too early', '{"platform":"x"', /^The body is not JSON: .*position 15/],
    ['something after it', '{"platform":"x"} x', /^The body is not JSON: .*position 17/],
    ['another word', '{"platform":nope}', /^The body is not JSON: .*"platform":nope/],
    ['an array', '[1]', /^The body is not a JSON object/],
    ['a string', '"x"', /^The body is not a JSON object/],
    ['a number', '1.50', /^The body is not a JSON object/],
    ['null', 'null', /^The body is not a JSON object/],
    ['nothing', '', /^The body is empty/],
  ])('whose body is %s is a 400', async (_, body, message) => {
    expect(await post(body)).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringMatching(message),
    })
  })

  test('that is not UTF-8 is a 400', async () => {
    for (const bytes of [[0xe9], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xff]]) {
      const chunks = [Buffer.from('{"platform":"'), Buffer.from(bytes), Buffer.from('"}')]
      const { status, text } = await raw({ chunks })
      expect([status, JSON.parse(text)]).toMatchObject([
        400,
        { error: 'invalid_request', message: 'The body is not UTF-8' },
      ])
    }
  })

  test('of another content type is a 415', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
      const answer = await gateway.post('/call', pingBody(), { 'content-type': type })
      expect(answer).toMatchObject({
        status: 415,
        body: { error: 'unsupported_media_type', message: expect.stringContaining(type) },
      })
    }
  })

  test('may say its content type in other ways', async () => {
    for (const type of [
      'application/json; charset=utf-8',
      'APPLICATION/JSON',
      'application/x+json',
    ]) {
      const answer = await gateway.post('/call', pingBody(), { 'content-type': type })
      expect(answer.body.rows).toEqual([{ ping: 'pong' }])
    }
  })

  test('in many small pieces is put together', async () => {
    await define(`
      create function welcome(p_name text) returns text language sql as $$ select p_name || '!' $$
    `)
    const body = Buffer.from(JSON.stringify({ platform, function: 'welcome', params: ['Zoë 😀'] }))
    const chunks = [...body].map((byte) => Buffer.from([byte]))
    const { text } = await raw({ chunks })
    expect(JSON.parse(text).rows).toEqual([{ welcome: 'Zoë 😀!' }])
  })

  test('has no members that the endpoint does not know', async () => {
    expect(await post(pingBody({ comment: 'x', trace: { id: 1 } }))).toMatchObject({
      status: 400,
      message: expect.stringContaining('Unknown member "comment": this endpoint takes platform'),
    })
  })

  test.each([
    ['platform', { function: 'ping' }, 'platform is missing'],
    ['platform', { platform: null, function: 'ping' }, 'platform is missing'],
    ['platform', { platform: '', function: 'ping' }, 'platform is missing'],
    ['function', { platform }, 'function is missing'],
    ['function', { platform, function: null }, 'function is missing'],
    ['function', { platform, function: '' }, 'function is missing'],
  ])('without %s: %j', async (_, body, message) => {
    expect(await post(body)).toMatchObject({ status: 400, error: 'invalid_request', message })
  })

  test.each(['my platform', 'a.b', 'a/b', 'ü', '"', "a'b", 'x'.repeat(64)])(
    'with the platform %j is a 400',
    async (value) => {
      expect(await post({ platform: value, function: 'ping' })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringMatching(/^platform must be 1 to 63 letters/),
      })
    },
  )

  test.each(['a b', 'a.b', '../x', 'x'.repeat(64)])(
    'with the tenant %j is a 400',
    async (value) => {
      expect(await post({ platform, tenant_id: value, function: 'ping' })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringMatching(/^tenant_id must be 1 to 63 letters/),
      })
    },
  )

  test.each([7, 1.5, false, [], ['a'], {}])('with a name that is no string: %j', async (value) => {
    for (const field of ['platform', 'tenant_id']) {
      expect(await post({ platform, function: 'ping', [field]: value })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: `${field} must be a string; got ${JSON.stringify(value)}`,
      })
    }
  })

  test('with the tenant "main" is refused, in every case', async () => {
    for (const tenant_id of ['main', 'MAIN', 'Main']) {
      expect(await post({ platform, tenant_id, function: 'ping' })).toMatchObject({
        status: 400,
        error: 'invalid_request',
        message: expect.stringContaining('leave tenant_id out'),
      })
    }
  })

  test('without a tenant means the main database; an empty one is a mistake', async () => {
    for (const tenant_id of [undefined, null]) {
      expect(await post({ platform, tenant_id, function: 'ping' })).toMatchObject({ status: 200 })
    }
    for (const tenant_id of ['', 'null']) {
      expect(await post({ platform, tenant_id, function: 'ping' })).toMatchObject({ status: 400 })
    }
  })

  test('whose names are too long together is a 400', async () => {
    const names = { platform: 'p'.repeat(40), tenant_id: 't'.repeat(40) }
    expect(await post({ ...names, function: 'ping' })).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringContaining('81 bytes'),
    })
  })
})

describe('a body over the limit', () => {
  const body = (bytes: number) => {
    const empty = pingBody({ session: { 'app.padding': '' } })
    return pingBody({ session: { 'app.padding': 'x'.repeat(bytes - empty.length) } })
  }
  const large = body(MAX_BODY_BYTES + 1)
  const tooLarge = {
    error: 'payload_too_large',
    message: `The body is larger than ${MAX_BODY_BYTES} bytes`,
  }

  test('is refused by its announced length', async () => {
    const headers = { 'content-length': String(large.length) }
    const { status, text } = await raw({ headers, chunks: [large] })
    expect([status, JSON.parse(text)]).toEqual([413, tooLarge])
  })

  test('is refused without one', async () => {
    const chunks = large.match(/.{1,9999}/gs)!
    const { status, text } = await raw({ headers: { 'transfer-encoding': 'chunked' }, chunks })
    expect([status, JSON.parse(text)]).toEqual([413, tooLarge])
  })

  test('is refused before it is sent, where the client waits', async () => {
    const { status, text, continued } = await raw({
      headers: { 'content-length': String(large.length), expect: '100-continue' },
      chunks: [large],
      waits: true,
    })
    expect([status, JSON.parse(text), continued]).toEqual([413, tooLarge, false])
  })

  test('is refused where it is far larger than it may be', async () => {
    const headers = { 'content-length': String(10 * 1024 ** 3), expect: '100-continue' }
    const { status, headers: answered } = await raw({ headers, waits: true })
    expect([status, answered.connection]).toEqual([413, 'close'])
  })

  test('does not keep the connection from being used again', async () => {
    const sizes = [large.length, 200, large.length, 200]
    const statuses: number[] = []
    for (const size of sizes) statuses.push((await gateway.post('/call', body(size))).status)
    expect(statuses).toEqual([413, 200, 413, 200])
  })

  test('one of exactly the limit is taken, in each of these ways', async () => {
    const chunks = [body(MAX_BODY_BYTES)]
    const length = { 'content-length': String(MAX_BODY_BYTES) }
    const requests: RawRequest[] = [
      { chunks, headers: length },
      { chunks, headers: { 'transfer-encoding': 'chunked' } },
      { chunks, headers: { ...length, expect: '100-continue' }, waits: true },
    ]
    for (const one of requests) {
      const { status, continued } = await raw(one)
      expect([status, continued]).toEqual([200, one.waits ?? false])
    }
  })
})

describe('databases', () => {
  test('that do not exist are a 404', async () => {
    const nobody = uniqueName('nobody')
    expect(await post({ platform: nobody, function: 'ping' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
      database: `${nobody}_main`,
    })
    expect(await post({ platform, tenant_id: 'nobody', function: 'ping' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
      database: `${platform}_nobody`,
    })
  })

  test('of another platform are a 403', async () => {
    const a = uniqueName('a')
    const archive = await pack(textFunction('secret', 'of a_b'))
    expect(await gateway.register(`${a}_b`, archive, 'c')).toMatchObject({ status: 200 })
    const call = (platform: string, tenant_id: string) =>
      post({ platform, tenant_id, function: 'secret' })
    expect(await call(a, 'b_c')).toMatchObject({
      status: 403,
      error: 'platform_isolation_violation',
      database: `${a}_b_c`,
    })
    expect(await call(`${a}-b`, 'c')).toMatchObject({ status: 403 })
    expect(await call(`${a.toUpperCase()}_b`, 'c')).toMatchObject({ status: 403 })
    expect(await call(`${a}_b`, 'c')).toMatchObject({ rows: [{ secret: 'of a_b' }] })
  })

  test('of another tenant whose name is written alike are a 404', async () => {
    const archive = await pack(textFunction('secret', 'of Org-1'))
    expect(await gateway.register(platform, archive, 'Org-1')).toMatchObject({ status: 200 })
    const call = (tenant_id: string) => post({ platform, tenant_id, function: 'secret' })
    for (const tenant of ['org_1', 'org-1', 'Org_1']) {
      expect(await call(tenant)).toMatchObject({ status: 404, error: 'database_not_found' })
    }
    expect(await call('Org-1')).toMatchObject({ rows: [{ secret: 'of Org-1' }] })
  })

  test('that are not in the catalog are not there', async () => {
    const name = uniqueName('stranger')
    await queryDatabase('postgres', `create database ${name}_main`)
    try {
      expect(await post({ platform: name, function: 'ping' })).toMatchObject({ status: 404 })
    } finally {
      await queryDatabase('postgres', `drop database ${name}_main`)
    }
  })

  test('that were dropped by hand are a 404', async () => {
    const gone = uniqueName('gone')
    await gateway.register(gone, await pack(textFunction('ping', 'pong')))
    expect((await gateway.call(gone, 'ping')).status).toBe(200)
    await queryDatabase('postgres', `drop database ${gone}_main with (force)`)
    const answer = await gateway.call(gone, 'ping')
    // The first call may still find the connection that was cut.
    if (answer.status === 503) expect(answer.body.error).toBe('connection_failed')
    else expect(answer.status).toBe(404)
    expect(await post({ platform: gone, function: 'ping' })).toMatchObject({
      status: 404,
      error: 'database_not_found',
      database: `${gone}_main`,
    })
  })
})

describe('what a function raises', () => {
  beforeAll(async () => {
    await define(`
      create function raise_as(p_state text, p_ids int[] default null) returns int
      language plpgsql as $$
      begin
        raise exception using
          errcode = p_state, message = 'It failed', detail = 'In detail', hint = 'Try again';
      end $$
    `)
  })

  test.each([
    ['P0001', 400],
    ['22000', 400],
    ['22003', 400],
    ['22012', 400],
    ['22023', 400],
    ['22P02', 400],
    ['22P05', 400],
    ['2200G', 400],
    ['23502', 400],
    ['23514', 400],
    ['23505', 409],
    ['23503', 409],
    ['23P01', 409],
    ['42501', 403],
    ['40001', 409],
    ['40P01', 409],
    ['53000', 503],
    ['53100', 503],
    ['53200', 503],
    ['53300', 503],
    ['53400', 503],
    ['PT400', 400],
    ['PT402', 402],
    ['PT404', 404],
    ['PT418', 418],
    ['PT500', 500],
    ['PT503', 503],
    ['PT599', 599],
    ['PT600', 500],
    ['PT000', 500],
    ['PTABC', 500],
    ['P0002', 500],
    ['P0004', 500],
    ['23000', 500],
    ['23001', 500],
    ['40002', 500],
    ['42P01', 500],
    ['42601', 500],
    ['42804', 500],
    ['42883', 500],
    ['0A000', 500],
    ['08006', 500],
    ['28000', 500],
    ['28P01', 500],
    ['3D000', 500],
    ['57P01', 500],
    ['57P03', 500],
    ['XX000', 500],
    ['ABCDE', 500],
  ])('%s is a %i', async (sqlstate, status) => {
    const expected = {
      status,
      error: 'query_failed',
      message: 'It failed',
      cause: 'It failed | DETAIL: In detail | HINT: Try again',
      sqlstate,
      detail: 'In detail',
      hint: 'Try again',
      context: 'PL/pgSQL function raise_as(text,integer[]) line 3 at RAISE',
      database,
    }
    expect(await failure('raise_as', [sqlstate])).toEqual(expected)
    expect(await failure('raise_as', { p_state: sqlstate, p_ids: [1] })).toEqual(expected)
  })

  test('57014, a query that was cancelled, is a 504', async () => {
    expect(await failure('raise_as', ['57014'])).toMatchObject({
      status: 504,
      error: 'query_timeout',
      sqlstate: '57014',
    })
  })

  test('a message alone has no detail and no hint', async () => {
    await define(`
      create function just_no() returns int language plpgsql
      as $$ begin raise exception 'No: 100%%, "quoted", é 😀'; end $$
    `)
    expect(await failure('just_no')).toEqual({
      status: 400,
      error: 'query_failed',
      message: 'No: 100%, "quoted", é 😀',
      cause: 'No: 100%, "quoted", é 😀',
      sqlstate: 'P0001',
      context: 'PL/pgSQL function just_no() line 1 at RAISE',
      database,
    })
  })

  test('constraints, arithmetic and privileges', async () => {
    await define(`
      create table parent (id int primary key, name text not null check (name <> ''));
      create table child (parent_id int references parent);
      insert into parent values (1, 'one');
      create function add_parent(p_id int, p_name text) returns void language sql
      as $$ insert into parent values (p_id, p_name) $$;
      create function add_child(p_id int) returns void language sql
      as $$ insert into child values (p_id) $$;
      create function divide(p_a int, p_b int) returns int language sql as $$ select p_a / p_b $$;
      create function read_passwords() returns setof text language plpgsql
      as $$ begin return query select rolpassword from pg_authid; end $$;
      create function read_nothing() returns int language plpgsql
      as $$ begin perform 1 from no_such_table; return 1; end $$
    `)
    const failures: [string, unknown[], number, string][] = [
      ['add_parent', [1, 'again'], 409, '23505'],
      ['add_parent', [2, null], 400, '23502'],
      ['add_parent', [2, ''], 400, '23514'],
      ['add_child', [99], 409, '23503'],
      ['divide', [1, 0], 400, '22012'],
      ['read_passwords', [], 403, '42501'],
      ['read_nothing', [], 500, '42P01'],
    ]
    for (const [name, params, status, sqlstate] of failures) {
      expect(await failure(name, params)).toMatchObject({
        status,
        sqlstate,
        error: 'query_failed',
        database,
      })
    }
  })

  // C8: it was rolled back, and the client has to see that.
  test('a status that has no body, or says that all went well, is 500 with a body', async () => {
    for (const status of [200, 204, 205, 304]) {
      const sqlstate = `PT${status}`
      const { status: answered, ...error } = await failure('raise_as', [sqlstate])
      expect([answered, error]).toMatchObject([500, { error: 'query_failed', sqlstate }])
    }
    expect(await rows('ping')).toEqual([{ ping: 'pong' }])
  })

  test('is not an error of the gateway: nothing of it is logged as one', async () => {
    await failure('raise_as', ['XX000'])
    expect(gateway.logged.filter((line) => line.level === 'error')).toEqual([])
  })
})

describe('a statement that takes too long', () => {
  beforeAll(async () => {
    await define(`
      create function nap(p_seconds float) returns text language plpgsql
      as $$ begin perform pg_sleep(p_seconds); return 'rested'; end $$
    `)
  })

  test('is a 504, and the connection serves the next call', async () => {
    const started = performance.now()
    const { status, body } = await other.call(platform, 'nap', [30])
    expect(performance.now() - started).toBeLessThan(10_000)
    expect([status, body]).toEqual([
      504,
      {
        error: 'query_timeout',
        message: 'canceling statement due to statement timeout',
        cause: 'canceling statement due to statement timeout',
        sqlstate: '57014',
        context: expect.stringContaining('PL/pgSQL function nap(double precision)'),
        database,
      },
    ])
    expect((await other.call(platform, 'nap', [0.01])).body.rows).toEqual([{ nap: 'rested' }])
  })

  test('is not one that a function has stopped by itself', async () => {
    expect((await gateway.call(platform, 'nap', [1.2])).body.rows).toEqual([{ nap: 'rested' }])
  })
})

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
