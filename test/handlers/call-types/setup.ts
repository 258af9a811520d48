import type postgres from 'postgres'
import { afterAll, beforeAll, expect } from 'vitest'
import {
  becomePlatform,
  connectTo,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { pack, textFunction } from '../../helpers/platforms.ts'

// What PostgreSQL says of a value (to_json, ::text) is asked on a connection of its own. Answers
// are compared as text, since JSON.parse would lose digits.

export const platform = uniqueName('types')

export const database = `${platform}_main`

export let gateway: TestGateway

export let sql: postgres.Sql

export const define = (text: string) => queryDatabase(database, text)

/** A type as functions declare it, and values of it as a request's JSON writes them. */
export interface Type {
  type: string
  /** As a cast writes it, where that differs: a cast to char(3) would cut what a parameter keeps. */
  cast?: string
  /** JSON texts; the same value as a literal of PostgreSQL where it is not the text itself. */
  values: (string | [json: string, literal: string])[]
}

export const LONG = '1234567890'.repeat(100)

export const SCALARS: Type[] = [
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

export const STRUCTURES: Type[] = [
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

export const TYPES = [...SCALARS, ...STRUCTURES]

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
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
}

/** The rows of the answer to a call, as text. */
export async function rowsText(name: string, params: string): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}}`,
  })
  const text = await response.text()
  return /^\{"rows":(.*),"row_count":1,"execution_time_ms":\d+\}$/s.exec(text)?.[1] ?? text
}

/** What PostgreSQL answers to one expression. */
export async function say(expression: string): Promise<string> {
  const [row] = await sql.unsafe(`select (${expression})::text as said`)
  return row!.said
}

export const quote = (text: string) => `'${text.replaceAll("'", "''")}'`

/** A value of a table above, as JSON and as an expression of SQL. */
export function both({ type, cast = type }: Type, value: Type['values'][number]): [string, string] {
  if (typeof value !== 'string') return [value[0], `${quote(value[1])}::${cast}`]
  const literal = value.startsWith('"') ? JSON.parse(value) : value
  return [value, `${quote(literal)}::${cast}`]
}

export const isExpanded = (type: string) => ['pair', 'good_pair', 'everything'].includes(type)
