import { beforeAll, describe, expect, test } from 'vitest'

// What PostgreSQL says of a value (to_json, ::text) is asked on a connection of its own. Answers
// are compared as text, since JSON.parse would lose digits.

import { define, quote, rowsText, say, setUp } from './setup.ts'

setUp()

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
          `Parameter p_value (${type}) does not convert: JSON does not determine its type; ` +
          'call a function that declares one',
        parameter: 'p_value',
        type,
        cause: 'JSON does not determine its type; call a function that declares one',
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
