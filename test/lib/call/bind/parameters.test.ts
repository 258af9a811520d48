import { describe, expect, test } from 'vitest'
import { type BoundCall, bindCall, parseParameters } from '../../../../lib/call/bind/parameters.ts'
import { callStatement } from '../../../../lib/call/run/statement.ts'
import type {
  Argument,
  ArgumentKind,
  Signature,
  TypeShapes,
} from '../../../../lib/call/signatures/signature.ts'
import { GatewayError } from '../../../../lib/errors.ts'
import type { Json } from '../../../../lib/json/json.ts'
import { boundNow, jsonOfText, jsonOfValue } from '../../../helpers/json.ts'

const NUMBERS = ['smallint', 'integer', 'bigint', 'numeric', 'double precision']
const STRINGS = ['text', 'character varying', 'bpchar']
const POLYMORPHIC = ['anyelement', 'anyarray', 'anycompatible', 'anycompatiblearray', 'anyrange']

/** Types that are of a kind of their own. */
const KINDS: ArgumentKind[] = ['json', 'json[]', 'hstore', 'hstore[]', 'money', 'money[]', 'bytea']

/** What is below the types that are not one value. */
const SHAPES: TypeShapes = {
  hstore: { kind: 'hstore' },
  'hstore[]': { kind: 'array', of: 'hstore' },
  address: {
    kind: 'composite',
    attributes: { city: 'text', tags: 'hstore', old: 'old_address[]' },
  },
  'address[]': { kind: 'array', of: 'address' },
  old_address: { kind: 'domain', of: 'plain_address' },
  'old_address[]': { kind: 'array', of: 'old_address' },
  plain_address: { kind: 'composite', attributes: { city: 'text' } },
  'bytea[]': { kind: 'array', of: 'bytea' },
  bytea: { kind: 'bytea' },
}

/** An argument as its function declares it: `p_id integer`, or `integer` without a name. */
function argument(declaration: string): Argument {
  const [, name, type] = /^(?:(p_\w+) )?(.+)$/.exec(declaration) as unknown as [
    string,
    string,
    string,
  ]
  const isArray = type.endsWith('[]')
  const category = isArray
    ? 'A'
    : NUMBERS.includes(type)
      ? 'N'
      : STRINGS.includes(type)
        ? 'S'
        : ({ boolean: 'B', address: 'C', date: 'D', timestamp: 'D', timestamptz: 'D', mood: 'E' }[
            type
          ] ?? 'U')
  const kind: ArgumentKind = POLYMORPHIC.includes(type)
    ? 'polymorphic'
    : type === 'json_domain'
      ? 'json'
      : type === 'ids[]'
        ? 'array[]'
        : KINDS.includes(type as ArgumentKind)
          ? (type as ArgumentKind)
          : isArray || category === 'C'
            ? 'structured'
            : 'scalar'
  const preferred = ['text', 'boolean', 'double precision', 'timestamptz'].includes(type)
  const element = isArray ? type.slice(0, -2) : null
  return { name: name ?? null, type, category, preferred, kind, element, default: null }
}

/** A function `f` with these arguments, such as `f('p_id integer', 'p_name text')`. */
function f(...declarations: string[]): Signature {
  const args = declarations.map(argument)
  return {
    kind: 'function',
    schema: 'public',
    name: 'f',
    arguments: args,
    defaults: 0,
    variadic: false,
    types: SHAPES,
    isPolymorphic: args.some(({ kind }) => kind === 'polymorphic'),
    returnsVoid: false,
    isOpenRecord: false,
    outputs: [],
    index: 0,
    language: 'sql',
    volatility: 'volatile',
    settings: null,
    relation: null,
    identity: 'f(…)',
    text: `f(${declarations.join(', ')})`,
    verdict: {
      reads: false,
      handles: false,
      afterwards: 'keep',
      altersFormats: false,
      commits: false,
    },
  }
}

const sqlOf = (call: BoundCall) => callStatement(call, 1000).text

const withDefaults = (defaults: number, signature: Signature) => ({ ...signature, defaults })
const variadic = (signature: Signature) => ({ ...signature, variadic: true })

/** What a request's `params` are: JSON, or a value whose JSON they are. */
type Sent = unknown

const isJson = (value: Sent): value is Json =>
  typeof value === 'object' && value !== null && 'bytes' in value
const jsonOf = (params: Sent) => (isJson(params) ? params : jsonOfValue(params))

function bind(signatures: Signature[], params: Sent): BoundCall {
  return boundNow(bindCall('f', signatures, parseParameters(jsonOf(params))))
}

/** The function that is chosen for a request's `params`. */
function chosen(signatures: Signature[], params: Sent): string {
  return bind(signatures, params).signature.text
}

/** The type, the form and the text of each argument of the call. */
function bound(signature: Signature, params: Sent) {
  const { parameters } = bind([signature], params)
  return parameters.map(({ label, type, form, value }) => [label, type, form, value])
}

function refusal(signatures: Signature[], params: Sent): GatewayError {
  try {
    bind(signatures, params)
  } catch (error) {
    if (error instanceof GatewayError) return error
    throw error
  }
  throw new Error('The call was not refused')
}

describe('params', () => {
  test('are an array, an object, or nothing', () => {
    for (const params of [[1], { a: 1 }]) {
      const json = jsonOfValue(params)
      expect(parseParameters(json)).toBe(json)
    }
    expect(parseParameters(undefined)).toBeUndefined()
    expect(parseParameters(jsonOfValue(null))).toBeUndefined()
  })

  test.each(['"text"', '5', 'true', '""', '1.50'])('are not %s', (text) => {
    expect(() => parseParameters(jsonOfText(text))).toThrow(
      /^params must be an array .* or an object/,
    )
  })

  test('are at most 10,000', () => {
    const named = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [i, i]))
    for (const params of [Array(10_000).fill(1), named(10_000)]) {
      expect(parseParameters(jsonOfValue(params))).toBeDefined()
    }
    for (const params of [Array(10_001).fill(1), named(10_001)]) {
      expect(() => parseParameters(jsonOfValue(params))).toThrow(
        'params has 10001 parameters, more than 10000',
      )
    }
  })
})

describe('the number of parameters', () => {
  const two = f('p_a integer', 'p_b text')

  test('is the number of arguments', () => {
    expect(chosen([two], [1, 'x'])).toBe(two.text)
    for (const params of [[], [1], [1, 'x', 'y']]) {
      expect(refusal([two], params)).toMatchObject({ code: 'function_not_found', status: 404 })
    }
  })

  test('may be smaller by the defaults', () => {
    const three = withDefaults(2, f('p_a integer', 'p_b text', 'p_c date'))
    for (const params of [[1], [1, 'x'], [1, 'x', '2024-01-01']]) {
      expect(bound(three, params)).toHaveLength(params.length)
    }
    expect(refusal([three], []).code).toBe('function_not_found')
    expect(refusal([three], [1, 'x', null, 4]).code).toBe('function_not_found')
  })

  test('chooses among functions of one name', () => {
    const overloads = [f(), f('p_a integer'), two]
    expect(chosen(overloads, [])).toBe('f()')
    expect(chosen(overloads, {})).toBe('f()')
    expect(chosen(overloads, [1])).toBe('f(p_a integer)')
    expect(chosen(overloads, [1, 'x'])).toBe(two.text)
  })

  test('that no function takes: the message lists the ones there are', () => {
    const error = refusal([f(), two], [1, 2, 3])
    expect(error.message).toBe(
      'No function f takes 3 parameters; there is f(); f(p_a integer, p_b text)',
    )
    expect(error.details.candidates).toEqual(['f()', 'f(p_a integer, p_b text)'])
    expect(refusal([two], [1]).message).toMatch(/takes 1 parameter;/)
    expect(refusal([], [1])).toMatchObject({
      code: 'function_not_found',
      message: 'There is no function f',
    })
  })
})

describe('names of parameters', () => {
  const fn = withDefaults(1, f('p_a integer', 'p_b text', 'p_c date'))

  test('are given once', () => {
    expect(refusal([fn], jsonOfText('{"p_a":1,"p_b":"x","\\u0070_a":2}'))).toMatchObject({
      code: 'invalid_request',
      message: 'Duplicate parameter "p_a"',
    })
  })

  test('come in any order, those with a default or not', () => {
    expect(bound(fn, { p_b: 'x', p_a: 1 })).toEqual([
      ['p_a', 'integer', 'text', '1'],
      ['p_b', 'text', 'text', 'x'],
    ])
    expect(bound(fn, { p_c: '2024-01-01', p_b: 'x', p_a: 1 })).toHaveLength(3)
  })

  test('that are unknown, missing or of another case are refused', () => {
    const refused: Sent[] = [{}, { p_a: 1 }, { p_a: 1, p_b: 'x', p_d: 1 }, { P_A: 1, p_b: 'x' }]
    for (const params of refused) {
      expect(refusal([fn], params).code).toBe('function_not_found')
    }
    expect(refusal([fn], { p_a: 1, p_x: 2 }).message).toContain('takes parameters named p_a, p_x')
    expect(refusal([fn], {}).message).toContain('takes parameters named (none)')
  })

  test('choose among functions of one number of arguments', () => {
    const overloads = [f('p_id integer'), f('p_code integer')]
    expect(chosen(overloads, { p_code: 1 })).toBe('f(p_code integer)')
    expect(chosen(overloads, { p_id: 1 })).toBe('f(p_id integer)')
  })

  test('that JavaScript objects have anyway are not given by everyone', () => {
    const fn = f('p_a integer')
    expect(refusal([fn], jsonOfText('{"__proto__":1}')).code).toBe('function_not_found')
    const odd = { ...fn, arguments: [{ ...fn.arguments[0]!, name: 'constructor' }] }
    expect(refusal([odd], {}).code).toBe('function_not_found')
    expect(bound(odd, { constructor: 1 })).toEqual([['constructor', 'integer', 'text', '1']])
  })

  test('are quoted in the SQL', () => {
    const odd = { ...f('integer'), arguments: [{ ...argument('integer'), name: 'a" => 1 --' }] }
    const text = sqlOf(bind([odd], { 'a" => 1 --': 5 }))
    expect(text).toContain('"public"."f"("a"" => 1 --" => $1::integer)')
  })

  test('do not exist for arguments without one, which go by position alone', () => {
    const unnamed = f('integer', 'p_b text')
    expect(bound(unnamed, [1, 'x'])[0]).toEqual(['1', 'integer', 'text', '1'])
    expect(refusal([unnamed], { p_b: 'x' }).code).toBe('function_not_found')
  })
})

describe('the JSON types choose among overloads', () => {
  test.each<[unknown, string]>([
    [5, 'integer'],
    ['5', 'text'],
    [true, 'boolean'],
    [[5], 'integer[]'],
    [['5'], 'text[]'],
    [{ a: 5 }, 'jsonb'],
  ])('%j is %s', (value, type) => {
    const types = ['integer', 'text', 'boolean', 'integer[]', 'text[]', 'jsonb']
    expect(
      chosen(
        types.map((one) => f(`p_a ${one}`)),
        [value],
      ),
    ).toBe(`f(p_a ${type})`)
    expect(
      chosen(
        types.map((one) => f(`p_a ${one}`)),
        { p_a: value },
      ),
    ).toBe(`f(p_a ${type})`)
  })

  test.each([
    ['2147483647', 'integer'],
    ['2147483648', 'bigint'],
    ['-2147483648', 'integer'],
    ['9223372036854775807', 'bigint'],
    ['9223372036854775808', 'numeric'],
    ['1.0', 'numeric'],
    ['1e3', 'numeric'],
    ['12345678901234567890123', 'numeric'],
  ])('the number %s is %s, as PostgreSQL types it', (text, type) => {
    const types = ['smallint', 'integer', 'bigint', 'numeric', 'double precision']
    const overloads = types.map((one) => f(`p_a ${one}`))
    expect(chosen(overloads, jsonOfText(`[${text}]`))).toBe(`f(p_a ${type})`)
  })

  test('a string goes to any type that is written as one, before a number', () => {
    expect(chosen([f('p_a date'), f('p_a boolean'), f('p_a text')], ['x'])).toBe('f(p_a text)')
    expect(chosen([f('p_a date'), f('p_a bpchar')], ['x'])).toBe('f(p_a bpchar)')
  })

  test('an object goes to a composite type, an array to an array', () => {
    expect(chosen([f('p_a address'), f('p_a text')], [{}])).toBe('f(p_a address)')
    expect(chosen([f('p_a address'), f('p_a date[]')], [[]])).toBe('f(p_a date[])')
    expect(chosen([f('p_a json'), f('p_a text')], [[1]])).toBe('f(p_a json)')
  })

  test('every parameter counts', () => {
    const overloads = [f('p_a integer', 'p_b text'), f('p_a text', 'p_b integer')]
    expect(chosen(overloads, [1, 'x'])).toBe('f(p_a integer, p_b text)')
    expect(chosen(overloads, ['x', 1])).toBe('f(p_a text, p_b integer)')
  })

  test('a declared type comes before a polymorphic one', () => {
    expect(chosen([f('p_a anyelement'), f('p_a integer')], [1])).toBe('f(p_a integer)')
  })

  test.each<[string[], unknown, string]>([
    [['date', 'timestamptz'], '2024-01-01', 'timestamptz'],
    [['date', 'timestamp', 'timestamptz'], null, 'timestamptz'],
    [['integer', 'text'], null, 'text'],
    [['integer', 'double precision'], null, 'double precision'],
    [['integer', 'double precision'], '5', 'double precision'],
    [['date', 'integer', 'text', 'timestamptz'], 'x', 'text'],
    [['smallint', 'double precision'], 5, 'double precision'],
  ])('of %j, %j takes the preferred type: C11', (types, value, type) => {
    const overloads = types.map((one) => f(`p_a ${one}`))
    expect(chosen(overloads, [value])).toBe(`f(p_a ${type})`)
    expect(chosen(overloads, { p_a: value })).toBe(`f(p_a ${type})`)
  })

  test('a known type is chosen before one of an unknown', () => {
    const overloads = [f('p_a integer', 'p_b date'), f('p_a text', 'p_b text')]
    expect(chosen(overloads, [1, 'x'])).toBe('f(p_a integer, p_b date)')
    const named = [f('p_b date', 'p_a integer'), f('p_a integer', 'p_b timestamptz')]
    expect(chosen(named, { p_a: 1, p_b: 'x' })).toBe('f(p_a integer, p_b timestamptz)')
  })

  test('two that fit alike are a 400 with both', () => {
    for (const [overloads, params] of [
      [[f('p_a date'), f('p_a timestamp')], ['2024-01-01']],
      [[f('p_a date'), f('p_a integer')], [null]],
      [[f('p_a address'), f('p_a date')], ['x']],
      [
        [f('p_a integer', 'p_b text'), f('p_a text', 'p_b integer')],
        ['x', 'y'],
      ],
      [[f('p_a integer'), withDefaults(1, f('p_a integer', 'p_b text'))], [1]],
    ] as const) {
      const error = refusal([...overloads], [...params])
      expect(error).toMatchObject({ code: 'invalid_request', status: 400 })
      expect(error.details.candidates).toEqual(overloads.map((one) => one.text))
      expect(error.message).toContain(overloads[0].text)
    }
  })
})

describe('what nobody can call', () => {
  test('a function that returns a record of unknown columns says how to declare it', () => {
    expect(refusal([{ ...f('p_a integer'), isOpenRecord: true }], [1])).toMatchObject({
      code: 'invalid_request',
      message:
        'Function f(p_a integer) returns a record without saying of which columns: declare it ' +
        '"returns table (...)", or give it OUT parameters',
    })
  })
})

describe('names that are near to one of a parameter', () => {
  const fn = f('p_id integer', 'p_patient_name text')

  test.each<[unknown, string[] | undefined]>([
    [{ p_ids: 1, p_patient_name: 'x' }, ['p_id']],
    [{ id: 1, patientName: 'x' }, ['p_id', 'p_patient_name']],
    [{ p_id: 1, name: 'x' }, undefined],
    [{ p_id: 1, p_patient_name: 'x', p_i: 1 }, undefined],
    [[1], undefined],
  ])('%j', (params, suggestions) => {
    const { message, details } = refusal([fn], params)
    expect(details.suggestions).toEqual(suggestions)
    expect(message.includes('did you mean')).toBe(suggestions !== undefined)
    expect(message).toContain(fn.text)
  })

  test('of any of the functions', () => {
    const { details } = refusal([f('p_code text'), f('p_id integer')], { codes: 1, ids: 2 })
    expect(details.suggestions).toEqual(['p_code', 'p_id'])
  })

  test('a request with thousands of them is told a few', () => {
    const params = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key_${i}`, i]))
    expect(refusal([fn], params).message.length).toBeLessThan(500)
  })
})

describe('VARIADIC', () => {
  const fn = variadic(f('p_a integer', 'p_b integer[]'))

  test.each<[string, unknown[], string]>([
    ['no value', [1], '[]'],
    ['one value', [1, 2], '[2]'],
    ['many values', [1, 2, 3, null], '[2,3,null]'],
    ['the array itself', [1, [2, 3]], '[2,3]'],
    ['an empty array', [1, []], '[]'],
  ])('%s', (_, params, array) => {
    expect(bound(fn, params)[1]).toEqual(['p_b', 'integer[]', 'record', `{"p_b":${array}}`])
    expect(sqlOf(bind([fn], params))).toContain(', variadic ')
  })

  test('null is the array itself', () => {
    expect(bound(fn, [1, null])[1]).toEqual(['p_b', 'integer[]', 'text', null])
  })

  test('the arguments before it are not left out', () => {
    expect(refusal([fn], []).code).toBe('function_not_found')
    expect(refusal([fn], { p_b: [1] }).code).toBe('function_not_found')
  })

  test('by name it is the array, and an empty one where it is left out', () => {
    expect(bound(fn, { p_a: 1, p_b: [2] })[1]).toEqual([
      'p_b',
      'integer[]',
      'record',
      '{"p_b":[2]}',
    ])
    expect(bound(fn, { p_a: 1 })[1]).toEqual(['p_b', 'integer[]', 'record', '{"p_b":[]}'])
  })

  test('a default of its own stands where it is left out', () => {
    const defaulted = withDefaults(1, fn)
    expect(bound(defaulted, [1])).toHaveLength(1)
    expect(bound(defaulted, { p_a: 1 })).toHaveLength(1)
    expect(bound(defaulted, [1, 2])).toHaveLength(2)
  })

  test('a default of its own stands where it is left out by name: C5', () => {
    const one = withDefaults(1, fn)
    expect(sqlOf(bind([one], { p_a: 1 }))).toContain('"f"($1::integer)')
    const [a, b, c] = [argument('p_a integer'), argument('p_b integer'), argument('p_c integer[]')]
    const args = [{ ...a!, default: '1' }, b!, { ...c!, default: `'{7}'::integer[]` }]
    const two = withDefaults(3, { ...variadic(f()), arguments: args })
    expect(sqlOf(bind([two], { p_b: 1 }))).toContain(
      `"f"((1), $1::integer, variadic ('{7}'::integer[]))`,
    )
    expect(sqlOf(bind([two], {}))).toContain('"f"()')
  })

  test('a function without it comes first, where both fit', () => {
    const overloads = [fn, f('p_a integer'), f('p_a integer', 'p_b integer')]
    expect(chosen(overloads, [1])).toBe('f(p_a integer)')
    expect(chosen(overloads, [1, 2])).toBe('f(p_a integer, p_b integer)')
    expect(chosen(overloads, [1, 2, 3])).toBe(fn.text)
  })
})

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
    ['address[]', '[[],[]]', 'record', '{"p_a":[[],[]]}'],
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
    ['bytea[]', ['1', ['2']], /not all of the same dimensions/],
    ['bytea[]', [['1'], '2'], /not all of the same dimensions/],
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
