import { describe, expect, test } from 'vitest'
import { DatabaseSeconds, HALF_LIFE_MS } from '../../../../lib/postgres/pools/database-seconds.ts'
import { StarvingPools } from '../../../../lib/postgres/pools/starving-pools.ts'

const PATIENCE_MS = 2500

/** Pools that wait, at a time of its own. */
function setUp() {
  const seconds = new DatabaseSeconds()
  const starving = new StarvingPools<ReturnType<typeof pool>>(PATIENCE_MS)
  let now = performance.now()
  const pool = (name: string, platform = 'p', connections = 0) => ({
    name,
    account: seconds.of(name, platform),
    connections: { size: connections },
    seconds,
  })
  const wait = (one: ReturnType<typeof pool>) => {
    seconds.raise(one.account, now)
    starving.add(one, now)
    return one
  }
  const use = (one: ReturnType<typeof pool>, ms: number) => {
    seconds.charge(one.account, ms, now)
    starving.update(one, now)
  }
  /** Gives the next pool a permit; it uses the connection for `ms` and waits again. */
  const serve = (ms: number): string => {
    const one = starving.next(now)!
    starving.noteServed(one, now)
    const { leastPlatform } = starving
    seconds.noteServed(one.account, starving.leastOf(one.account.platform), leastPlatform)
    now += ms
    use(one, ms)
    return one.name
  }
  const pass = (ms: number) => {
    now += ms
  }
  return { seconds, starving, pool, wait, use, serve, pass, now: () => now }
}

/** Milliseconds that each has used of what was served. */
function tally(served: [name: string, ms: number][]): Record<string, number> {
  const used: Record<string, number> = {}
  for (const [name, ms] of served) used[name] = (used[name] ?? 0) + ms
  return used
}

describe('the next permit', () => {
  test('goes to who has used the fewest database seconds, so that their sums stay equal', () => {
    const { pool, wait, starving, serve, now } = setUp()
    const costs: Record<string, number> = { quick: 5, slow: 400, slower: 900 }
    for (const name of Object.keys(costs)) wait(pool(name))
    const served: [string, number][] = []
    for (let i = 0; i < 2000; i++) {
      const { name } = starving.next(now())!
      served.push([serve(costs[name]!), costs[name]!])
    }
    const used = Object.values(tally(served))
    expect(Math.max(...used) / Math.min(...used)).toBeLessThan(1.3)
  })

  test('goes to the platform that has used the fewest, and in it to the tenant', () => {
    const { pool, wait, serve } = setUp()
    for (let i = 0; i < 9; i++) wait(pool(`large${i}`, 'large'))
    wait(pool('small', 'small'))
    const used = tally(Array.from({ length: 1800 }, () => [serve(50), 50]))
    expect(used.small! / (1800 * 50)).toBeCloseTo(0.5, 1)
    const large = Object.entries(used).flatMap(([name, ms]) => (name === 'small' ? [] : [ms]))
    expect(large).toHaveLength(9)
    expect(Math.max(...large) - Math.min(...large)).toBeLessThanOrEqual(100)
  })

  test('goes in the order of arrival where all have used the same', () => {
    const { pool, wait, starving, serve } = setUp()
    const pools = ['a', 'b', 'c'].map((name) => wait(pool(name)))
    const order = pools.map((one) => {
      const name = serve(0)
      starving.delete(one)
      return name
    })
    expect(order).toEqual(['a', 'b', 'c'])
    expect(starving.size).toBe(0)
    expect(starving.next(performance.now())).toBeUndefined()
  })

  test('does not make up for time that a database has left unused', () => {
    const { pool, wait, serve, starving } = setUp()
    wait(pool('busy'))
    for (let i = 0; i < 100; i++) serve(100)
    // Without the raise it would be served alone for 10 s.
    wait(pool('late'))
    const used = tally(Array.from({ length: 20 }, () => [serve(100), 100]))
    expect(used).toEqual({ busy: 1000, late: 1000 })
    expect(starving.size).toBe(2)
  })

  test('forgets half of a use within its half-life', () => {
    const { seconds, pool, use, pass, now } = setUp()
    const [one, other] = [pool('one'), pool('other')]
    use(one, 8000)
    expect(seconds.lead(other.account, one.account, now())).toBeCloseTo(8000, 5)
    pass(3 * HALF_LIFE_MS)
    expect(seconds.lead(other.account, one.account, now())).toBeCloseTo(1000, 5)
    // Long beyond what a double can weigh.
    pass(3000 * HALF_LIFE_MS)
    use(other, 10)
    expect(seconds.lead(one.account, other.account, now())).toBeCloseTo(10, 5)
    seconds.sweep((name) => name === 'other', now())
    expect(seconds.size).toBe(1)
  })

  test('comes in time to one that has used far more, while new ones arrive without end', () => {
    const { pool, wait, use, serve, starving, now } = setUp()
    const loud = wait(pool('loud'))
    use(loud, 60_000)
    const began = now()
    let turns = 0
    let longest = 0
    let since = began
    for (let i = 0; i < 3000; i++) {
      const fresh = wait(pool(`new${i}`))
      if (serve(10) === 'loud') {
        turns++
        longest = Math.max(longest, now() - since)
        since = now()
      } else starving.delete(fresh)
    }
    expect(longest).toBeLessThan(PATIENCE_MS + 100)
    expect(turns).toBeGreaterThan(8)
    // Its turns are not more than the patience asks for.
    expect(turns).toBeLessThan((now() - began) / PATIENCE_MS + 2)
  })

  test('keeps one that has used little more waiting for little longer', () => {
    const { pool, wait, use, serve, starving, now } = setUp()
    const slow = wait(pool('slow'))
    use(slow, 100)
    const began = now()
    for (let i = 0; starving.has(slow); i++) {
      const fresh = wait(pool(`new${i}`))
      if (serve(10) === 'slow') break
      starving.delete(fresh)
    }
    expect(now() - began).toBeGreaterThan(300)
    expect(now() - began).toBeLessThan(500)
  })

  test('goes out of order at every second time at most', () => {
    const { pool, wait, use, serve, pass } = setUp()
    for (let i = 0; i < 10; i++) use(wait(pool(`loud${i}`)), 30_000)
    wait(pool('quiet'))
    pass(2 * PATIENCE_MS)
    const served = Array.from({ length: 10 }, () => serve(1))
    expect(served.filter((name) => name === 'quiet')).toHaveLength(5)
  })

  test('is found among 10,000 databases within microseconds', () => {
    const { pool, wait, serve } = setUp()
    for (let i = 0; i < 10_000; i++) wait(pool(`t${i}`, `p${i % 100}`))
    const began = performance.now()
    const served = new Set(Array.from({ length: 10_000 }, () => serve(1)))
    expect(performance.now() - began).toBeLessThan(2000)
    expect(served.size).toBeGreaterThan(9900)
  })
})
