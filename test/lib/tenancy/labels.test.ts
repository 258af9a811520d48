import { expect, test } from 'vitest'
import { parseLabelFilter } from '../../../lib/tenancy/labels.ts'

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
