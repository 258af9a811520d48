import { describe, expect, test } from 'vitest'
import type { Sql } from '../../../../../lib/postgres/pools/connection.ts'
import type { PlatformOf, Pools } from '../../../../../lib/postgres/pools/pools.ts'
import { until } from '../../../../helpers/process.ts'

import {
  backendPid,
  databases,
  openConnections,
  sessionPid,
  setUp,
  watcher,
  withPools,
} from './setup.ts'

setUp()

describe('the cap', () => {
  test('is not lessened by connections that were lost before they were given back', async () => {
    await withPools({ maxTotalConnections: 4, poolWaitTimeoutMs: 2000 }, async (pools) => {
      for (let i = 0; i < 8; i++) {
        const lease = await pools.lease(databases[0]!)
        const pid = await backendPid(lease.sql)
        await watcher`select pg_terminate_backend(${pid})`
        await until(() => lease.connection.closed)
        await lease.discard()
      }
      // More databases than connections: the idle ones have to give way.
      for (const database of databases) {
        expect(await pools.use(database, backendPid)).toBeGreaterThan(0)
      }
    })
  })

  test('on all open connections is never passed, however many databases are asked', async () => {
    await withPools({}, async (pools) => {
      let most = 0
      let sampling = true
      const sampler = (async () => {
        while (sampling) most = Math.max(most, (await openConnections(pools)).length)
      })()
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, i) => {
          const database = databases[(i * 7) % databases.length]!
          return pools.use(database, async (sql) => {
            const [row] = await sql`select current_database() as name, pg_sleep(0.002)`
            return row!.name === database
          })
        }),
      )
      sampling = false
      await sampler
      expect(answers).toEqual(Array(300).fill(true))
      expect(most).toBeGreaterThan(1)
      expect(most).toBeLessThanOrEqual(5)
      expect(pools.status()).toMatchObject({ waiting: 0 })
      expect(pools.status().connections).toBeLessThanOrEqual(5)
    })
  })

  test('on one database leaves room for the others', async () => {
    await withPools({ maxConnectionsPerPool: 2 }, async (pools) => {
      const slow = Array.from({ length: 6 }, () =>
        pools.use(databases[0]!, (sql) => sql`select pg_sleep(0.2)`),
      )
      await until(async () => (await openConnections(pools)).length === 2)
      const started = performance.now()
      await pools.use(databases[1]!, (sql) => sql`select 1`)
      expect(performance.now() - started).toBeLessThan(200)
      await Promise.all(slow)
      expect(
        (await openConnections(pools)).filter((row) => row.datname === databases[0]),
      ).toHaveLength(2)
    })
  })
})

test('a database that lets nobody in keeps nobody from the others', async () => {
  const limits = { maxTotalConnections: 6, maxConnectionsPerPool: 4, connectTimeoutMs: 30_000 }
  await withPools(limits, async (pools) => {
    const [locked, ...others] = databases as [string, ...string[]]
    const blocking = await watcher.reserve()
    // PostgreSQL has whoever connects to a database that is being renamed wait for it.
    await blocking.unsafe(`begin; alter database ${locked} rename to ${locked}_renamed`)
    const stuck = Array.from({ length: 4 }, () => pools.use(locked, (sql) => sql`select 1`))
    try {
      for (const name of others.slice(0, 4)) {
        await pools.use(name, (sql) => sql`select 1`, { waitMs: 10_000 })
      }
    } finally {
      await blocking`rollback`
      blocking.release()
      await Promise.all(stuck)
    }
  })
})

describe('the connections of one platform', () => {
  const platformOf: PlatformOf = (name) => {
    const i = databases.indexOf(name)
    if (i < 0) return undefined
    return i < 6 ? 'many' : 'few'
  }

  test('have a limit of their own, which leaves room for the other platforms', async () => {
    const limits = { maxTotalConnections: 8, maxConnectionsPerPlatform: 3 }
    await withPools(
      limits,
      async (pools) => {
        const counts: Record<string, number> = { many: 0, few: 0 }
        let sampling = true
        const sampler = (async () => {
          while (sampling) {
            const open = await openConnections(pools)
            for (const platform of Object.keys(counts)) {
              const now = open.filter(({ datname }) => platformOf(datname) === platform).length
              counts[platform] = Math.max(counts[platform]!, now)
            }
          }
        })()
        // Databases 0 to 6: all of one platform, one of the other.
        const answers = await Promise.all(
          Array.from({ length: 140 }, (_, i) =>
            pools.use(databases[i % 7]!, async (sql) => {
              const [row] = await sql`select current_database() as name, pg_sleep(0.005)`
              return row!.name === databases[i % 7]
            }),
          ),
        )
        sampling = false
        await sampler
        expect(answers).toEqual(Array(140).fill(true))
        expect(counts.many).toBe(3)
        expect(counts.few).toBeLessThanOrEqual(3)
        expect(counts.few).toBeGreaterThan(0)
      },
      { platformOf },
    )
  })

  test('that nobody uses give way to those of the same platform', async () => {
    await withPools(
      { maxTotalConnections: 5, maxConnectionsPerPlatform: 2 },
      async (pools) => {
        for (const name of databases.slice(0, 3)) await pools.use(name, (sql) => sql`select 1`)
        await pools.use(databases[6]!, (sql) => sql`select 1`)
        const open = (await openConnections(pools)).map(({ datname }) => datname).sort()
        expect(open).toEqual([databases[1], databases[2], databases[6]].sort())
        expect(pools.report().pools.find(({ open }) => open === 0)).toMatchObject({
          database: databases[0],
          platform: 'many',
          opened: 1,
          closed: 1,
          evicted: 1,
        })
      },
      { platformOf },
    )
  })
})

describe('a capacity that changes', () => {
  test('to a smaller one closes idle connections at once, those in use when they are given back', async () => {
    await withPools({ maxTotalConnections: 5 }, async (pools) => {
      const leases = await Promise.all(databases.slice(0, 5).map((name) => pools.lease(name)))
      for (const { sql } of leases) await sql`select 1`
      for (const lease of leases.slice(0, 2)) lease.release()
      pools.setCapacity(2)
      await until(async () => (await openConnections(pools)).length === 3)
      expect(await leases[4]!.sql`select 1 as one`).toMatchObject([{ one: 1 }])
      for (const lease of leases.slice(2)) lease.release()
      await until(async () => pools.status().connections === 2)
      expect(await openConnections(pools)).toHaveLength(2)
    })
  })

  test('to a smaller one holds for quick calls that come without a pause', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      let calling = true
      const calls = databases.slice(0, 3).map(async (name) => {
        let held = await pools.share(name, 0.1)
        while (calling) {
          await sessionPid(held)
          // The next one is there before this one goes.
          const next = pools.share(name, 0.1)
          held.release()
          held = await next
        }
        held.release()
      })
      await until(async () => (await openConnections(pools)).length === 3)
      pools.setCapacity(1)
      await until(async () => (await openConnections(pools)).length <= 1)
      calling = false
      await Promise.all(calls)
    })
  })

  test('to a larger one lets in who waits', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      const lease = await pools.lease(databases[0]!)
      const waiting = pools.lease(databases[1]!)
      pools.setCapacity(2)
      ;(await waiting).release()
      lease.release()
    })
  })
})

describe('the idle connection that gives way', () => {
  const use = (pools: Pools, database: string) => pools.use(database, backendPid)

  test('is of a database that is wanted rarely, although another has been idle for longer', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      const [often, ...rarely] = databases as [string, ...string[]]
      const pid = await use(pools, often)
      for (let i = 0; i < 5; i++) await use(pools, often)
      for (const database of rarely) await use(pools, database)
      expect(await use(pools, often)).toBe(pid)
    })
  })

  test('is of any database in the end that is not called any more', async () => {
    await withPools({ maxTotalConnections: 2 }, async (pools) => {
      const [former, ...others] = databases as [string, string, string]
      const pid = await use(pools, former)
      for (let i = 0; i < 20; i++) await use(pools, former)
      for (let i = 0; i < 60; i++) await use(pools, others[i % 2]!)
      const kept = await use(pools, others[0])
      expect(await use(pools, others[1])).toBeGreaterThan(0)
      expect(await use(pools, others[0])).toBe(kept)
      expect(await use(pools, former)).not.toBe(pid)
    })
  })

  test('is the second one of a database that wants one at a time', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      const [often, once, other] = databases as [string, string, string]
      await Promise.all([use(pools, often), use(pools, often)])
      for (let i = 0; i < 20; i++) await use(pools, often)
      const pid = await use(pools, once)
      for (let i = 0; i < 3; i++) await use(pools, once)
      await use(pools, other)
      expect(await use(pools, once)).toBe(pid)
    })
  })

  test('is the one wanted least where fewer are allowed from now on', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      const [often, ...others] = databases as [string, ...string[]]
      const pid = await use(pools, often)
      for (let i = 0; i < 5; i++) await use(pools, often)
      for (const database of others.slice(0, 2)) await use(pools, database)
      pools.setCapacity(1)
      await until(async () => (await openConnections(pools)).length === 1)
      expect(await use(pools, often)).toBe(pid)
    })
  })
})

test('a database whose calls wait for its only connection is wanted as often as it is called', async () => {
  const limits = { maxTotalConnections: 2, maxConnectionsPerPool: 1, poolWaitTimeoutMs: 5000 }
  await withPools(limits, async (pools) => {
    const [busy, seldom, other] = databases as [string, string, string]
    const work = (sql: Sql) => sql`select 1`
    await Promise.all(Array.from({ length: 20 }, () => pools.use(busy, work)))
    for (let i = 0; i < 3; i++) await pools.use(seldom, work)
    await pools.use(other, work)
    const open = (await openConnections(pools)).map(({ datname }) => datname)
    expect(open.sort()).toEqual([busy, other].sort())
  })
})

test('a database that is called while its connection is being closed is wanted once more', async () => {
  await withPools({ maxTotalConnections: 2 }, async (pools) => {
    const [anew, seldom, other] = databases as [string, string, string]
    const work = (sql: Sql) => sql`select 1`
    for (let i = 0; i < 4; i++) {
      await pools.use(anew, work)
      pools.renew(anew)
    }
    await pools.use(anew, work)
    await until(() => pools.status().connections === 1)
    for (let i = 0; i < 2; i++) await pools.use(seldom, work)
    await pools.use(other, work)
    const open = (await openConnections(pools)).map(({ datname }) => datname)
    expect(open.sort()).toEqual([anew, other].sort())
  })
})
