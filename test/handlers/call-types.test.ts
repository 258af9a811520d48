import type postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  becomePlatform,
  connectTo,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

// What PostgreSQL says of a value (to_json, ::text) is asked on a connection of its own. Answers
// are compared as text, since JSON.parse would lose digits.

const platform = uniqueName('types')
const database = `${platform}_main`
let gateway: TestGateway
let sql: postgres.Sql

const define = (text: string) => queryDatabase(database, text)

/** A type as functions declare it, and values of it as a request's JSON writes them. */
interface Type {
  type: string
  /** As a cast writes it, where that differs: a cast to char(3) would cut what a parameter keeps. */
  cast?: string
  /** JSON texts; the same value as a literal of PostgreSQL where it is not the text itself. */
  values: (string | [json: string, literal: string])[]
}

const LONG = '1234567890'.repeat(100)

const SCALARS: Type[] = [
  { type: 'smallint', values: ['0', '7', '-32768', '32767', '"12"'] },
  { type: 'integer', values: ['0', '-0', '-2147483648', '2147483647', '"12"'] },
  {
    type: 'bigint',
    values: [
      '9007199254740993',
      '9223372036854775807',
      '-9223372036854775808',
      '"9223372036854775807"',
    ],
  },
  {
    type: 'numeric',
    values: [
      '0',
      '-0',
      '1.50',
      '0.10',
      '100.00',
      '1.0',
      '12345678901234567890',
      '-0.00000000000000000000000000000000000001',
      '1e400',
      '1E-400',
      '1.5e3',
      LONG,
      `${LONG}.${LONG}`,
      `"-${LONG}.5"`,
      '"NaN"',
      '"Infinity"',
      '"-Infinity"',
    ],
  },
  {
    type: 'real',
    values: ['0.1', '-0', '1.5', '3.4028235e38', '1e-45', '16777217', '"NaN"', '"-Infinity"'],
  },
  {
    type: 'double precision',
    values: [
      '0.1',
      '-0',
      '-0.0',
      '0.30000000000000004',
      '1.7976931348623157e308',
      '5e-324',
      '12345678901234567890',
      '1e21',
      '"NaN"',
      '"Infinity"',
      '"-Infinity"',
    ],
  },
  { type: 'money', values: ['12.5', '"1234567.89"', '-3', '92233720368547758.07'] },
  { type: 'oid', values: ['0', '4294967295'] },
  { type: 'boolean', values: ['true', 'false', '"yes"', '"off"', '"t"', '1', '0'] },
  {
    type: 'text',
    values: [
      '""',
      '" "',
      '"abc"',
      '"null"',
      '"NULL"',
      '"{1,2}"',
      '"(1,2)"',
      '"1.50"',
      '"12345678901234567890"',
      '"\'quoted\' \\"twice\\" \\\\ $1 %s"',
      '"line\\nline\\ttab\\r\\b\\f\\u0001\\u001f\\u007f"',
      '"é 山田 😀 \\ud83d\\ude00 \\u2028"',
      '1.50',
      '12345678901234567890',
      'true',
      ['{"a":[1.50,"x"]}', '{"a":[1.50,"x"]}'],
      ['[1,2]', '[1,2]'],
    ],
  },
  { type: 'varchar', values: ['""', '"abc  "'] },
  { type: 'varchar(3)', cast: 'varchar', values: ['"longer than that"'] },
  { type: 'char(3)', cast: 'bpchar', values: ['"ab"', '"abc"', '"longer"', '"a  "'] },
  { type: '"char"', values: ['"x"', '""'] },
  { type: 'name', values: ['"abc"', `"${'x'.repeat(63)}"`] },
  { type: 'bytea', values: ['"\\\\xDEADBEEF"', '"\\\\x"', '""', '"a\\\\000b"', '"\\\\x00ff"'] },
  {
    type: 'uuid',
    values: ['"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"', '"{a0eebc999c0b4ef8bb6d6bb9bd380a11}"'],
  },
  {
    type: 'date',
    values: ['"2024-02-29"', '"0044-03-15 BC"', '"infinity"', '"-infinity"', '"5874897-12-31"'],
  },
  { type: 'time', values: ['"00:00"', '"23:59:59.999999"', '"24:00:00"', '"04:05 PM"'] },
  { type: 'timetz', values: ['"12:00:00.5+05:30"', '"12:00:00-00"'] },
  {
    type: 'timestamp',
    values: [
      '"2024-02-29T12:00:00.123456"',
      '"2024-02-29 12:00"',
      '"0044-03-15 12:00:00 BC"',
      '"infinity"',
      '"-infinity"',
    ],
  },
  {
    type: 'timestamptz',
    values: [
      '"2024-02-29T12:00:00.123456+02:00"',
      '"2024-02-29T12:00:00.000001Z"',
      '"2024-07-01 12:00 Europe/Berlin"',
      '"2024-07-01"',
      '"0001-01-01 00:00:00+00 BC"',
      '"294276-12-31 23:59:59.999999+00"',
      '"infinity"',
      '"-infinity"',
    ],
  },
  {
    type: 'interval',
    values: ['"1 year 2 mons 3 days 04:05:06.789"', '"P1Y2M3DT4H"', '"-1 day"', '"0"'],
  },
  { type: 'inet', values: ['"192.168.1.5/24"', '"::1"', '"10.0.0.1"'] },
  { type: 'cidr', values: ['"10.0.0.0/8"', '"2001:db8::/32"'] },
  { type: 'macaddr', values: ['"08:00:2B:01:02:03"'] },
  { type: 'macaddr8', values: ['"08-00-2b-01-02-03-04-05"'] },
  { type: 'bit', cast: '"bit"', values: ['"1"', '"0101"'] },
  { type: 'bit(4)', cast: '"bit"', values: ['"0101"'] },
  { type: 'varbit', values: ['"0101"', '""', '"XF"'] },
  {
    type: 'json',
    values: [
      [
        '{"b":1.50,"a":[null,-0,1e400,12345678901234567890]}',
        '{"b":1.50,"a":[null,-0,1e400,12345678901234567890]}',
      ],
      ['"text"', '"text"'],
      ['"1.50"', '"1.50"'],
      '1.50',
      '1E5',
      'true',
      '[]',
      '{}',
    ],
  },
  {
    type: 'jsonb',
    values: [
      '{"b":1.50,"a":[null,-0,1e400,12345678901234567890],"é":"\\n\\"😀"}',
      ['"text"', '"text"'],
      ['"1.50"', '"1.50"'],
      '1.50',
      '12345678901234567890',
      'false',
      '[]',
      '{}',
      '[[],[{}]]',
    ],
  },
  { type: 'jsonpath', values: ['"$.a[*] ? (@ > 1)"'] },
  { type: 'tsvector', values: ['"a:1 b:2A"', "\"'it''s'\""] },
  { type: 'tsquery', values: ['"a & !b"'] },
  { type: 'point', values: ['"(1.5,-2)"'] },
  { type: 'box', values: ['"(1,1),(0,0)"'] },
  { type: 'path', values: ['"[(0,0),(1,1)]"'] },
  { type: 'polygon', values: ['"((0,0),(1,1),(1,0))"'] },
  { type: 'circle', values: ['"<(0,0),2>"'] },
  { type: 'pg_lsn', values: ['"16/B374D848"'] },
  { type: 'regclass', values: ['"pg_class"'] },
  { type: 'int4range', values: ['"[1,5]"', '"empty"', '"(,5)"'] },
  { type: 'numrange', values: ['"[1.50,2.50)"'] },
  { type: 'daterange', values: ['"[2024-01-01,2024-02-01)"'] },
  { type: 'tstzrange', values: ['"[2024-01-01T00:00:00+02:00,)"'] },
  { type: 'int4multirange', values: ['"{[1,3),[5,8)}"', '"{}"'] },
  { type: 'mood', values: ['"happy"', '"so so"', '"it\'s \\"ok\\""'] },
  { type: 'positive', values: ['1', '2147483647', '"5"'] },
  { type: 'amount', values: ['1.5', '12345678901234567890.10'] },
  { type: 'email', values: ['"a@b"'] },
]

const STRUCTURES: Type[] = [
  {
    type: 'integer[]',
    values: [
      ['[]', '{}'],
      ['[1,null,-2]', '{1,NULL,-2}'],
      ['[[1,2],[3,4]]', '{{1,2},{3,4}}'],
      ['[[[1]],[[2]]]', '{{{1}},{{2}}}'],
      ['["1","2"]', '{1,2}'],
    ],
  },
  {
    type: 'bigint[]',
    values: [['[9223372036854775807,9007199254740993]', '{9223372036854775807,9007199254740993}']],
  },
  {
    type: 'numeric[]',
    values: [[`[1.50,-0,1e400,${LONG},"NaN"]`, `{1.50,-0,1e400,${LONG},NaN}`]],
  },
  { type: 'double precision[]', values: [['[0.1,-0,"Infinity"]', '{0.1,-0,Infinity}']] },
  { type: 'boolean[]', values: [['[true,false,null,"yes"]', '{t,f,NULL,yes}']] },
  {
    type: 'text[]',
    values: [
      [
        '["","a,b","{}","NULL",null,"\\"q\\"","\\\\","\\n 😀",1.50,true]',
        '{"","a,b","{}","NULL",NULL,"\\"q\\"","\\\\","\n 😀",1.50,true}',
      ],
    ],
  },
  {
    type: 'uuid[]',
    values: [
      ['["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'],
    ],
  },
  {
    type: 'jsonb[]',
    values: [['[{"a":1.50},"x",[1],2.0]', '{"{\\"a\\":1.50}","\\"x\\"",[1],2.0}']],
  },
  { type: 'mood[]', values: [['["happy",null]', '{happy,NULL}']] },
  { type: 'positive[]', values: [['[1,2]', '{1,2}']] },
  { type: 'pair[]', values: [['[{"n":1,"t":"a,b"},null,{}]', '{"(1,\\"a,b\\")",NULL,"(,)"}']] },
  {
    type: 'short_list',
    values: [
      ['[1,2]', '{1,2}'],
      ['[]', '{}'],
    ],
  },
  {
    type: 'settings',
    values: [
      ['{"name":"x","size":1.50}', '{"name":"x","size":1.50}'],
      ['{"name":12345678901234567890}', '{"name":12345678901234567890}'],
    ],
  },
  { type: 'raw_settings', values: [['{"b":1.50,"a":-0}', '{"b":1.50,"a":-0}']] },
  {
    type: 'pair',
    values: [
      ['{"n":12345678901234567890.10,"t":"a"}', '(12345678901234567890.10,a)'],
      ['{"t":"a,b \\"c\\" \\\\"}', '(,"a,b ""c"" \\\\")'],
      ['{}', '(,)'],
      ['{"t":""}', '(,"")'],
    ],
  },
  { type: 'good_pair', values: [['{"n":1,"t":"x"}', '(1,x)']] },
  {
    type: 'everything',
    values: [
      [
        '{"pair":{"n":1.50,"t":null},"pairs":[{"n":-0},{"t":"x"}],"data":{"a":[1.50]},' +
          '"raw":{"b":1,"a":1.0},"at":"2024-01-01T00:00:00+02:00","moods":["happy"],"grid":[[1,2],[3,4]],' +
          '"list":[1],"bytes":"\\\\x00ff","amount":1e3}',
        '("(1.50,)","{""(-0,)"",""(,x)""}","{""a"":[1.50]}","{""b"":1,""a"":1.0}",' +
          '"2024-01-01 00:00:00+02",{happy},"{{1,2},{3,4}}",{1},"\\\\x00ff",1e3)',
      ],
    ],
  },
]

const TYPES = [...SCALARS, ...STRUCTURES]

beforeAll(async () => {
  gateway = await startTestGateway()
  const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  expect(body).toMatchObject({ status: 'ready' })
  sql = connectTo(database)
  await becomePlatform(sql)
  await sql`select set_config('TimeZone', 'UTC', false), set_config('client_min_messages', 'error', false)`
  await define(`
    create type mood as enum ('happy', 'so so', 'it''s "ok"');
    create domain positive as int check (value > 0);
    create domain amount as numeric check (value > 0);
    create domain email as text check (value like '%@%');
    create domain short_list as int[] check (cardinality(value) < 3);
    create domain settings as jsonb check (value ? 'name');
    create domain raw_settings as json;
    create type pair as (n numeric, t text);
    create domain good_pair as pair check ((value).n is not null);
    create type everything as (
      pair pair, pairs pair[], data jsonb, raw json, at timestamptz, moods mood[], grid int[],
      list short_list, bytes bytea, amount amount
    )
  `)
  const functions = TYPES.map(
    ({ type }, i) => `
      create function id_${i}(p_value ${type}) returns ${type} language sql as $$ select p_value $$;
      create function text_${i}(p_value ${type}) returns text language sql
      as $$ select p_value::text $$;
      create type box_${i} as (v ${type});
      create function box_${i}(p_value box_${i}) returns box_${i} language plpgsql
      as $$ begin return p_value; end $$`,
  )
  const arrays = SCALARS.map(
    ({ type }, i) => `
      create function ids_${i}(p_value ${type}[]) returns ${type}[] language sql
      as $$ select p_value $$`,
  )
  await define([...functions, ...arrays].join(';\n'))
})
afterAll(async () => {
  await sql.end()
  await gateway.stop()
})

/** The rows of the answer to a call, as text. */
async function rowsText(name: string, params: string): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}}`,
  })
  const text = await response.text()
  return /^\{"rows":(.*),"row_count":1,"execution_time_ms":\d+\}$/s.exec(text)?.[1] ?? text
}

/** What PostgreSQL answers to one expression. */
async function say(expression: string): Promise<string> {
  const [row] = await sql.unsafe(`select (${expression})::text as said`)
  return row!.said
}

const quote = (text: string) => `'${text.replaceAll("'", "''")}'`

/** A value of a table above, as JSON and as an expression of SQL. */
function both({ type, cast = type }: Type, value: Type['values'][number]): [string, string] {
  if (typeof value !== 'string') return [value[0], `${quote(value[1])}::${cast}`]
  const literal = value.startsWith('"') ? JSON.parse(value) : value
  return [value, `${quote(literal)}::${cast}`]
}

const isExpanded = (type: string) => ['pair', 'good_pair', 'everything'].includes(type)

describe('a value comes back as PostgreSQL writes it', () => {
  test.each(TYPES.map((one, i) => [one.type, i, one] as const))('%s', async (type, i, one) => {
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      const said = await say(`to_json(${expression})`)
      const rows = isExpanded(type) ? `[${said}]` : `[{"id_${i}":${said}}]`
      expect(await rowsText(`id_${i}`, `[${json}]`), json).toBe(rows)
      expect(await rowsText(`id_${i}`, `{"p_value":${json}}`), json).toBe(rows)
    }
  })
})

describe('a value arrives as PostgreSQL reads it', () => {
  test.each(TYPES.map((one, i) => [one.type, i, one] as const))('%s', async (_, i, one) => {
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      const said = await say(`to_json(${expression}::text)`)
      expect(await rowsText(`text_${i}`, `[${json}]`), json).toBe(`[{"text_${i}":${said}}]`)
    }
  })
})

describe('the elements of an array', () => {
  test.each(SCALARS.map((one, i) => [one.type, i, one] as const))('%s[]', async (type, i, one) => {
    // A cast of the array would cut its elements to the declared length, which a parameter is not.
    const { cast = type } = one
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      // An array within an array is another dimension, whatever the type.
      if (json.startsWith('[')) continue
      const said = await say(`to_json(array[${expression}, null, ${expression}]::${cast}[])`)
      const text = await rowsText(`ids_${i}`, `[[${json},null,${json}]]`)
      expect(text, json).toBe(`[{"ids_${i}":${said}}]`)
    }
  })
})

describe('the fields of a composite', () => {
  test.each(TYPES.map((one, i) => [one.type, i, one] as const))('%s', async (type, i, one) => {
    for (const value of one.values) {
      const [json, expression] = both(one, value)
      // Unlike a parameter's, the declared length of a field holds.
      const isCut = ['varchar(3)', 'char(3)', 'bit'].includes(type)
      if (isCut && json.length > 5) continue
      const said = await say(`to_json(row(${expression})::box_${i})`)
      expect(await rowsText(`box_${i}`, `[{"v":${json}}]`), json).toBe(`[${said}]`)
    }
  })
})

describe('null', () => {
  test.each(TYPES.map(({ type }, i) => [type, i] as const))('%s is SQL NULL', async (type, i) => {
    if (type === 'good_pair') return
    expect(await rowsText(`text_${i}`, '[null]')).toBe(`[{"text_${i}":null}]`)
    const nulls = isExpanded(type)
      ? await say(`to_json(json_populate_record(null::${type}, '{}'))`)
      : `{"id_${i}":null}`
    expect(await rowsText(`id_${i}`, '[null]')).toBe(`[${nulls}]`)
  })

  test('jsonb has no other null; within JSON it is what it is', async () => {
    await define(`
      create function is_null(p_value jsonb) returns boolean language sql
      as $$ select p_value is null $$
    `)
    expect(await rowsText('is_null', '[null]')).toBe('[{"is_null":true}]')
    expect(await rowsText('is_null', '[[null]]')).toBe('[{"is_null":false}]')
  })
})

describe('arrays and composites may be written as PostgreSQL writes them', () => {
  test.each([
    ['integer[]', '{1,NULL,{2}', false],
    ['integer[]', '{1,NULL,2}', true],
    ['integer[]', '[0:1]={7,8}', true],
    ['text[]', '{"a,b",c}', true],
    ['pair', '(1.50,"a b")', true],
    ['pair[]', '{"(1,a)"}', true],
    ['mood[]', '{happy,"so so"}', true],
  ])('%s: %s', async (type, literal, isValid) => {
    const i = TYPES.findIndex((one) => one.type === type)
    const text = await rowsText(`text_${i}`, JSON.stringify([literal]))
    if (isValid) {
      const said = await say(`to_json(${quote(literal)}::${type}::text)`)
      expect(text).toBe(`[{"text_${i}":${said}}]`)
    } else {
      expect(text).toContain('"error":"invalid_request"')
    }
  })
})

describe('results that no parameter can be', () => {
  test.each([
    ['an array that does not start at 1', `select '[0:1]={1,2}'::int[]`, 'int[]'],
    ['a negative zero', `select '-0'::float8`, 'float8'],
    [
      'the largest numeric that there is room for',
      `select repeat('9', 100000)::numeric`,
      'numeric',
    ],
    ['json with white space and duplicate keys', `select '{"a": 1,\n "a":  2}'::json`, 'json'],
    ['json escapes', `select '"\\u0000\\ud83d\\ude00\\u00e9/\\/"'::json`, 'json'],
    ['a table row with a dropped column', `select t from dropped t`, 'dropped'],
    ['nested arrays of composites', `select array[array[(1, 'x')::pair]]`, 'pair[]'],
  ])('%s', async (_, query, type) => {
    await define(`
      create table if not exists dropped (a int, b int, c int);
      alter table dropped drop column if exists b;
      insert into dropped values (1, 3);
      drop function if exists result;
      create function result() returns ${type} language sql as $$ ${query} limit 1 $$
    `)
    const said = await say(`select to_json(r.*) from (select * from result()) r`)
    expect(await rowsText('result', '[]')).toBe(`[${said}]`)
  })
})

test('two columns of one name are both there, with their values', async () => {
  await define(`
    create function same_name(out column2 numeric, out text) returns setof record language sql
    as $$ values (1.50, 'x'), (2, null) $$
  `)
  const [text] = await sql.unsafe(
    'select json_agg(r.*)::text as said from (select * from same_name()) r',
  )
  expect(text!.said.replace(/\s/g, '')).toBe(
    '[{"column2":1.50,"column2":"x"},{"column2":2,"column2":null}]',
  )
  const answer = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, function: 'same_name' }),
  })
  expect(await answer.text()).toContain(`{"rows":${text!.said},"row_count":2,`)
})

describe('xml', () => {
  test('comes and goes, where the server was built with it', async () => {
    const hasXml = await sql.unsafe(`select '<a/>'::xml`).then(
      () => true,
      () => false,
    )
    if (!hasXml) return
    await define(`
      create function id_xml(p_value xml) returns xml language sql as $$ select p_value $$
    `)
    const said = await say(`to_json('<a b="1">é &amp; 2</a>'::xml)`)
    expect(await rowsText('id_xml', '["<a b=\\"1\\">é &amp; 2</a>"]')).toBe(`[{"id_xml":${said}}]`)
  })
})

describe('money where a comma is the decimal point', () => {
  test('is what its JSON number says, and goes out as that country writes it', async ({ skip }) => {
    const country = uniqueName('country')
    const body = 'language sql as $$ select p_value::numeric, p_value $$'
    const files = {
      'types/price.pssql': 'create domain price as money check (value >= 0::money);',
      'functions/price.pssql': [
        `create function price(p_value money, out number numeric, out value money) ${body};`,
        `create function checked(p_value price, out number numeric, out value money) ${body};`,
        `create function prices(p_value money[]) returns numeric[] language sql
         as $$ select p_value::numeric[] $$;`,
        `create procedure charge(p_value money, out number numeric) language sql
         as $$ select p_value::numeric $$;`,
      ].join('\n'),
    }
    expect(await gateway.register(country, await pack(files))).toMatchObject({ status: 200 })
    const isSet = await queryDatabase(
      `${country}_main`,
      `alter database ${country}_main set lc_monetary = 'de_DE.UTF-8'`,
    ).then(
      () => true,
      () => false,
    )
    if (!isSet) skip('this server does not know the country')
    const call = async (name: string, ...params: unknown[]) =>
      (await gateway.call(country, name, params)).body
    for (const value of [1234.5, '1.234,50', '1.234,50 €']) {
      const row = { number: 1234.5, value: '1.234,50 €' }
      expect(await call('price', value)).toMatchObject({ rows: [row] })
      expect(await call('checked', value)).toMatchObject({ rows: [row] })
    }
    expect(await call('prices', [[1.5], [-2]])).toMatchObject({ rows: [{ prices: [[1.5], [-2]] }] })
    expect(await call('prices', [1.5, null])).toMatchObject({ rows: [{ prices: [1.5, null] }] })
    expect(await call('prices', ['1,50', null])).toMatchObject({ rows: [{ prices: [1.5, null] }] })
    expect(await call('charge', 1.5)).toMatchObject({ rows: [{ number: 1.5 }] })
    for (const name of ['price', 'checked', 'charge']) {
      expect(await call(name, 1e30)).toMatchObject({
        error: 'invalid_request',
        parameter: 'p_value',
      })
    }
    expect(await call('checked', -1)).toMatchObject({ error: 'invalid_request', type: 'price' })
  })
})

describe('polymorphic types', () => {
  beforeAll(async () => {
    await define(`
      create function same(p_value anyelement) returns anyelement language sql
      as $$ select p_value $$;
      create function type_of(p_value anyelement) returns text language sql
      as $$ select pg_typeof(p_value) $$;
      create function same_array(p_value anyarray) returns anyarray language sql
      as $$ select p_value $$;
      create function first_of(p_value anyarray) returns anyelement language sql
      as $$ select p_value[1] $$
    `)
  })

  test.each([
    ['1', 'integer'],
    ['9223372036854775807', 'bigint'],
    ['12345678901234567890', 'numeric'],
    ['1.50', 'numeric'],
    ['true', 'boolean'],
    ['"1.50"', 'text'],
    ['null', 'text'],
    ['{"a": 1.50}', 'jsonb'],
    ['[1, 2]', 'integer[]'],
    ['["a", null]', 'text[]'],
  ])('%s is %s', async (json, type) => {
    expect(await rowsText('type_of', `[${json}]`)).toBe(`[{"type_of":"${type}"}]`)
    const expected = json.replaceAll(/([[,]) /g, '$1')
    expect(await rowsText('same', `[${json}]`)).toBe(`[{"same":${expected}}]`)
  })

  test.each([
    ['pushed', '[[1,2.5],3]', '[1,2.5,3]'],
    ['pushed', '[[1,2],3.50]', '[1,2,3.50]'],
    ['pushed', '[[1,2],null]', '[1,2,null]'],
    ['pushed', '[[],9223372036854775807]', '[9223372036854775807]'],
    ['pushed', '[null,"a"]', '["a"]'],
    ['pushed', '[["a"],"b"]', '["a","b"]'],
    ['pushed', '[[null],true]', '[null,true]'],
    ['pushed', '[[{"a": 1}],{"b": 2}]', '[{"a": 1},{"b": 2}]'],
    ['pushed_compatible', '[[1],2.5]', '[1,2.5]'],
    ['pushed_compatible', '[[1],null]', '[1,null]'],
    ['listed', '[1,2.50,null]', '[1,2.50,null]'],
    ['listed', '[null,null]', '[null,null]'],
  ])(
    '%s(%s): all of its arguments are of the one type that fits them',
    async (name, json, list) => {
      await define(`
      create or replace function pushed(p_list anyarray, p_value anyelement) returns anyarray
      language sql as $$ select array_append(p_list, p_value) $$;
      create or replace function pushed_compatible(
        p_list anycompatiblearray, p_value anycompatible
      ) returns anycompatiblearray language sql as $$ select array_append(p_list, p_value) $$;
      create or replace function listed(variadic p_values anyarray) returns anyarray
      language sql as $$ select p_values $$
    `)
      expect(await rowsText(name, json)).toBe(`[{"${name}":${list}}]`)
    },
  )

  test.each(['anyrange', 'anymultirange', 'anyenum', 'anycompatiblerange'])(
    '%s is a 400: JSON has no such values',
    async (type) => {
      const name = `of_${type}`
      await define(`
        create or replace function ${name}(p_value ${type}, p_other int) returns text
        language sql as $$ select p_value::text $$
      `)
      expect(JSON.parse(await rowsText(name, '["[1,2]",1]'))).toEqual({
        error: 'invalid_request',
        message:
          `Parameter p_value (${type}) does not convert: JSON does not say which type it is; ` +
          'call a function that declares one',
        parameter: 'p_value',
        type,
        cause: 'JSON does not say which type it is; call a function that declares one',
      })
      await define(`drop function ${name}(${type}, int)`)
    },
  )

  test.each([
    ['[]', 'null'],
    ['[1,2]', '1'],
    ['[1,2.50]', '1'],
    ['[12345678901234567890]', '12345678901234567890'],
    ['[[1,2],[3,4]]', 'null'],
    ['["a","b"]', '"a"'],
    ['[{"a": 1},{}]', '{"a": 1}'],
  ])('the array %s', async (json, first) => {
    expect(await rowsText('same_array', `[${json}]`)).toBe(`[{"same_array":${json}}]`)
    expect(await rowsText('first_of', `[${json}]`)).toBe(`[{"first_of":${first}}]`)
  })
})

describe('a value that is none of its type is a 400 that names the parameter and the type', () => {
  const values: [type: string, ...json: string[]][] = [
    ['bigint', '9223372036854775808', '"1.5"', '1e3', '"NaN"'],
    ['numeric', '"1.5.5"', '"Inf inity"', 'true', '[1]'],
    ['real', '1e39', '"x"'],
    ['double precision', '1e309', '1e-400'],
    ['money', '"x"', '92233720368547758.08'],
    ['oid', '4294967296'],
    ['boolean', '2', '"x"', '[true]'],
    ['"bit"', '"2"', '2'],
    ['bytea', '"\\\\xzz"', '"\\\\400"', '[256]', '[-1]', '[0.5]', '["1"]', '[[1]]', '{}', '7'],
    ['date', '"2024-13-01"', '"5874898-01-01"', '20241332', 'true'],
    ['time', '"24:00:01"'],
    ['timetz', '"12:00+16:00"'],
    ['timestamp', '"294277-01-01"', '"4715-01-01 BC"'],
    ['timestamptz', '"2024-01-01 00:00 Nowhere/City"', '1700000000000'],
    ['interval', '"178956971 years"', '"P1X"'],
    ['cidr', '"10.0.0.1/8"'],
    ['macaddr', '"08:00"'],
    ['jsonpath', '"$$$"'],
    ['tsvector', `"'"`],
    ['tsquery', '"a &"'],
    ['point', '"x"', '[1,2]'],
    ['pg_lsn', '"x"'],
    ['tid', '"(1)"'],
    ['regclass', '"no_such_table"', '"a.b.c.d"'],
    ['regtype', '"no_such_type"'],
    ['int4range', '"[2147483647,2147483647]"', '{"lower":1}'],
    ['tstzrange', '"[soon,]"'],
    ['int4multirange', '"{[1,2}"', '["[1,2]"]'],
    ['floatrange', '"[2,1]"'],
    ['mood', '"HAPPY"', '[]'],
    ['small', '1234', '"x"'],
    ['small_positive', '-1', '1234'],
    ['not_null', 'null', '"x"'],
    ['needs', '{}', '{"id":null}', '{"id":1,"code":"four"}', '{"id":1,"size":1234}'],
    ['needs[]', '[{"id":1},{}]'],
    ['json[]', '{"a":1}', '"[1]"'],
    ['jsonb[]', '["nul \\u0000"]', '[{"a":["\\ud800"]}]', '1'],
    ['lists[]', '[[1,"x"]]', '[1]', '{"a":1}'],
    ['settings', '{}', '[]', '"x"'],
    ['settings[]', '[{"name":1},{}]'],
    ['pair', '{"n":1,"T":"x"}', '[1]', '5'],
    ['good_pair', '{"n":1,"unknown":1}', '[]'],
    ['pair[]', '[{"n":1},{"m":1}]', '[[{"m":1}]]'],
    ['everything', '{"pairs":[{"m":1}]}', '{"pair":{"m":1}}'],
  ]
  const types = values.map(([type]) => type)

  beforeAll(async () => {
    await define(`
      create type floatrange as range (subtype = float8);
      create domain small as numeric(5, 2);
      create domain small_positive as small check (value > 0);
      create domain not_null as int not null;
      create domain lists as int[];
      create type needs as (id not_null, code varchar(3), size small)
    `)
    const functions = types.map(
      (type, i) => `
        create function takes_${i}(p_before int, p_value ${type}) returns int language plpgsql
        as $$ begin return 1; end $$`,
    )
    await define(functions.join(';\n'))
  })

  test.each(values)('%s', async (type, ...jsons) => {
    for (const json of jsons) {
      const answer = JSON.parse(await rowsText(`takes_${types.indexOf(type)}`, `[1,${json}]`))
      const declared = await say(`format_type(${quote(type)}::regtype, -1)`)
      expect(answer, json).toMatchObject({
        error: 'invalid_request',
        parameter: 'p_value',
        type: declared,
      })
      const why = answer.cause.split(' | ')[0]
      expect(answer.message).toBe(`Parameter p_value (${declared}) does not convert: ${why}`)
    }
  })
})

describe('what a function sets for its session', () => {
  test('is UTC and ISO when it begins', async () => {
    await define(`
      create function session() returns table (zone text, date_style text, bytes text)
      language sql as $$
        select current_setting('TimeZone'), current_setting('DateStyle'),
          current_setting('bytea_output')
      $$
    `)
    expect(await rowsText('session', '[]')).toBe(
      '[{"zone":"UTC","date_style":"ISO, MDY","bytes":"hex"}]',
    )
  })
})
