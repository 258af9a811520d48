import { expect, test } from 'vitest'
import { parseLabelChanges, parseLabelFilter } from '../../../lib/tenancy/labels.ts'
import { jsonOfText } from '../../helpers/json.ts'

test('A filter is pairs of a key and a value, with commas between', () => {
  expect(parseLabelFilter('plan:pro')).toEqual({ plan: 'pro' })
  expect(parseLabelFilter('plan:pro, region:eu-1')).toEqual({ plan: 'pro', region: 'eu-1' })
  expect(parseLabelFilter(undefined)).toEqual({})
  expect(parseLabelFilter('')).toEqual({})
})

test.each(['plan', 'plan:', ':pro', 'plan:pro:x', 'plan:pro,', 'plan:a b', '__proto__:x'])(
  'A filter that is no pair is refused: %s',
  (text) => expect(() => parseLabelFilter(text)).toThrow('label takes key:value'),
)

test('A filter with two values of one key is refused', () => {
  expect(() => parseLabelFilter('plan:a,plan:b')).toThrow('label has plan twice')
})

test('Labels are strings, and null takes one away', () => {
  const parse = (text: string) => parseLabelChanges(jsonOfText(text))
  expect(parse('{"plan":"pro","\\u0061":"b","old":null}')).toEqual({
    plan: 'pro',
    a: 'b',
    old: null,
  })
  expect(() => parse('{"plan":"a","region":"eu","pl\\u0061n":"b"}')).toThrow(
    'Duplicate member "plan" in labels',
  )
  expect(() => parse('{"plan":1}')).toThrow('labels.plan must be a string; got 1')
  expect(() => parse('{"plan":["a"]}')).toThrow('labels.plan must be a string; got ["a"]')
  expect(() => parse('{"plan":""}')).toThrow('labels.plan must be 1 to 63 letters')
  expect(() => parse('{"__proto__":"a"}')).toThrow('The key of a label must be')
})
