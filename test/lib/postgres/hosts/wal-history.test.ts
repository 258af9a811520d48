import { describe, expect, test } from 'vitest'
import { endOfWal, WalHistory } from '../../../../lib/postgres/hosts/wal-history.ts'

const BLOCK = 8192
const SEGMENT = 16 * 1024 * 1024

describe('the end of the last record is the position of the next one', () => {
  test.each([
    ['but behind the header of a page', BLOCK * 5 + 24, BLOCK * 5],
    ['but behind the header of a segment', SEGMENT * 3 + 40, SEGMENT * 3],
    ['where a record goes on from page to page', BLOCK * 5 + 40, BLOCK * 5 + 40],
    ['within a page', BLOCK * 5 + 4096, BLOCK * 5 + 4096],
    ['at the end of a page', BLOCK * 5, BLOCK * 5],
  ])('%s', (_, inserted, end) => {
    expect(endOfWal(BigInt(inserted), BLOCK, SEGMENT)).toBe(BigInt(end))
  })
})

test('nothing is known of a timeline that has just begun', () => {
  const history = new WalHistory(1000)
  history.note(1, 100n)
  history.note(2, 200n)
  expect(history.currentAt(150n)).toBe(1)
  history.clear()
  expect([history.currentAt(1000n), history.since]).toEqual([undefined, undefined])
  history.note(3, 50n)
  expect([history.currentAt(60n), history.since]).toEqual([3, 3])
})
