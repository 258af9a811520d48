import { describe, expect, test } from 'vitest'
import { isLossless, isWidening, withModifiers } from '../../../../lib/deploy/changes/widening.ts'

test.each([
  ['integer', 'bigint', true],
  ['bigint', 'integer', false],
  ['integer[]', 'bigint[]', true],
  ['integer', 'bigint[]', false],
  ['character varying(5)', 'character varying(9)', true],
  ['character varying(9)', 'character varying(5)', false],
  ['character varying(5)[]', 'text[]', false],
  ['numeric(8,2)', 'numeric(12,3)', true],
  ['numeric(8,2)', 'numeric(8,3)', false],
  ['numeric(8,-2)', 'numeric(8,-3)', false],
  ['timestamp(3) with time zone', 'timestamp with time zone', true],
])('%s to %s keeps every value: %s', (from, to, isKept) => {
  expect(isWidening(from, to)).toBe(isKept)
})

test.each([
  ['character varying', [5], 'character varying(5)'],
  ['character varying[]', [5], 'character varying(5)[]'],
  ['numeric', [8, 2], 'numeric(8,2)'],
  ['timestamp with time zone', [3], 'timestamp(3) with time zone'],
  ['time without time zone[]', [0], 'time(0) without time zone[]'],
  ['integer', [], 'integer'],
])('%s with %j is written as PostgreSQL does', (type, modifiers, text) => {
  expect(withModifiers(type, modifiers)).toBe(text)
})

describe('a chain of casts', () => {
  const step = (type: string, isEnum = false) => ({ type, isEnum })

  test('keeps values through text to an enum, and loses them on the way through less', () => {
    expect(isLossless('old_state', [step('text'), step('state', true)])).toBe(true)
    expect(isLossless('old_state', [step('state', true)])).toBe(false)
    expect(isLossless('bigint', [step('integer'), step('bigint')])).toBe(false)
    expect(isLossless('integer', [step('bigint'), step('numeric')])).toBe(true)
  })
})
