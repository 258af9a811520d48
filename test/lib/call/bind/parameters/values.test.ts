import { describe, expect, test } from 'vitest'
import { jsonOfText } from '../../../../helpers/json.ts'

import { bind, bound, chosen, f, refusal, sqlOf } from './setup.ts'

describe('values', () => {
  test.each<[string, string, string, string | null]>([
    ['integer', '5', 'text', '5'],
    ['numeric', '1.50', 'text', '1.50'],
    ['numeric', '"1.50"', 'text', '1.50'],
    ['text', '12345678901234567890', 'text', '12345678901234567890'],
    ['text', 'true', 'text', 'true'],
    ['text', '{"a":[1.50]}', 'text', '{"a":[1.50]}'],
    ['boolean', 'false', 'text', 'false'],
    ['date', '"2024-01-01"', 'text', '2024-01-01'],
    ['mood', '"happy"', 'text', 'happy'],
    ['text', 'null', 'text', null],
    ['jsonb', 'null', 'text', null],
    ['json', '"x"', 'text', '"x"'],
    ['jsonb', '1.50', 'text', '1.50'],
    ['jsonb', '[1.50,{"a":-0}]', 'text', '[1.50,{"a":-0}]'],
    ['json[]', '[]', 'json[]', '[]'],
    ['json[]', '[[1.50],{"a":1},null,"null"]', 'json[]', '[[1.50],{"a":1},null,"null"]'],
    ['json[]', '"{1}"', 'text', '{1}'],
    ['json[]', 'null', 'text', null],
    ['hstore', '{}', 'text', ''],
    [
      'hstore',
      '{"a":"1","b":null,"c":1.50,"d":[1.0]}',
      'text',
      '"a"=>"1","b"=>NULL,"c"=>"1.50","d"=>"[1.0]"',
    ],
    ['hstore', '{"\\"":"\\\\"}', 'text', String.raw`"\""=>"\\"`],
    ['hstore', '"a=>1"', 'text', 'a=>1'],
    [
      'hstore[]',
      '[{"a":"1"},null,"b=>2"]',
      'record',
      String.raw`{"p_a":["\"a\"=>\"1\"",null,"b=>2"]}`,
    ],
    ['hstore[]', '[[{}],[null]]', 'record', '{"p_a":[[""],[null]]}'],
    ['hstore', '[]', 'text', ''],
    ['hstore', '{"a":1,"a":2}', 'text', '"a"=>"2"'],
    ['money', '12.50', 'numeric', '12.50'],
    ['money', '12', 'numeric', '12'],
    ['money', '"$12"', 'text', '$12'],
    ['money', 'null', 'text', null],
    ['money[]', '[[1.50],[null]]', 'numeric[]', '{"p_a":[[1.50],[null]]}'],
    ['money[]', '["$1",2]', 'record', '{"p_a":["$1",2]}'],
    ['json_domain', '{"a":1e400}', 'text', '{"a":1e400}'],
    ['integer[]', '[1,[2]]', 'record', '{"p_a":[1,[2]]}'],
    ['integer[]', '"{1,2}"', 'text', '{1,2}'],
    ['numeric[]', '[1.50]', 'record', '{"p_a":[1.50]}'],
    ['address', '{"city":"x"}', 'record', '{"p_a":{"city":"x"}}'],
    ['address', '"(a,b,c)"', 'text', '(a,b,c)'],
    ['address', '[]', 'record', '{"p_a":{}}'],
    ['address', ' { "city" : 1.50 } ', 'record', '{"p_a":{ "city" : 1.50 }}'],
    [
      'address',
      '{"tags":{"a":1},"old":[]}',
      'record',
      String.raw`{"p_a":{"tags":"\"a\"=>\"1\"","old":[]}}`,
    ],
    [
      'address',
      '{"tags":[],"old":[[],{"city":"x"},[]]}',
      'record',
      '{"p_a":{"tags":"","old":[{},{"city":"x"},{}]}}',
    ],
    ['address[]', '[[],{"tags":"a=>1"}]', 'record', '{"p_a":[{},{"tags":"a=>1"}]}'],
    ['address[]', '[[],[]]', 'record', '{"p_a":[{},{}]}'],
    ['bytea', '"\\\\x00ff"', 'text', '\\x00ff'],
    ['bytea', '[0, 255,1e1]', 'text', '\\x00ff0a'],
    ['bytea', '[]', 'text', '\\x'],
    ['bytea[]', '[]', 'record', '{"p_a":[]}'],
    [
      'bytea[]',
      ' [ "\\\\x01" , [ 2, 3 ],null,[]] ',
      'record',
      String.raw`{"p_a":[ "\\x01" , "\\x0203",null,"\\x"]}`,
    ],
    ['bytea[]', '[[[1]],["x"]]', 'record', String.raw`{"p_a":[["\\x01"],["x"]]}`],
    ['ids[]', '[[1],[2,null]]', 'array[]', '[[1],[2,null]]'],
  ])('of %s: %s', (type, json, form, value) => {
    const [parameter] = bound(f(`p_a ${type}`), jsonOfText(`[${json}]`))
    expect(parameter).toEqual(['p_a', type, form, value])
  })

  test.each([
    ['1', 'integer'],
    ['3000000000', 'bigint'],
    ['1.0', 'numeric'],
    ['"x"', 'text'],
    ['true', 'boolean'],
    ['null', 'text'],
    ['{"a":1}', 'jsonb'],
    ['[]', 'text[]'],
    ['[null]', 'text[]'],
    ['[1,null,2]', 'integer[]'],
    ['[[1],[3000000000]]', 'bigint[]'],
    ['[1,2.5]', 'numeric[]'],
    ['[1,"x"]', 'text[]'],
    ['[true,false]', 'boolean[]'],
    ['[{"a":1},{"b":2}]', 'jsonb[]'],
  ])('of a polymorphic type: %s is %s', (json, type) => {
    expect(bound(f('p_a anyelement'), jsonOfText(`[${json}]`))[0]?.[1]).toBe(type)
  })

  test.each([
    ['anyelement', '1', 'anyelement', '2.5', 'numeric', 'numeric'],
    ['anyelement', '1', 'anyelement', 'null', 'integer', 'integer'],
    ['anyelement', 'null', 'anyelement', 'null', 'text', 'text'],
    ['anyelement', '[1]', 'anyelement', '[3000000000]', 'bigint[]', 'bigint[]'],
    ['anyelement', '[]', 'anyelement', '[true]', 'boolean[]', 'boolean[]'],
    ['anyarray', '[1]', 'anyelement', '2.5', 'numeric[]', 'numeric'],
    ['anyarray', '[]', 'anyelement', '2', 'integer[]', 'integer'],
    ['anyarray', 'null', 'anyelement', '"x"', 'text[]', 'text'],
    ['anyarray', '[[1],[2]]', 'anyelement', 'null', 'integer[]', 'integer'],
    ['anyarray', '[{}]', 'anyelement', '{}', 'jsonb[]', 'jsonb'],
    ['anyelement', '1', 'anyelement', '"x"', 'integer', 'text'],
    ['anyarray', '[1]', 'anyelement', '"x"', 'integer[]', 'text'],
    ['anyelement', '1', 'anycompatible', '2.5', 'integer', 'numeric'],
    ['anycompatiblearray', '[1]', 'anycompatible', '2.5', 'numeric[]', 'numeric'],
  ])('of polymorphic types agree: %s %s and %s %s', (a, first, b, second, ...types) => {
    const parameters = bound(f(`p_a ${a}`, `p_b ${b}`), jsonOfText(`[${first},${second}]`))
    expect(parameters.map(([, type]) => type)).toEqual(types)
  })

  test('of a type that JSON does not tell are refused', () => {
    expect(refusal([f('p_a anyrange')], ['[1,2]'])).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/^Parameter p_a \(anyrange\) does not convert: JSON does not/),
    })
  })

  test.each([
    ['json[]', { a: 1 }, /send an array/],
    ['ids[]', { a: 1 }, /send an array/],
    ['bytea', [256], /integers from 0 to 255/],
    ['bytea', [-1], /integers from 0 to 255/],
    ['bytea', [1.5], /integers from 0 to 255/],
    ['bytea', ['1'], /integers from 0 to 255/],
    ['bytea', [[1]], /integers from 0 to 255/],
    ['bytea', { a: 1 }, /hex text/],
    ['bytea', 5, /hex text/],
    ['bytea[]', [1, 2], /integers from 0 to 255/],
    ['bytea[]', [true], /integers from 0 to 255/],
    ['bytea[]', [[1, '2']], /integers from 0 to 255/],
    ['bytea[]', ['1', ['2']], /do not all have the same number of dimensions/],
    ['bytea[]', [['1'], '2'], /do not all have the same number of dimensions/],
    ['address', { City: 'x' }, /^address has no attribute "City"; it has city, tags, old$/],
    ['address[]', [{ city: 'x' }, { citi: 'x' }], /^address has no attribute "citi"/],
    ['address[]', [[{ citi: 'x' }]], /^address has no attribute "citi"/],
    ['address', { old: [{ tags: {} }] }, /^plain_address has no attribute "tags"; it has city$/],
    ['address', { toString: 1 }, /no attribute "toString"/],
    ['address', { tags: { a: 'b\0' } }, /NUL/],
    ['hstore[]', {}, /send an array/],
    ['hstore', { 'a\0': '1' }, /NUL/],
    ['hstore', { a: '\ud800' }, /surrogate/],
    ['hstore[]', [{ a: 'b\0' }], /NUL/],
  ])('of %s: %j is refused', (type, value, why) => {
    expect(refusal([f(`p_a ${type}`)], [value])).toMatchObject({
      code: 'invalid_request',
      details: { parameter: 'p_a', type, cause: expect.stringMatching(why) },
    })
  })

  test.each([
    ['a NUL character', 'a\0b', /NUL/],
    ['half a surrogate pair', 'a\ud800', /surrogate/],
    ['the other half', '\udc00', /surrogate/],
  ])('that hold %s are refused', (_, value, why) => {
    expect(refusal([f('p_a text')], [value])).toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/^Parameter p_a \(text\) does not convert: /),
      details: { parameter: 'p_a', type: 'text', cause: expect.stringMatching(why) },
    })
  })

  test('that are nested deeply are bound', () => {
    const deep = `${'['.repeat(998)}${']'.repeat(998)}`
    const types = ['jsonb', 'integer[]', 'text', 'anyelement', 'json_domain', 'address', 'json[]']
    for (const type of [
      ...types,
      'hstore',
      'hstore[]',
      'address[]',
      'money',
      'money[]',
      'anyarray',
    ]) {
      expect(bound(f(`p_a ${type}`), jsonOfText(`[${deep}]`))).toHaveLength(1)
    }
    expect(chosen([f('p_a jsonb'), f('p_a integer[]')], jsonOfText(`[${deep}]`))).toContain(
      'integer[]',
    )
  })

  test('never become part of the SQL', () => {
    const value = `'); drop table t; --`
    const call = bind([f('p_a text', 'p_b jsonb', 'p_c text[]')], [value, value, [value]])
    expect(sqlOf(call)).not.toContain('drop')
  })
})
