import { expect, test } from 'vitest'
import { TopSeries } from '../../../lib/metrics/top-series.ts'
import { noCounts } from '../../../lib/usage/counters.ts'
import { PlatformTotals } from '../../../lib/usage/platform-totals.ts'

const MINUTE = 60_000

test('no series decreases and the sum is exact, whichever databases come, go and change places', () => {
  const top = new TopSeries(3)
  const counts = new Map<string, number>()
  let total = 0
  let seed = 7
  const random = (n: number) => {
    seed = (seed * 48271) % 2147483647
    return seed % n
  }
  let before = new Map<string, number>()
  let restBefore = 0
  let shown = 0
  const seen = new Set<string>()
  for (let step = 0; step < 400; step++) {
    const key = `d${random(8)}`
    const more = 1 + random(5)
    counts.set(key, (counts.get(key) ?? 0) + more)
    total += more
    if (random(20) === 0) counts.delete(`d${random(8)}`)
    const items = [...counts].map(([name, value]) => ({
      key: name,
      counters: [value],
      rank: random(10),
    }))
    const { own, rest } = top.update(items, [total], step * 11 * MINUTE)
    expect(own.size).toBeLessThanOrEqual(3)
    for (const [name, [value]] of own) {
      seen.add(name)
      const last = before.get(name)
      if (last !== undefined) expect(value).toBeGreaterThanOrEqual(last)
      // As Prometheus counts: a series that is new or anew begins at 0.
      shown += value! - (last ?? 0)
    }
    expect(rest[0]).toBeGreaterThanOrEqual(restBefore)
    expect(shown + rest[0]!).toBe(total)
    before = new Map([...own].map(([name, [value]]) => [name, value!]))
    restBefore = rest[0]!
  }
  expect(seen.size).toBe(8)
})

test('a busier database takes a place, but not one that is about as busy', () => {
  const top = new TopSeries(1)
  const items = (ranks: number[]) =>
    ranks.map((rank, i) => ({ key: `d${i}`, counters: [rank], rank }))
  const ownAt = (ranks: number[], minutes: number) => [
    ...top.update(items(ranks), [ranks[0]! + ranks[1]!], minutes * MINUTE).own.keys(),
  ]
  expect(ownAt([5, 4], 0)).toEqual(['d0'])
  expect(ownAt([5, 9], 11)).toEqual(['d0'])
  expect(ownAt([5, 11], 12)).toEqual(['d0'])
  expect(ownAt([5, 11], 23)).toEqual(['d1'])
})

test('sums by platform keep what a dropped database has used', () => {
  const entries = new Map([
    ['a_main', { ...noCounts(), calls: 5, ms: 10 }],
    ['a_one', { ...noCounts(), calls: 7, ms: 1 }],
  ])
  let isDropped = false
  const totals = new PlatformTotals(
    () => [...entries].map(([database, counts]) => [database, 'f', counts] as const) as never,
    (database) => (isDropped && database === 'a_one' ? undefined : 'a'),
  )
  expect(totals.read().get('a')).toMatchObject({ calls: 12, ms: 11 })
  isDropped = true
  expect(totals.read().get('a')).toMatchObject({ calls: 12 })
  entries.delete('a_one')
  expect(totals.read().get('a')).toMatchObject({ calls: 12 })
  isDropped = false
  entries.set('a_one', { ...noCounts(), calls: 2, ms: 3 })
  entries.get('a_main')!.calls++
  expect(totals.read().get('a')).toMatchObject({ calls: 15, ms: 14 })
})
