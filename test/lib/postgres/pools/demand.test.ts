import { describe, expect, test } from 'vitest'
import { Demand } from '../../../../lib/postgres/pools/demand.ts'
import {
  days,
  drawn,
  leastMisses,
  leastRecentlyUsed,
  scans,
  visits,
} from '../../../helpers/call-traces.ts'

const CAPACITY = 50
const DATABASES = 1000

/** Share of the calls that open a connection, where the least wanted of `capacity` gives way. */
function misses(trace: number[], capacity = CAPACITY): number {
  const demand = new Demand(() => capacity)
  const open = new Map<string, { database: string }>()
  let opened = 0
  for (const call of trace) {
    const database = String(call)
    const connection = open.get(database) ?? { database }
    demand.note(database, 1)
    if (open.delete(database)) {
      open.set(database, connection)
      continue
    }
    opened++
    if (open.size === capacity) open.delete(demand.least(open.values(), () => 1)!.database)
    open.set(database, connection)
  }
  return opened / trace.length
}

/** `aim`: the most that may miss. `ofBest`: the most beside what foresight would miss. */
const TRACES = [
  { name: "Zipf's law, 0.8", trace: drawn(DATABASES, 0.8), aim: 0.62, ofBest: 1.28 },
  { name: "Zipf's law, 1.0", trace: drawn(DATABASES, 1), aim: 0.44, ofBest: 1.3 },
  { name: "Zipf's law, 1.2", trace: drawn(DATABASES, 1.2), aim: 0.27, ofBest: 1.32 },
  { name: 'days with a morning peak', trace: days(DATABASES), aim: 0.52, ofBest: 1.45 },
  { name: 'scans over all databases', trace: scans(DATABASES), aim: 0.5, ofBest: 1.28 },
]

describe('calls that open a connection', () => {
  test.each(TRACES)('$name', ({ trace, aim, ofBest }) => {
    const share = misses(trace)
    expect(share).toBeLessThan(aim)
    expect(share).toBeLessThan(ofBest * leastMisses(trace, CAPACITY))
    expect(share).toBeLessThan(0.92 * leastRecentlyUsed(trace, CAPACITY))
  })

  test('databases that come, are called some times and go', () => {
    const trace = visits(DATABASES)
    expect(misses(trace)).toBeLessThan(0.08)
    expect(leastMisses(trace, CAPACITY)).toBeGreaterThan(0.01)
  })
})

test.each([1, 10])(
  'beside %i busy databases, calls of the others open as few connections',
  (busy) => {
    const others = drawn(DATABASES, 1, 10_000)
    const hot = (i: number) => DATABASES + (i % busy)
    const trace = others.flatMap((one, i) => [
      ...Array.from({ length: 30 }, (_, at) => hot(30 * i + at)),
      one,
    ])
    const opened = misses(trace) * trace.length
    expect(opened / others.length).toBeLessThan(0.48)
    expect(opened).toBeLessThan(0.92 * leastRecentlyUsed(trace, CAPACITY) * trace.length)
  },
)

test('what was wanted is forgotten: others are open within some calls of each', () => {
  const old = drawn(DATABASES, 1, 10_000)
  // The databases trade places: the rarest are the most wanted from now on.
  const now = drawn(DATABASES, 1, 10_000, 2).map((database) => DATABASES - 1 - database)
  const afterwards = misses([...old, ...now.slice(0, 2000)]) * 12_000 - misses(old) * 10_000
  expect(afterwards / 2000).toBeLessThan(0.52)
})

test('a newcomer that is called twice as often as each of the others soon keeps its connection', () => {
  const demand = new Demand(() => 4)
  const others = ['a', 'b', 'c', 'd'].map((database) => ({ database }))
  for (let i = 0; i < 200; i++) demand.note(others[i % 4]!.database, 1)
  const newcomer = { database: 'e' }
  let calls = 0
  do {
    for (const { database } of [newcomer, ...others, newcomer]) demand.note(database, 1)
    calls += 2
  } while (demand.least([...others, newcomer], () => 1) === newcomer && calls < 1000)
  expect(calls).toBeGreaterThan(2)
  expect(calls).toBeLessThan(20)
})

test('of a database with several connections, the one wanted least counts', () => {
  const demand = new Demand(() => 10)
  const [often, rarely] = [{ database: 'often' }, { database: 'rarely' }]
  for (let i = 0; i < 50; i++) demand.note('often', 1)
  demand.note('often', 2)
  demand.note('rarely', 1)
  demand.note('rarely', 1)
  const least = (counts: Record<string, number>) =>
    demand.least([often, rarely], (database) => counts[database]!)
  expect(least({ often: 1, rarely: 1 })).toBe(rarely)
  expect(least({ often: 2, rarely: 1 })).toBe(often)
  expect(least({ often: 2, rarely: 3 })).toBe(rarely)
})

test('of equals the first gives way, and one of none', () => {
  const demand = new Demand(() => 10)
  const idle = [{ database: 'a' }, { database: 'b' }]
  expect(demand.least(idle, () => 1)).toBe(idle[0])
  expect(demand.least([], () => 1)).toBeUndefined()
})

test('memory is bounded by the capacity, however many databases are called', () => {
  const demand = new Demand(() => 10)
  for (let i = 0; i < 100_000; i++) demand.note(`tenant_${i}`, 1)
  expect(demand.size).toBeLessThan(130 * 10)
})

test('a database that waits for its fifth connection wants the first four as well', () => {
  const demand = new Demand(() => CAPACITY)
  const others = Array.from({ length: 45 }, (_, i) => ({ database: `other${i}` }))
  for (const { database } of others) demand.note(database, 1)
  for (let i = 0; i < 20_000; i++) {
    // Each hand-over to a waiter is a want of the last connection alone.
    demand.note('hot', 5)
    if (i % 50 === 0) demand.note(others[i % 45]!.database, 1)
  }
  const hot = { database: 'hot' }
  for (const open of [4, 3, 2, 1]) {
    const countOf = (database: string) => (database === 'hot' ? open : 1)
    expect(demand.least([hot, ...others], countOf)).not.toBe(hot)
  }
})
