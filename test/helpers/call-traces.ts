// Traces of calls: which database each goes to, as numbers from 0. The same for the same arguments.

import { seededShares, zipf } from '../../bench/lib/call/draw.ts'

const LENGTH = 40_000

/** Each database by Zipf's law: the one at place k, k ** -exponent times as often as the first. */
export function drawn(databases: number, exponent: number, length = LENGTH, seed = 1): number[] {
  const draw = zipf(databases, exponent, seededShares(seed))
  return Array.from({ length }, draw)
}

/** Four days of ten hours: each hour has its own databases, and the morning has most of the calls. */
export function days(databases: number): number[] {
  const random = seededShares(7)
  const calls: number[] = []
  for (let day = 0; day < 4; day++) {
    for (let hour = 0; hour < 10; hour++) {
      const places = shuffled(databases, seededShares(100 + hour))
      const draw = zipf(databases, 1, random)
      const count = hour < 2 ? 300 : hour === 3 ? 4500 : 1200
      for (let i = 0; i < count; i++) calls.push(places[draw()]!)
    }
  }
  return calls
}

/** Zipf's law with a job now and then that calls all databases, one after the other, in between. */
export function scans(databases: number): number[] {
  const draw = zipf(databases, 1, seededShares(3))
  const calls: number[] = []
  let next = databases
  for (let i = 0; i < LENGTH; i++) {
    if (i % 10_000 === 5000) next = 0
    calls.push(next < databases && i % 2 === 1 ? next++ : draw())
  }
  return calls
}

/** Thirty databases at a time are called, each about thirty times; then another takes its place. */
export function visits(databases: number): number[] {
  const random = seededShares(5)
  const draw = zipf(databases, 0.7, random)
  const present: { database: number; left: number }[] = []
  return Array.from({ length: LENGTH }, () => {
    while (present.length < 30) {
      present.push({ database: draw(), left: 1 + Math.floor(-30 * Math.log(1 - random())) })
    }
    const at = Math.floor(random() * present.length)
    const visit = present[at]!
    if (--visit.left === 0) present.splice(at, 1)
    return visit.database
  })
}

/** Share of misses where the one that is called again last gives way (Belady): no policy has less. */
export function leastMisses(trace: number[], capacity: number): number {
  const next = new Array<number>(trace.length)
  const seen = new Map<number, number>()
  for (let i = trace.length - 1; i >= 0; i--) {
    next[i] = seen.get(trace[i]!) ?? Number.POSITIVE_INFINITY
    seen.set(trace[i]!, i)
  }
  const open = new Map<number, number>()
  let misses = 0
  for (const [i, database] of trace.entries()) {
    if (!open.has(database)) {
      misses++
      if (open.size === capacity) {
        let last: [number, number] | undefined
        for (const entry of open) if (!last || entry[1] > last[1]) last = entry
        open.delete(last![0])
      }
    }
    open.set(database, next[i]!)
  }
  return misses / trace.length
}

/** Share of misses where the one that was called longest ago gives way. */
export function leastRecentlyUsed(trace: number[], capacity: number): number {
  const open = new Set<number>()
  let misses = 0
  for (const database of trace) {
    if (!open.delete(database)) {
      misses++
      if (open.size === capacity) for (const first of [...open].slice(0, 1)) open.delete(first)
    }
    open.add(database)
  }
  return misses / trace.length
}

function shuffled(count: number, random: () => number): number[] {
  const places = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[places[i], places[j]] = [places[j]!, places[i]!]
  }
  return places
}
