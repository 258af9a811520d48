import { describe, expect, test } from 'vitest'
import { OTHER, UsageCounters } from '../../../lib/usage/counters.ts'
import { CallTimes } from '../../../lib/usage/times/call-times.ts'
import { MAX_ROWS } from '../../../lib/usage/times/fold.ts'
import {
  addPacked,
  BUCKETS,
  bucketOf,
  lowerBound,
  packCounts,
  quantileOf,
  RELATIVE_ERROR,
} from '../../../lib/usage/times/histogram.ts'
import { SHOWN_BOUNDS_MS } from '../../../lib/usage/times/shown-times.ts'

const ended = { ms: 5, heldMs: 4, rows: 2, bytes: 100, isError: false }

/** Counters whose databases are named after their platform: `clinic_north`. */
function newTimes() {
  const usage = new UsageCounters()
  const times = new CallTimes((database) => database.split('_')[0])
  const call = (database: string, name: string | undefined, one: Partial<typeof ended> = {}) =>
    times.note(database, name, usage.of(database, name), { ...ended, ...one })
  return { usage, times, call }
}

describe('the histogram', () => {
  test('has each duration in the bucket whose bounds are around it', () => {
    for (let ms = 0.016; ms < 2 ** 22; ms *= 1.02) {
      const bucket = bucketOf(ms)
      expect(lowerBound(bucket)).toBeLessThanOrEqual(ms)
      expect(lowerBound(bucket + 1)).toBeGreaterThan(ms)
    }
    expect([0, 0.001, 1e9, Infinity].map(bucketOf)).toEqual([0, 0, BUCKETS - 1, BUCKETS - 1])
  })

  test('gives quantiles within its relative error', () => {
    let seed = 7
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
      return seed / 2 ** 31
    }
    const distributions = [
      () => 0.05 + random(),
      () => Math.exp(8 * random()),
      () => (random() < 0.02 ? 5000 * random() : 2 + random()),
      () => 42,
    ]
    for (const draw of distributions) {
      const all = Array.from({ length: 2000 }, draw).sort((a, b) => a - b)
      const counts = new Float64Array(BUCKETS)
      for (const ms of all) counts[bucketOf(ms)]!++
      for (const quantile of [0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1]) {
        const exact = all[Math.ceil(quantile * all.length) - 1]!
        const found = quantileOf(counts, quantile, all.at(-1)!)!
        expect(Math.abs(found - exact) / exact).toBeLessThanOrEqual(RELATIVE_ERROR)
      }
    }
    expect(RELATIVE_ERROR).toBeLessThan(0.032)
    expect(quantileOf(new Float64Array(BUCKETS), 0.5, 0)).toBeNull()
  })

  test('is packed and added up without loss', () => {
    const counts = new Float64Array(BUCKETS)
    counts[0] = 1
    counts[130] = 2 ** 40 + 3
    counts[BUCKETS - 1] = 300
    const sum = new Float64Array(BUCKETS)
    for (let i = 0; i < 3; i++) addPacked(sum, packCounts(counts))
    expect(sum).toEqual(counts.map((count) => 3 * count))
    expect(packCounts(new Float64Array(BUCKETS))).toHaveLength(0)
  })
})

describe('durations', () => {
  test('are counted by function, and apart for each database', () => {
    const { times, call } = newTimes()
    call('clinic_north', 'f', { ms: 10, isError: true })
    call('clinic_south', 'f', { ms: 20 })
    call('clinic_south', undefined)
    times.note('clinic_south', undefined, undefined, ended)
    const rows = times.drain()
    const counted = rows.map((row) => [row.database, row.function, row.calls, row.maxMs])
    expect(counted).toEqual([
      [null, 'f', 2, 20],
      [null, OTHER, 2, 5],
      ['clinic_north', 'f', 1, 10],
      ['clinic_south', 'f', 1, 20],
    ])
    expect(rows[0]).toMatchObject({ errors: 1, heldMs: 8, sumMs: 30, rows: 4, bytes: 200 })
    expect(times.drain()).toEqual([])
    call('clinic_north', 'f')
    expect(times.read()).toEqual(times.drain())
  })

  test('are those of the functions called most; the others are one', () => {
    const { times, call } = newTimes()
    // The busiest are called last.
    for (let i = 0; i < 2 * MAX_ROWS; i++) {
      for (let n = 0; n <= i; n += 100) call('clinic_north', `f${i}`)
    }
    const busiest = `f${2 * MAX_ROWS - 1}`
    const first = times.drain()
    const functions = first.filter(({ database }) => database === null)
    expect(functions).toHaveLength(MAX_ROWS + 1)
    expect(functions.find((row) => row.function === OTHER)!.calls).toBe(100 * 1 + 100 * 2)
    expect(functions.reduce((sum, { calls }) => sum + calls, 0)).toBe(100 * (1 + 2 + 3 + 4))
    // A database's function that is called more often takes the place of another one.
    const apart = () => times.drain().filter(({ database }) => database !== null)
    for (let i = 0; i < 2 * MAX_ROWS; i++) call('clinic_north', `f${i}`)
    const second = apart()
    expect(second.map((row) => row.function)).toContain(busiest)
    expect(second.length).toBeLessThanOrEqual(MAX_ROWS)
  })

  test('of functions beyond what is counted in memory are not lost', () => {
    const { times, call } = newTimes()
    const names = 2500
    let sum = 0
    for (let round = 1; round <= 2; round++) {
      for (let i = 0; i < names; i++) call(`clinic${i % 3}_north`, `f${round}_${i}`)
      for (let i = 0; i < 50; i++) call('clinic0_north', `busy${round}`)
      const rows = times.drain().filter(({ database }) => database === null)
      expect(rows.length).toBeLessThanOrEqual(MAX_ROWS + 3 + 3)
      sum += rows.reduce((all, { calls }) => all + calls, 0)
    }
    expect(sum).toBe(2 * (names + 50))
    // Room was made for it.
    for (let i = 0; i < 50; i++) call('clinic0_north', 'busy2')
    expect(times.drain()[0]).toMatchObject({ function: 'busy2', calls: 50 })
  })

  test('of thousands of platforms are limited', () => {
    const { times, call } = newTimes()
    for (let i = 0; i < 5000; i++) call(`p${i}_a`, 'f')
    const rows = times.drain().filter(({ database }) => database === null)
    expect(rows.length).toBeLessThanOrEqual(2 * MAX_ROWS + 1)
    expect(rows.reduce((all, { calls }) => all + calls, 0)).toBe(5000)
    const others = rows.filter(({ platform }) => platform === OTHER)
    expect(others.reduce((all, { calls }) => all + calls, 0)).toBeGreaterThanOrEqual(4000)
  })

  test('in /metrics never go back', () => {
    const { times, call } = newTimes()
    const countOf = (name: string) => {
      const found = times.shown().find((one) => one.function === name)
      return found?.times.buckets.reduce((sum, count) => sum + count, 0)
    }
    for (let i = 0; i < MAX_ROWS; i++) call('clinic_north', `f${i}`)
    call('clinic_north', 'late', { ms: 3 })
    expect([countOf('f0'), countOf('late'), countOf(OTHER)]).toEqual([1, undefined, 1])
    times.drain()
    expect([countOf('f0'), countOf(OTHER)]).toEqual([1, 1])
    // Once others are idle for an hour, it gets a place, and begins there.
    for (let minute = 0; minute < 61; minute++) {
      call('clinic_north', 'f0')
      call('clinic_north', 'late', { ms: 3 })
      times.drain()
    }
    const rest = countOf(OTHER)!
    call('clinic_north', 'late', { ms: 3 })
    expect([countOf('f0'), countOf('f1'), countOf(OTHER)]).toEqual([62, undefined, rest])
    const late = times.shown().find((one) => one.function === 'late')!
    const bound = SHOWN_BOUNDS_MS.indexOf(4)
    expect(late.times.buckets[bound]).toBeGreaterThan(0)
    expect(late.times.sumMs).toBe(3 * late.times.buckets[bound]!)
  })

  test('cost less than half a microsecond a call', () => {
    const { usage, times } = newTimes()
    const calls = 200_000
    const began = performance.now()
    for (let i = 0; i < calls; i++) {
      const database = `app_${i % 50}`
      const name = `f${i % 9}`
      const ms = (i % 1000) / 7
      times.note(database, name, usage.of(database, name), { ...ended, ms })
    }
    // Noisy machines take a multiple.
    expect((1000 * (performance.now() - began)) / calls).toBeLessThan(20)
  })
})
