import { describe, expect, test } from 'vitest'
import { jsonOfText } from '../../../../helpers/json.ts'

import {
  argument,
  bind,
  bound,
  chosen,
  f,
  refusal,
  sqlOf,
  variadic,
  withDefaults,
} from './setup.ts'

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
