import { describe, expect, test } from 'vitest'
import { divideTime } from '../../../lib/call/usage.ts'
import {
  addCounts,
  type Counts,
  countCall,
  countError,
  countTime,
  MAX_FUNCTIONS,
  noCounts,
  OTHER,
  UsageCounters,
} from '../../../lib/usage/counters.ts'

function sum(all: Iterable<Counts>): Counts {
  const sum = noCounts()
  for (const counts of all) addCounts(sum, counts)
  return sum
}

const sinceStart = (counters: UsageCounters) =>
  sum([...counters.entries()].map(([, , counts]) => counts))

describe('counters', () => {
  test('hand out what was counted since the last time, once', () => {
    const counters = new UsageCounters()
    const entry = counters.of('app_a', 'f')
    countCall(entry, 10)
    countTime(entry, 1.5)
    countError(counters.of('app_a'), 3)
    counters.of('app_b').deploys++
    expect(counters.drain()).toEqual([
      { database: 'app_a', function: 'f', calls: 1, errors: 0, ms: 1.5, bytes: 10, deploys: 0 },
      { database: 'app_a', function: OTHER, calls: 1, errors: 1, ms: 0, bytes: 3, deploys: 0 },
      { database: 'app_b', function: OTHER, calls: 0, errors: 0, ms: 0, bytes: 0, deploys: 1 },
    ])
    expect(counters.drain()).toEqual([])
    countTime(entry, 2)
    expect(counters.drain()).toMatchObject([{ function: 'f', calls: 0, ms: 2 }])
    expect(sinceStart(counters)).toEqual({ calls: 2, errors: 1, ms: 3.5, bytes: 13, deploys: 1 })
  })

  test('keep a limited number of functions, with exact sums of each database', () => {
    const counters = new UsageCounters()
    const drained: Counts[] = []
    let calls = 0
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < MAX_FUNCTIONS; i++) {
        countCall(counters.of(`app_${i % 7}`, `f${round}_${i}`), 1)
        calls++
      }
      expect([...counters.entries()].length).toBeLessThanOrEqual(MAX_FUNCTIONS + 7)
      drained.push(...counters.drain())
      // Of those that were not called again, room is made.
      drained.push(...counters.drain())
    }
    expect(sinceStart(counters)).toMatchObject({ calls, bytes: calls })
    expect(sum(drained)).toMatchObject({ calls, bytes: calls })
    // The rows of one day are limited, too.
    expect(new Set(drained.map((row) => JSON.stringify(row))).size).toBeLessThan(
      2 * MAX_FUNCTIONS + 8 * 7,
    )
    counters.beginDay()
    countCall(counters.of('app_0', 'next_day'), 1)
    expect(counters.drain()).toMatchObject([{ function: 'next_day', calls: 1 }])
  })

  test('count a call that ends after its function has lost its entry', () => {
    const counters = new UsageCounters()
    const entry = counters.of('app_a', 'slow')
    for (let i = 1; i < MAX_FUNCTIONS; i++) countCall(counters.of('app_b', `f${i}`), 1)
    counters.drain()
    countTime(entry, 70_000)
    countCall(entry, 5)
    expect(counters.drain()).toMatchObject([
      { database: 'app_a', function: OTHER, calls: 1, ms: 70_000, bytes: 5 },
    ])
  })

  test('drop databases that are called no more, beyond a limit', () => {
    const counters = new UsageCounters()
    for (let i = 0; i < 25_000; i++) countCall(counters.of(`app_${i}`), 1)
    expect(counters.drain()).toHaveLength(25_000)
    countCall(counters.of('app_24999'), 1)
    counters.drain()
    expect([...counters.entries()].length).toBeLessThanOrEqual(20_000)
    expect([...counters.entries()].some(([name]) => name === 'app_24999')).toBe(true)
  })

  test('go on under another name, beside those that it has', () => {
    const counters = new UsageCounters()
    const running = counters.of('app_a', 'f')
    countCall(running, 10)
    countCall(counters.of('app_a', 'g'), 1)
    countCall(counters.of('app_b', 'f'), 100)
    counters.drain()
    countCall(running, 10)
    counters.give('app_b', counters.take('app_a')!)
    counters.give('app_c', counters.take('app_b')!)
    // A call that ran meanwhile.
    countCall(running, 10)
    expect(counters.drain()).toEqual([
      expect.objectContaining({ database: 'app_c', function: 'f', calls: 2, bytes: 20 }),
    ])
    const all = [...counters.entries()].map(([database, name, { calls }]) => [
      database,
      name,
      calls,
    ])
    expect(all).toEqual([
      ['app_c', OTHER, 0],
      ['app_c', 'f', 4],
      ['app_c', 'g', 1],
    ])
  })

  test('cost less than a microsecond a call', () => {
    const counters = new UsageCounters()
    const calls = 200_000
    const began = performance.now()
    for (let i = 0; i < calls; i++) {
      const entry = counters.of(`app_${i % 500}`, `f${i % 9}`)
      countTime(entry, 0.1)
      countCall(entry, 100)
    }
    // Noisy machines take a multiple.
    expect((1000 * (performance.now() - began)) / calls).toBeLessThan(20)
  })
})

describe('the time of a batch', () => {
  test('is divided by what PostgreSQL says that each call took', () => {
    expect(divideTime([1, 3], 6)).toEqual([2, 4])
    expect(divideTime([1, undefined, undefined], 9)).toEqual([1, 4, 4])
    expect(divideTime([undefined, undefined], 5)).toEqual([2.5, 2.5])
    expect(divideTime([6, 2], 4)).toEqual([3, 1])
    expect(divideTime([0, 0], 0)).toEqual([0, 0])
  })
})
