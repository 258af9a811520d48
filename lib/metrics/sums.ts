import type { Counts } from '../usage/counters.ts'
import type { CallsOfFunction } from './calls.ts'

/** Adds up the deploys of several servers. */
export function sumOfDeploys(all: { running: number; waiting: number }[]) {
  return {
    running: all.reduce((sum, { running }) => sum + running, 0),
    waiting: all.reduce((sum, { waiting }) => sum + waiting, 0),
  }
}

/** Adds up the calls of functions of several servers. */
export function sumOfCalls([first = [], ...others]: CallsOfFunction[][]): CallsOfFunction[] {
  if (others.length === 0) return first
  const keyOf = (one: CallsOfFunction) => `${one.platform}/${one.function}`
  const sums = new Map(first.map((one) => [keyOf(one), one]))
  for (const one of others.flat()) {
    const sum = sums.get(keyOf(one))
    sums.set(keyOf(one), sum ? { ...one, times: addTimes(sum.times, one.times) } : one)
  }
  return [...sums.values()]
}

/** Adds up the counts of platforms of several servers. */
export function sumOfCounts([first = new Map(), ...others]: Map<string, Counts>[]) {
  if (others.length === 0) return first
  const sums = new Map(first)
  for (const [platform, { calls, errors, ms, bytes, deploys }] of others.flatMap((one) => [
    ...one,
  ])) {
    const sum = sums.get(platform)
    sums.set(platform, {
      calls: calls + (sum?.calls ?? 0),
      errors: errors + (sum?.errors ?? 0),
      ms: ms + (sum?.ms ?? 0),
      bytes: bytes + (sum?.bytes ?? 0),
      deploys: deploys + (sum?.deploys ?? 0),
    })
  }
  return sums
}

type Times = CallsOfFunction['times']

function addTimes(one: Times, other: Times): Times {
  return {
    errors: one.errors + other.errors,
    sumMs: one.sumMs + other.sumMs,
    buckets: Array.from(one.buckets, (count, i) => count + other.buckets[i]!),
  }
}
