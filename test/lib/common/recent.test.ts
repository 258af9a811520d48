import { expect, test } from 'vitest'
import { Recent } from '../../../lib/common/recent.ts'

test('what was not asked for the longest goes when all are too large', () => {
  const recent = new Recent<string>(10)
  recent.set('a', 'A', 4)
  recent.set('b', 'B', 4)
  expect(recent.get('a')).toBe('A')
  recent.set('c', 'C', 4)
  expect([recent.get('a'), recent.get('b'), recent.get('c')]).toEqual(['A', undefined, 'C'])
})

test('what is too large alone is not kept, and takes nothing with it', () => {
  const recent = new Recent<string>(10)
  recent.set('a', 'A', 10)
  recent.set('b', 'B', 11)
  expect([recent.get('a'), recent.get('b')]).toEqual(['A', undefined])
})

test('a value that is set again or deleted counts once', () => {
  const recent = new Recent<string>(10)
  recent.set('a', 'A', 6)
  recent.set('a', 'A2', 6)
  recent.set('b', 'B', 4)
  expect([recent.get('a'), recent.get('b')]).toEqual(['A2', 'B'])
  recent.delete('a')
  recent.set('c', 'C', 6)
  expect([recent.get('b'), recent.get('c')]).toEqual(['B', 'C'])
})
