import { expect, test } from 'vitest'
import { compareFacts, describeDrift } from '../../../../lib/deploy/drift/compare.ts'
import type { Fact } from '../../../../lib/deploy/drift/facts.ts'

const TABLE: Fact = ['table', 'public.t', null, '']
const COLUMN: Fact = ['column', 'public.t.id', 'public.t', 'integer']
const INDEX: Fact = ['index', 'public.i', 'public.t', 'CREATE INDEX …']

test('parts of what is missing or extra are left out; parts of what is there are not', () => {
  expect(compareFacts([TABLE, COLUMN, INDEX], [])).toEqual([
    { object: 'table', name: 'public.t', change: 'missing', expected: '', actual: null },
  ])
  expect(compareFacts([], [TABLE, COLUMN])).toMatchObject([{ name: 'public.t', change: 'extra' }])
  const other: Fact = ['column', 'public.t.id', 'public.t', 'bigint']
  expect(compareFacts([TABLE, COLUMN, INDEX], [TABLE, other])).toEqual([
    {
      object: 'column',
      name: 'public.t.id',
      change: 'different',
      expected: 'integer',
      actual: 'bigint',
    },
    {
      object: 'index',
      name: 'public.i',
      change: 'missing',
      expected: 'CREATE INDEX …',
      actual: null,
    },
  ])
  expect(compareFacts([TABLE, INDEX], [INDEX, TABLE])).toEqual([])
})

test('differences in words', () => {
  const drifts = compareFacts(
    [
      INDEX,
      ['function', 'public.f()', null, 'a'],
      ['type', 'public.a', null, ''],
      ['type', 'public.b', null, ''],
    ],
    [
      ['function', 'public.f()', null, 'b'],
      ['schema', 's', null, ''],
    ],
  )
  expect(describeDrift(drifts.slice(0, 2), false)).toBe(
    'have another function public.f(), lack index public.i',
  )
  expect(describeDrift(drifts, true)).toBe(
    'has another function public.f(), lacks index public.i, has schema s besides, 2 more',
  )
})
