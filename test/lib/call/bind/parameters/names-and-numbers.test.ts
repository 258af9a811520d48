import { describe, expect, test } from 'vitest'
import { parseParameters } from '../../../../../lib/call/bind/parameters.ts'
import { jsonOfText, jsonOfValue } from '../../../../helpers/json.ts'

import {
  argument,
  bind,
  bound,
  chosen,
  f,
  refusal,
  type Sent,
  sqlOf,
  withDefaults,
} from './setup.ts'

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

describe('what nobody can call', () => {
  test('a function that returns a record of unknown columns says how to declare it', () => {
    expect(refusal([{ ...f('p_a integer'), isOpenRecord: true }], [1])).toMatchObject({
      code: 'invalid_request',
      message:
        'Function f(p_a integer) returns a record without declaring its columns: declare it ' +
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
