import { beforeEach, describe, expect, test } from 'vitest'
import { Division } from '../../../lib/workers/division.ts'

const SHARE = 12
const UNUSED = { busy: 0, wanted: 0, isAnswer: false }

describe('the part of a worker that has ended', () => {
  let given: Map<number, number>
  let division: Division
  const join = (worker: number) => {
    division.join(worker)
    for (let round = 0; round < 2; round++) report(worker)
  }
  /** It has taken what it was given, and has it open. */
  const report = (worker: number, more = {}) => {
    const received = given.get(worker) ?? 0
    const state = { capacity: received, held: received, received }
    division.report(worker, {
      type: 'part',
      name: 'main',
      server: 'main',
      ...state,
      ...UNUSED,
      ...more,
    })
  }
  beforeEach(() => {
    given = new Map()
    division = new Division({
      workers: 2,
      add: (worker, connections) => given.set(worker, (given.get(worker) ?? 0) + connections),
      ask: () => {},
      onSettled: () => {},
    })
    division.setShare(SHARE)
    join(1)
    join(2)
    expect([given.get(1), given.get(2)]).toEqual([6, 6])
  })

  test('is given away as its sessions end, but for one with which they are looked for', () => {
    for (const pid of [11, 12, 13, 14, 15, 16]) division.noteSession(1, pid, true)
    expect(division.leave(1, false)).toBe(true)
    division.join(3)
    expect(given.get(3)).toBeUndefined()

    expect(division.noteGone(1, [11, 12, 13])).toBe(true)
    expect(division.leftOf(1)).toEqual([14, 15, 16])
    expect(given.get(3)).toBe(2)
    expect(division.held).toBe(SHARE)

    expect(division.noteGone(1, [14, 15, 16])).toBe(false)
    expect(given.get(3)).toBe(6)
    expect(division.held).toBe(SHARE)
    division.end()
  })

  test('counts sessions of which it has told just before', () => {
    expect(division.leave(1, false)).toBe(true)
    division.noteSession(1, 11, true)
    expect(division.leftOf(1)).toEqual([11])
    // It was asked for before that was known.
    expect(division.noteGone(1, [])).toBe(true)
    division.join(3)
    expect(given.get(3)).toBe(4)
    expect(division.noteGone(1, [11])).toBe(false)
    expect(given.get(3)).toBe(6)
    division.end()
  })

  test('is free at once where it has told that all are closed', () => {
    division.noteSession(1, 11, true)
    division.noteSession(1, 11, false)
    expect(division.leave(1, true)).toBe(false)
    division.join(3)
    expect(given.get(3)).toBe(6)
    division.end()
  })
})
