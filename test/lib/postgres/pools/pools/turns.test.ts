import { describe, expect, test } from 'vitest'
import type { Pools } from '../../../../../lib/postgres/pools/pools.ts'
import { ask, databases, setUp, withPools } from './setup.ts'

setUp()

const RUN_MS = 1500

/** Keeps `atOnce` calls of `ms` in a database until it is told to stop; counts what they take. */
function flood(pools: Pools, database: string, { atOnce, ms }: { atOnce: number; ms: number }) {
  const used = { calls: 0, failed: 0, ms: 0 }
  let isOn = true
  const one = async () => {
    while (isOn) {
      try {
        const lease = await pools.leaseSession(database)
        await lease.session
        const began = performance.now()
        await ask(lease, `select pg_sleep(${ms / 1000})`)
        lease.release()
        if (!isOn) return
        used.calls++
        used.ms += performance.now() - began
      } catch {
        used.failed++
      }
    }
  }
  const running = Array.from({ length: atOnce }, one)
  const stop = async () => {
    isOn = false
    await Promise.all(running)
  }
  return { used, stop }
}

async function runFor(ms: number, floods: { stop: () => Promise<void> }[]): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
  await Promise.all(floods.map(({ stop }) => stop()))
}

describe('database seconds', () => {
  const [slow, quick, third, fourth] = databases as [string, string, string, string]

  test('are equal for ten slow calls at a time and for many quick ones', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      const one = flood(pools, slow, { atOnce: 10, ms: 150 })
      const other = flood(pools, quick, { atOnce: 30, ms: 5 })
      await runFor(RUN_MS, [one, other])
      const share = one.used.ms / (one.used.ms + other.used.ms)
      expect(share).toBeGreaterThan(0.25)
      expect(share).toBeLessThan(0.64)
      expect(one.used.failed + other.used.failed).toBe(0)
    })
  })

  test('are equal for platforms, however many of their databases are called', async () => {
    const platformOf = (database: string) => (database === quick ? 'small' : 'large')
    const work = async (pools: Pools) => {
      const large = [slow, third, fourth].map((name) => flood(pools, name, { atOnce: 4, ms: 50 }))
      const small = flood(pools, quick, { atOnce: 30, ms: 5 })
      await runFor(RUN_MS, [...large, small])
      const ofLarge = large.map(({ used }) => used.ms)
      const sum = ofLarge.reduce((a, b) => a + b)
      const share = sum / (sum + small.used.ms)
      expect(share).toBeGreaterThan(0.3)
      expect(share).toBeLessThan(0.65)
      expect(Math.max(...ofLarge)).toBeLessThan(2.5 * Math.min(...ofLarge))
    }
    await withPools({ maxTotalConnections: 2 }, work, { platformOf })
  })

  test('that nobody else wanted count for nothing once others come', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      for (let i = 0; i < 30; i++) {
        const lease = await pools.leaseSession(slow)
        await ask(lease, 'select pg_sleep(0.02)')
        lease.release()
      }
      const one = flood(pools, slow, { atOnce: 10, ms: 10 })
      const other = flood(pools, quick, { atOnce: 10, ms: 10 })
      await runFor(600, [one, other])
      const share = one.used.ms / (one.used.ms + other.used.ms)
      expect(share).toBeGreaterThan(0.25)
      expect(share).toBeLessThan(0.75)
    })
  })

  test('do not keep a database that has used most from its turn', async () => {
    const limits = { maxTotalConnections: 1, poolWaitTimeoutMs: 1500 }
    await withPools(limits, async (pools) => {
      const lease = await pools.leaseSession(slow)
      const others = databases.slice(1, 9).map((name) => flood(pools, name, { atOnce: 2, ms: 20 }))
      // Charged while it runs, since others wait.
      await ask(lease, 'select pg_sleep(0.8)')
      const next = pools.leaseSession(slow)
      lease.release()
      ;(await next).release()
      await runFor(0, others)
    })
  })
})
