import { expect, test } from 'vitest'
import { CopyTime } from '../../../../lib/deploy/move/copy-time.ts'

const MB = 1e6

test('the estimate begins low, follows a slow server at once and a fast one by and by', () => {
  const time = new CopyTime('wal_log')
  const first = time.estimate(1000 * MB)
  expect(first).toBe(20_300)
  expect(new CopyTime('file_copy').estimate(1000 * MB)).toBeLessThan(first)

  time.note(8 * MB, 5000)
  expect(time.estimate(1000 * MB)).toBe(first)
  time.note(100 * MB, 10_300)
  expect(time.estimate(1000 * MB)).toBe(100_300)
  time.note(100 * MB, 400)
  const better = time.estimate(1000 * MB)
  expect(better).toBeLessThan(100_300)
  expect(better).toBeGreaterThan(80_000)
  for (let i = 0; i < 50; i++) time.note(1000 * MB, 1300)
  expect(time.estimate(1000 * MB)).toBe(1300)
})
