import { expect, test } from 'vitest'
import { maskPlans } from '../../../lib/usage/slow/mask-plan.ts'

const plan = (text: string) => maskPlans([{ ms: 12.5, text }])

test('A plan has no values, but its measures', () => {
  const text = `Query Text: /* report of 4711 */ select a1, 'it''s s3cret' -- don't tell s3cret
  from "Kim's table" where b = E'a\\'s3cret' and c = $1 and d > 4711.5e3 and f = $x$s3cret$x$ and g = .4711
Index Scan using t_pkey on t2  (cost=0.29..8.31 rows=1 width=36) (actual time=0.012..0.013 rows=1 loops=1)
  Index Cond: ((id = 4711) AND (name = 's3cret'::text) AND (n = $1))
  Rows Removed by Filter: 17
  Buffers: shared hit=3
  ->  Seq Scan on t3  (cost=0.00..1.01 rows=1 width=4)
        Filter: (x = '{4711,4711}'::integer[])
Query Parameters: $1 = 's3cret'`
  expect(plan(text)).toBe(`Duration: 12.5 ms
Query Text:  select a1, '?' 
  from "Kim's table" where b = '?' and c = $1 and d > ? and f = '?' and g = ?
Index Scan using t_pkey on t2  (cost=0.29..8.31 rows=1 width=36) (actual time=0.012..0.013 rows=1 loops=1)
  Index Cond: ((id = ?) AND (name = '?'::text) AND (n = $1))
  Rows Removed by Filter: 17
  Buffers: shared hit=3
  ->  Seq Scan on t3  (cost=0.00..1.01 rows=1 width=4)
        Filter: (x = '?'::integer[])
Query Parameters: $1 = '?'`)
})

test.each([
  ["Query Text: select 's3cret", "Query Text: select '?'"],
  ['Query Text: select $$s3cret', "Query Text: select '?'"],
  ['Query Text: select 1 /* s3cret', 'Query Text: select ? '],
  ["Query Text: select 'a\n  Buffers: s3cret'", "Query Text: select '?'"],
])('A text that was cut shows nothing: %s', (text, masked) => {
  expect(plan(text)).toBe(`Duration: 12.5 ms\n${masked}`)
})

test.each([
  '{\n  "Query Text": "select 4711"}',
  'Query Text: "select 4711"\nPlan: \n  Node Type: "Result"',
  '<explain>',
])('A plan in another format is not shown: %s', (text) => {
  expect(plan(text)).toBeNull()
})

test('Plans of one call are one text, which is cut', () => {
  const long = { ms: 1, text: `Query Text: ${'a '.repeat(10_000)}` }
  const shown = maskPlans([{ ms: 2, text: 'Query Text: begin' }, long])!
  expect(shown.startsWith('Duration: 2 ms\nQuery Text: begin\n\nDuration: 1 ms\n')).toBe(true)
  expect(shown).toHaveLength(16_000)
  expect(maskPlans(undefined)).toBeNull()
})
