import { expect, test } from 'vitest'
import { compareMark, isDue } from '../../../../lib/call/signatures/comparison.ts'

const MINUTE_MS = 60_000

test.each([
  [4, false],
  [6, true],
])('a mark that is still equal after %i minutes', (minutes, due) => {
  const comparedAt = performance.now() - minutes * MINUTE_MS
  const comparison = { checkedAt: comparedAt, comparedAt, mark: 'same' }
  compareMark(comparison, 'same')
  expect(isDue(comparison)).toBe(due)
})
