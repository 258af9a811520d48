import { describe, expect, test } from 'vitest'
import {
  type Measure,
  type PlacedDatabase,
  planRebalance,
  type ServerTotals,
} from '../../../lib/servers/rebalance.ts'

/** Databases of a server: bytes and load of each. */
type Has = Record<string, [bytes: number, load: number][]>

function plan(has: Has, by: Measure, isMovable = (_: PlacedDatabase) => true) {
  const all: PlacedDatabase[] = Object.entries(has).flatMap(([server, some]) =>
    some.map(([bytes, load], i) => ({
      server,
      platform: 'p',
      tenant_id: `${server}${i}`,
      schema_name: null,
      database: `p_${server}${i}`,
      bytes,
      load,
    })),
  )
  const totals = Object.keys(has).map((server): ServerTotals => {
    const own = all.filter((one) => one.server === server)
    return {
      server,
      databases: own.length,
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      load: own.reduce((sum, { load }) => sum + load, 0),
    }
  })
  return planRebalance(totals, all.filter(isMovable), by)
}

const moved = ({ moves }: ReturnType<typeof plan>) =>
  moves.map(({ database, to }) => `${database} to ${to}`)

describe('a plan of moves', () => {
  test('by databases moves the smallest ones', () => {
    const even = plan(
      {
        a: [
          [9, 0],
          [1, 0],
          [2, 0],
          [8, 0],
        ],
        b: [],
      },
      'databases',
    )
    expect(moved(even)).toEqual(['p_a1 to b', 'p_a2 to b'])
    expect(even.after.map(({ databases }) => databases)).toEqual([2, 2])
    expect(even.before.map(({ databases }) => databases)).toEqual([4, 0])
  })

  test('by bytes needs few moves', () => {
    const even = plan(
      {
        a: [
          [50, 0],
          [30, 0],
          [20, 0],
        ],
        b: [],
      },
      'bytes',
    )
    expect(moved(even)).toEqual(['p_a0 to b'])
  })

  test('by load moves what has most load for its bytes', () => {
    const even = plan(
      {
        a: [
          [100, 50],
          [1, 45],
          [1, 5],
        ],
        b: [[1, 0]],
        c: [[1, 50]],
      },
      'load',
    )
    expect(moved(even)[0]).toBe('p_a1 to b')
    expect(even.after.map(({ load }) => load)).toEqual([50, 50, 50])
  })

  test('leaves servers that are alike, and what may not be moved', () => {
    expect(
      plan(
        {
          a: [
            [5, 0],
            [5, 0],
          ],
          b: [[5, 0]],
        },
        'databases',
      ).moves,
    ).toEqual([])
    expect(plan({ a: [[5, 0]], b: [] }, 'bytes').moves).toEqual([])
    expect(
      plan(
        {
          a: [
            [5, 0],
            [5, 0],
            [5, 0],
          ],
          b: [],
        },
        'databases',
        () => false,
      ).moves,
    ).toEqual([])
    expect(plan({}, 'bytes').moves).toEqual([])
  })

  test('ends, and makes no server differ more than before', () => {
    const random = (seed: number) => ((seed * 7919) % 997) + 1
    const some = (n: number, from: number) =>
      Array.from({ length: n }, (_, i): [number, number] => [
        random(i + from),
        random(i * 3 + from),
      ])
    for (const by of ['databases', 'bytes', 'load'] as const) {
      const { before, after } = plan({ a: some(300, 1), b: some(20, 5), c: some(90, 9) }, by)
      const spread = (totals: ServerTotals[]) =>
        Math.max(...totals.map((one) => one[by])) - Math.min(...totals.map((one) => one[by]))
      expect(spread(after)).toBeLessThan(spread(before) / 5)
    }
  })
})
