import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queryDatabase, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

/** The values of parameters, by the items of findings/CALL.md. */
const platform = 'values'
const database = `${platform}_main`
let gateway: TestGateway
let hasHstore = false

const define = (sql: string) => queryDatabase(database, sql)

beforeAll(async () => {
  gateway = await startTestGateway()
  const archive = await pack(textFunction('ping', 'pong'))
  await gateway.register(platform, archive)
  await gateway.register(platform, archive, 'berlin')
  await define(`
    create type pair as (n numeric, t text);
    create domain known_pair as pair check ((value).n is not null);
    create type nested as (p pair, ps known_pair[]);
    create domain ids as int[];
    create function id_json(p json) returns json language sql as $$ select p $$;
    create function text_of_json(p json) returns text language sql as $$ select p::text $$;
    create function text_of_jsons(p json[]) returns text language sql as $$ select p::text $$;
    create function length_of(p text) returns int language sql as $$ select length(p) $$;
    create function count_of(p json[]) returns int language sql as $$ select cardinality(p) $$;
    create function sum_of(p int[]) returns bigint language sql as $$ select sum(n) from unnest(p) n $$;
    create function count_pairs(p pair[]) returns int language sql as $$ select cardinality(p) $$;
    create function md5_of(p bytea) returns text language sql as $$ select md5(p) $$;
    create function id_bytes(p bytea) returns bytea language sql as $$ select p $$;
    create function text_of_pair(p pair) returns text language sql as $$ select p::text $$;
    create function text_of_nested(p nested) returns text language sql as $$ select p::text $$;
    create function text_of_ids(p ids[]) returns text language sql as $$ select p::text $$;
    create function setting(p text) returns text language sql as $$ select current_setting(p, true) $$;
    create function choose(p date) returns text language sql as $$ select 'date' $$;
    create function choose(p timestamptz) returns text language sql as $$ select 'timestamptz' $$;
    create function plain(p int) returns text language sql stable as $$ select 'int' $$;
    create function plain(p text) returns text language sql stable as $$ select 'text' $$;
    create function spread(p_a int, p_b int default 2, variadic p_c int[] default '{7,8}')
      returns text language sql as $$ select concat_ws(' ', p_a, p_b, p_c) $$;
    create procedure spread_out(p_a int, p_b int, inout p_text text, p_d int default 4,
      variadic p_c int[] default '{7,8}') language sql
      as $$ select concat_ws(' ', p_a, p_b, p_d, p_c) $$;
    create function is_null(p_text text, p_n int default 1) returns boolean language sql immutable
      as $$ select p_text is null $$;
    create function nulls(p int[]) returns text language sql immutable as $$ select p::text $$;
  `)
  const [found] = await define(`select from pg_available_extensions where name = 'hstore'`)
  hasHstore = found !== undefined
})
afterAll(() => gateway.stop())

/** The answer to a call whose parameters are a JSON text. */
async function call(name: string, params: string, more = '') {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}${more}}`,
  })
  const text = await response.text()
  const body: { rows?: object[]; message?: string } = JSON.parse(text)
  return { status: response.status, text, ...body }
}

/** The one value that a function answers. */
async function answerOf(name: string, params: string, more = ''): Promise<unknown> {
  const { rows, message } = await call(name, params, more)
  return rows ? Object.values(rows[0]!)[0] : message
}

describe('A8: JSON arrives byte for byte', () => {
  const JSONS = [
    '{"z":1,"10":1,"2":1,"z":2}',
    '{ "a" : [ 1.0 , 1e400,-0 ] , "A":"\\u0041\\/\\ud83d\\ude00é" }',
    '[1,\n\t2]',
    '"\\u0000"',
  ]
  test.each(JSONS)('%s', async (json) => {
    for (const params of [`[${json}]`, `{"p":${json}}`, `{"p" : ${json} }`]) {
      expect(await answerOf('text_of_json', params)).toBe(json)
    }
    expect((await call('id_json', `[${json}]`)).text).toContain(`[{"id_json":${json}}]`)
  })

  test('as elements of an array, too', async () => {
    const array = `[{"z":1,"10":[1.0],"z":null},null,"null",[[1]],"\\"\\\\"]`
    const [row] = await define(
      `select array['{"z":1,"10":[1.0],"z":null}', null, '"null"', '[[1]]', '"\\"\\\\"']::json[]::text as t`,
    )
    expect(await answerOf('text_of_jsons', `[${array}]`)).toBe(row.t)
  })
})

describe('long values', () => {
  const LONG = 300_000

  test.each([
    ['a text', 'length_of', JSON.stringify('é'.repeat(LONG)), LONG],
    ['a text with escapes', 'length_of', JSON.stringify('\n"é'.repeat(LONG)), 3 * LONG],
    ['json[]', 'count_of', `[${'{"a":[1]},'.repeat(LONG)}null]`, LONG + 1],
    ['int[]', 'sum_of', `[${'1,'.repeat(LONG)}2]`, LONG + 2],
    ['pair[]', 'count_pairs', `[${'{"t":"x"},[],'.repeat(LONG / 10)}{}]`, LONG / 5 + 1],
  ])('%s', async (_, name, json, value) => {
    expect(await answerOf(name, `[${json}]`)).toBe(value)
    expect(await answerOf(name, `{"p":${json}}`)).toBe(value)
  })

  test('that do not convert are told by their parameter', async () => {
    const text = `"${'\\n'.repeat(LONG)}\\u0000"`
    expect(await call('length_of', `[${text}]`)).toMatchObject({ status: 400, parameter: 'p' })
    const pairs = `[${'{"t":"x"},'.repeat(LONG)}{"u":1}]`
    expect(await call('count_pairs', `[${pairs}]`)).toMatchObject({ status: 400, parameter: 'p' })
  })

  test('a batch of them', async () => {
    const one = `{"function":"sum_of","params":[[${'1,'.repeat(LONG / 10)}2]]}`
    for (const more of ['', ',"transaction":true']) {
      const response = await fetch(`${gateway.url}/batch`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: `{"platform":"${platform}","calls":[${Array(50).fill(one).join()}]${more}}`,
      })
      const { results } = (await response.json()) as { results: unknown[] }
      expect(results).toHaveLength(50)
      expect(results[49]).toMatchObject({ rows: [{ sum_of: LONG / 10 + 2 }] })
    }
  })
})

describe('C3: timeout_ms', () => {
  test.each(['1e4', '10000.0', '2147483648', '1e400', '9'.repeat(30)])('%s', async (ms) => {
    expect(await answerOf('plain', '[1]', `,"timeout_ms":${ms}`)).toBe('int')
  })
  test.each(['0', '-1', '1.5', '"5"', '[1]', '1e-3'])('%s is refused', async (ms) => {
    expect(await call('plain', '[1]', `,"timeout_ms":${ms}`)).toMatchObject({
      status: 400,
      message: 'timeout_ms must be a whole number of milliseconds',
    })
  })
})

describe('C5: a VARIADIC argument with a default can be left out by name', () => {
  test.each([
    ['{"p_a":1}', '1 2 {7,8}'],
    ['{"p_b":5,"p_a":1}', '1 5 {7,8}'],
    ['{"p_a":1,"p_c":[3]}', '1 2 {3}'],
    ['[1]', '1 2 {7,8}'],
    ['[1,2,3,4]', '1 2 {3,4}'],
  ])('%s', async (params, text) => {
    expect(await answerOf('spread', params)).toBe(text)
  })

  test('with an argument before it left out, too, and of a procedure', async () => {
    await define(`
      create function skip(p_a int default 1, p_b int default 2, variadic p_c int[] default '{7,8}')
        returns text language sql as $$ select concat_ws(' ', p_a, p_b, p_c) $$`)
    expect(await answerOf('skip', '{"p_b":5}')).toBe('1 5 {7,8}')
    expect(await answerOf('skip', '{}')).toBe('1 2 {7,8}')
    const given = { p_a: 1, p_b: 2, p_text: 'x' }
    expect(await answerOf('spread_out', JSON.stringify(given))).toBe('1 2 4 {7,8}')
  })
})

describe('C6: bytea', () => {
  test.each([
    ['[0,127,128,255]', '\\x007f80ff'],
    ['[]', '\\x'],
    ['"\\\\x00ff"', '\\x00ff'],
  ])('%s', async (json, bytes) => {
    expect(await answerOf('id_bytes', `[${json}]`)).toBe(bytes)
  })

  test('of a megabyte', async () => {
    const array = `[${'7,255,'.repeat(250_000)}0]`
    const [row] = await define(`select md5(decode(repeat('07ff', 250000) || '00', 'hex')) as md5`)
    expect(await answerOf('md5_of', `[${array}]`)).toBe(row.md5)
  })

  test.each(['[256]', '[-1]', '[1.5]', '["1"]', '{"a":1}', '7', 'true'])(
    '%s is a 400',
    async (json) => {
      expect(await call('id_bytes', `[${json}]`)).toMatchObject({
        status: 400,
        error: 'invalid_request',
        parameter: 'p',
      })
    },
  )
})

describe('bytea within another type is read as bytea by itself', () => {
  beforeAll(() =>
    define(`
      create domain key as bytea check (length(value) < 9);
      create domain keys as bytea[];
      create type blob as (n int, b bytea);
      create type blobs as (bs bytea[], k key, inner_blob blob, many blob[], ks keys);
      create function text_of_blob(p blob) returns text language sql as $$ select p::text $$;
      create function text_of_blobs(p blobs) returns text language sql as $$ select p::text $$;
      create function text_of_many(p blob[]) returns text language sql as $$ select p::text $$;
      create function text_of_bytes(p bytea[]) returns text language sql stable
        as $$ select p::text $$;
      create function text_of_domains(p key[]) returns text language sql as $$ select p::text $$;
      create function text_of_keys(p keys) returns text language sql as $$ select p::text $$;
      create function text_of_lists(p keys[]) returns text language sql as $$ select p::text $$;
      create domain blob_list as blob[];
      create function text_of_blob_lists(p blob_list[]) returns text language sql
        as $$ select p::text $$;
      create function text_of_all_blobs(variadic p blob[]) returns text language sql
        as $$ select p::text $$;
      create procedure make_blob(p blob, inout made text) language sql as $$ select p::text $$;
      create function text_of_all(variadic p bytea[]) returns text language sql
        as $$ select p::text $$;
    `),
  )

  test.each([
    ['text_of_blob', '[{"n":1,"b":[1,2]}]', String.raw`(1,"\\x0102")`],
    ['text_of_blob', '[{"b":[]}]', String.raw`(,"\\x")`],
    ['text_of_blob', String.raw`[{"b":"\\x01"}]`, String.raw`(,"\\x01")`],
    ['text_of_blob', '[{"b":"[1,2]"}]', String.raw`(,"\\x5b312c325d")`],
    ['text_of_blob', '[{"b":null}]', '(,)'],
    ['text_of_bytes', '[[[1,2],[3,4]]]', String.raw`{"\\x0102","\\x0304"}`],
    [
      'text_of_bytes',
      String.raw`[["\\x01",[2,3],null,[]]]`,
      String.raw`{"\\x01","\\x0203",NULL,"\\x"}`,
    ],
    [
      'text_of_bytes',
      String.raw`[[[[1],"\\x02"],[null,[3]]]]`,
      String.raw`{{"\\x01","\\x02"},{NULL,"\\x03"}}`,
    ],
    ['text_of_bytes', '[[]]', '{}'],
    ['text_of_bytes', String.raw`["{\"\\\\x01\"}"]`, String.raw`{"\\x01"}`],
    ['text_of_domains', '[[[1,2]]]', String.raw`{"\\x0102"}`],
    ['text_of_keys', '[[[1,2]]]', String.raw`{"\\x0102"}`],
    [
      'text_of_lists',
      '[[[[1,2],[3]],[],null]]',
      String.raw`{"{\"\\\\x0102\",\"\\\\x03\"}","{}",NULL}`,
    ],
    ['text_of_all', String.raw`["\\x01",[2,3]]`, String.raw`{"\\x01","\\x0203"}`],
    ['text_of_all', '[[2,3],[4]]', String.raw`{"\\x0203","\\x04"}`],
    ['text_of_all', '[[[2,3]]]', String.raw`{"\\x0203"}`],
    ['text_of_all', '{"p":[[2,3]]}', String.raw`{"\\x0203"}`],
    ['text_of_blob_lists', '[[[{"b":[1]}]]]', String.raw`{"{\"(,\\\"\\\\\\\\x01\\\")\"}"}`],
    ['text_of_blob_lists', '[[[],[{}]]]', String.raw`{"{}","{\"(,)\"}"}`],
    ['text_of_many', '[[[]]]', '{"(,)"}'],
    ['text_of_many', '[[[],[]]]', '{"(,)","(,)"}'],
    ['text_of_many', '[[[],null]]', '{"(,)",NULL}'],
    ['text_of_many', '[[[[]],[{"n":1}]]]', '{{"(,)"},{"(1,)"}}'],
    ['text_of_blobs', '[{"many":[[]]}]', '(,,,"{""(,)""}",)'],
    ['text_of_all_blobs', '[[[]]]', '{"(,)"}'],
    ['text_of_all_blobs', '[{"b":[1]}]', String.raw`{"(,\"\\\\x01\")"}`],
    ['make_blob', '[{"b":[1]},null]', String.raw`(,"\\x01")`],
    ['text_of_many', '[[{"b":[1]},{"n":2}]]', String.raw`{"(,\"\\\\x01\")","(2,)"}`],
  ])('%s %s', async (name, params, text) => {
    expect(await answerOf(name, params)).toBe(text)
  })

  test('however deep', async () => {
    const blobs = '{"bs":[[1],[2]],"k":[3],"inner_blob":{"b":[4]},"many":[{"b":[5]}],"ks":[[6]]}'
    await define(`create function parts_of(p blobs) returns text language sql
      as $$ select concat_ws(' ', p.bs, p.k, (p.inner_blob).b, (p.many)[1].b, p.ks) $$`)
    expect(await answerOf('parts_of', `[${blobs}]`)).toBe(
      String.raw`{"\\x01","\\x02"} \x03 \x04 \x05 {"\\x06"}`,
    )
  })

  test('in a URL, too', async () => {
    const query = new URLSearchParams({ p: '[[1,2],"\\\\x03"]' })
    const response = await fetch(`${gateway.url}/call/${platform}/text_of_bytes?${query}`)
    expect(await response.text()).toContain(JSON.stringify(String.raw`{"\\x0102","\\x03"}`))
  })

  test.each([
    ['text_of_blob', '[{"b":1}]'],
    ['text_of_blob', '[{"b":true}]'],
    ['text_of_blob', '[{"b":{}}]'],
    ['text_of_blob', '[{"b":[256]}]'],
    ['text_of_blob', '[{"b":[[1]]}]'],
    ['text_of_bytes', '[[1,2]]'],
    ['text_of_bytes', '[[true]]'],
    ['text_of_bytes', '[[{}]]'],
    ['text_of_bytes', '[[[1,"2"]]]'],
    ['text_of_bytes', '[[["1",2]]]'],
    ['text_of_bytes', '[["1",["2"]]]'],
    ['text_of_bytes', '[[null,["2"]]]'],
    ['text_of_bytes', '[[["2"],"1"]]'],
    ['text_of_bytes', '[[[],["1"]]]'],
    ['text_of_bytes', '[[["1"],[["2"]]]]'],
    ['text_of_bytes', '[{}]'],
    ['text_of_bytes', '[1]'],
    ['text_of_domains', '[[1]]'],
    ['text_of_keys', '[[1]]'],
    ['text_of_lists', '[[[1]]]'],
    ['text_of_lists', '[[[["2"],[true]]]]'],
    ['text_of_blob_lists', '[[[{"b":1}]]]'],
    ['text_of_all_blobs', '[{"b":1}]'],
    ['make_blob', '[{"b":1},null]'],
    ['text_of_all', '["1",2]'],
    ['text_of_all', '[[2,3]]'],
    ['text_of_many', '[[{"b":[1]},{"b":2}]]'],
    ['text_of_blobs', '[{"bs":1}]'],
    ['text_of_blobs', '[{"bs":[1]}]'],
    ['text_of_blobs', '[{"bs":{}}]'],
    ['text_of_blobs', '[{"k":1}]'],
    ['text_of_blobs', '[{"ks":[1]}]'],
    ['text_of_blobs', '[{"inner_blob":{"b":1}}]'],
    ['text_of_blobs', '[{"many":[{"b":1}]}]'],
  ])('%s %s is a 400 that names the parameter', async (name, params) => {
    expect(await call(name, params)).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p',
    })
  })
})

describe('C9: session', () => {
  test.each(['db_gateway.in_transaction', 'DB_Gateway.x', '_db_gateway.x', 'db_gateway_x.y'])(
    '%s is the gateway’s own',
    async (name) => {
      expect(await call('ping', '[]', `,"session":{"${name}":"yes"}`)).toMatchObject({
        status: 400,
        message: `session: ${name} is reserved for the gateway: choose another name`,
      })
    },
  )

  test('has each setting once; its values are exact', async () => {
    const twice = ',"session":{"app.a":1,"app.\\u0061":2}'
    expect(await call('ping', '[]', twice)).toMatchObject({
      status: 400,
      message: 'Duplicate setting "app.a" in session',
    })
    const session = ',"session":{"app.a":{"z":1.0,"a":"\\u00e9","z":2}}'
    expect(await answerOf('setting', '["app.a"]', session)).toBe('{"z":1.0,"a":"\\u00e9","z":2}')
  })
})

describe('C11: overloads are chosen as PostgreSQL chooses', () => {
  test.each(['"2024-01-01"', 'null'])('%s', async (json) => {
    expect(await answerOf('choose', `[${json}]`)).toBe('timestamptz')
    expect(await answerOf('choose', `{"p":${json}}`)).toBe('timestamptz')
  })
  test('null for int or text is text', async () => {
    expect(await answerOf('plain', '[null]')).toBe('text')
    expect((await gateway.get(`/call/${platform}/plain?p=5`)).body.rows).toEqual([
      { plain: 'text' },
    ])
  })
})

describe('C12, C15: composites', () => {
  test.each([
    ['text_of_pair', '{"n":1.50,"t":null}', '(1.50,)'],
    ['text_of_pair', '[]', '(,)'],
    ['text_of_pair', '{}', '(,)'],
    ['text_of_nested', '{"p":[],"ps":[]}', '("(,)",{})'],
    ['text_of_nested', '{"ps":[{"n":1},{"n":2,"t":"a"}]}', '(,"{""(1,)"",""(2,a)""}")'],
    ['text_of_ids', '[[1],[2,3],null]', '{"{1}","{2,3}",NULL}'],
  ])('%s(%s)', async (name, json, text) => {
    expect(await answerOf(name, `[${json}]`)).toBe(text)
  })

  test.each([
    ['text_of_pair', '{"n":1,"N":2}', 'pair has no attribute "N"; it has n, t'],
    ['text_of_nested', '{"p":{"x":1}}', 'pair has no attribute "x"; it has n, t'],
    ['text_of_nested', '{"ps":[{"n":1},{"n":1,"x":1}]}', 'pair has no attribute "x"; it has n, t'],
    ['count_pairs', '[{"n":1},{"m":1}]', 'pair has no attribute "m"; it has n, t'],
  ])('%s(%s) is a 400 that names the key', async (name, json, cause) => {
    expect(await call(name, `[${json}]`)).toMatchObject({ status: 400, parameter: 'p', cause })
  })

  test('an attribute that was added by hand is known at once', async () => {
    await define(`
      create type grown as (a int);
      create function text_of_grown(p grown) returns text language sql as $$ select p::text $$`)
    expect(await answerOf('text_of_grown', '[{"a":1}]')).toBe('(1)')
    await define('alter type grown add attribute b int')
    expect(await answerOf('text_of_grown', '[{"a":1,"b":2}]')).toBe('(1,2)')
  })

  test('an hstore within one is an object or a text', async ({ skip }) => {
    if (!hasHstore) skip('this server has no hstore')
    await define(`
      create extension hstore;
      create type tagged as (id int, tags hstore, more hstore[]);
      create function id_tagged(p tagged) returns tagged language plpgsql
        as $$ begin return p; end $$;
      create function text_of_hstore(p hstore) returns text language sql as $$ select p::text $$;
      create function keys_of(p hstore) returns int language sql
        as $$ select cardinality(akeys(p)) $$`)
    const rows = [
      ['{"id":1,"tags":{"a":"1","b":null}}', '{"a": "1", "b": null}', null],
      ['{"id":1,"tags":"a=>1, b=>NULL"}', '{"a": "1", "b": null}', null],
      ['{"id":1,"tags":{"\\"":"\\\\","é":1.50}}', '{"\\"": "\\\\", "é": "1.50"}', null],
      ['{"id":1,"tags":[],"more":[{"a":1},[],"b=>2"]}', '{}', '[{"a": "1"},{},{"b": "2"}]'],
      ['{"id":1,"tags":[],"more":[[]]}', '{}', '[{}]'],
    ]
    for (const [json, tags, more] of rows) {
      const { text } = await call('id_tagged', `[${json}]`)
      expect(text).toContain(`[{"id":1,"tags":${tags},"more":${more}}]`)
    }
    expect(await answerOf('text_of_hstore', '[[]]')).toBe('')
    expect(await answerOf('text_of_hstore', '[{"a":1,"a":2}]')).toBe('"a"=>"2"')
    const long = Array.from({ length: 20_000 }, (_, i) => `"k\\"\\\\${i % 10_000}":"v${i}"`)
    expect(await answerOf('keys_of', `[{${long.join()}}]`)).toBe(10_000)
    const pairs = '"a":"x\\"\\\\\\n=>,","b":null,"c":[1.0],"a":"last"'
    const padding = `,"z":"${'z'.repeat(40_000)}"`
    const short = await answerOf('text_of_hstore', `[{${pairs}}]`)
    const padded = (await answerOf('text_of_hstore', `[{${pairs}${padding}}]`)) as string
    expect(padded.replace(/, "z"=>"z+"$/, '')).toBe(short)
  })
})

describe('C12: a GET can send NULL', () => {
  test.each([
    ['is_null?p_text', true],
    ['is_null?p_text=', false],
    ['is_null?p_text=null', false],
    ['is_null?p_text&p_n=1', true],
    ['is_null?p_n=2&p_text', true],
  ])('%s', async (path, value) => {
    expect((await gateway.get(`/call/${platform}/${path}`)).body.rows).toEqual([{ is_null: value }])
  })

  test('also as an element of an array', async () => {
    const { body } = await gateway.get(`/call/${platform}/nulls?p=1&p&p=2`)
    expect(body.rows).toEqual([{ nulls: '{1,NULL,2}' }])
    expect((await gateway.get(`/call/${platform}/nulls?p`)).body.rows).toEqual([{ nulls: null }])
  })
})

describe('C14: names', () => {
  test('that are no strings are told as such', async () => {
    const { status, body } = await gateway.post('/call', {
      platform,
      tenant_id: 7,
      function: 'ping',
    })
    expect({ status, message: body.message }).toEqual({
      status: 400,
      message: 'tenant_id must be a string; got 7',
    })
  })

  test('that differ from an existing one by their spelling say which one exists', async () => {
    const call = { platform, tenant_id: 'Berlin', function: 'ping' }
    const { status, body } = await gateway.post('/call', call)
    expect(status).toBe(404)
    expect(body.error).toBe('database_not_found')
    expect(body.message).toBe(
      `Tenant Berlin of platform ${platform} has no database: the name ${database.replace('main', 'berlin')} ` +
        `is taken by tenant berlin of platform ${platform} (tenant_id is spelled "berlin")`,
    )
  })
})

describe('members that are given twice', () => {
  test.each([
    ['{"platform":"values","platform":"other","function":"ping"}', 'Duplicate member "platform"'],
    [
      '{"platform":"values","tenant_id":"a","function":"ping","tenant\\u005fid":null}',
      'Duplicate member "tenant_id"',
    ],
    [
      '{"platform":"values","function":"ping","params":[],"params":[]}',
      'Duplicate member "params"',
    ],
    [
      '{"platform":"values","function":"plain","params":{"p":1,"p":"x"}}',
      'Duplicate parameter "p"',
    ],
  ])('%s', async (body, message) => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${gateway.url}/call`, { method: 'POST', headers, body })
    expect([response.status, await response.json()]).toEqual([
      400,
      { error: 'invalid_request', message },
    ])
  })

  test('of a call of a batch', async () => {
    const response = await fetch(`${gateway.url}/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"platform":"values","calls":[{"function":"ping"},{"function":"a","function":"b"}]}',
    })
    expect(await response.json()).toMatchObject({
      message: 'Duplicate member "function" in calls[1]',
    })
  })
})
