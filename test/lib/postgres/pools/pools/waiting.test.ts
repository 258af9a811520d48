import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { GatewayError } from '../../../../../lib/errors.ts'
import { Pools } from '../../../../../lib/postgres/pools/pools.ts'
import { until } from '../../../../helpers/process.ts'

import {
  ask,
  databases,
  LIMITS,
  openConnections,
  openSession,
  server,
  sessionPid,
  setUp,
  withPools,
} from './setup.ts'

setUp()

describe('a queue', () => {
  test('that is full refuses the next call at once, and lets the gateway’s own work in', async () => {
    await withPools({ maxTotalConnections: 1, maxQueuePerDatabase: 2 }, async (pools) => {
      const client = () => ({ isGone: false, onGone: undefined })
      const lease = await pools.lease(databases[0]!)
      const waiting = [1, 2].map(() => pools.lease(databases[0]!, { client: client() }))
      const refused = { code: 'pool_exhausted', status: 503 }
      await expect(pools.lease(databases[0]!, { client: client() })).rejects.toMatchObject(refused)
      await expect(pools.share(databases[0]!, 0.1, { client: client() })).rejects.toMatchObject(
        refused,
      )
      // Nor is the queue of another database full.
      const other = pools.lease(databases[1]!, { client: client() })
      const own = pools.lease(databases[0]!)
      lease.release()
      await Promise.all([...waiting, other, own].map(async (next) => (await next).release()))
      expect(pools.report().totals.exhausted).toBe(2)
    })
  })

  test('is left at the deadline of the call, or after waitMs, whichever is sooner', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      const [name] = databases as [string]
      const lease = await pools.lease(name)
      const waitsFor = async (work: Promise<unknown>) => {
        const started = performance.now()
        const error: GatewayError = await work.then(
          () => undefined!,
          (reason) => reason,
        )
        const { code, status, message } = error
        return { code, status, message, ms: performance.now() - started }
      }
      const deadline = () => performance.now() + 100
      const waits = await Promise.all([
        waitsFor(pools.lease(name, { deadline: deadline() })),
        waitsFor(Promise.resolve(pools.share(name, 0.1, { deadline: deadline() }))),
        waitsFor(pools.use(name, async () => {}, { deadline: performance.now() - 5 })),
        waitsFor(pools.lease(name, { waitMs: 100, deadline: performance.now() + 60_000 })),
      ])
      const timeout = { code: 'query_timeout', status: 504 }
      expect(waits).toMatchObject([
        { ...timeout, message: expect.stringContaining('timeout_ms') },
        timeout,
        timeout,
        { code: 'pool_exhausted', message: `No connection to ${name} became free within 0.1 s` },
      ])
      for (const { ms } of waits) expect(ms).toBeLessThan(2000)
      expect(pools.status().waiting).toBe(0)
      lease.release()
      // A connection that is free is worth no look at the clock.
      expect(
        (await pools.lease(name, { deadline: performance.now() - 5 })).release(),
      ).toBeUndefined()
    })
  })

  test('of one database that is flooded leaves the others nearly as quick as they are alone', async () => {
    await withPools({ maxTotalConnections: 6, maxConnectionsPerPool: 4 }, async (pools) => {
      const [noisy, quiet] = databases as [string, string]
      const call = async () => {
        const started = performance.now()
        await pools.use(quiet, (sql) => sql`select pg_sleep(0.1)`, {
          client: { isGone: false, onGone: undefined },
        })
        return performance.now() - started
      }
      const slowOf = async () => {
        const times: number[] = []
        for (let i = 0; i < 20; i++) times.push(await call())
        return times.sort((a, b) => a - b)[17]!
      }
      await call()
      const alone = await slowOf()
      let flooding = true
      let refused = 0
      const flood = Array.from({ length: 500 }, async () => {
        while (flooding) {
          const client = { isGone: false, onGone: undefined }
          const one = pools.use(noisy, (sql) => sql`select pg_sleep(0.1)`, { client })
          await one.catch(async () => {
            refused++
            await sleep(200)
          })
        }
      })
      const beside = await slowOf()
      flooding = false
      await Promise.all(flood)
      expect(refused).toBeGreaterThan(0)
      expect(beside).toBeLessThan(3 * alone)
    })
  })

  test('of each database has its turn where a single permit is wanted by several', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      const [noisy, quiet] = databases as [string, string]
      let flooding = true
      const flood = Array.from({ length: 250 }, async () => {
        while (flooding) {
          await pools.use(noisy, (sql) => sql`select pg_sleep(0.01)`, { waitMs: 60_000 })
        }
      })
      await until(async () => pools.status().waiting >= 249)
      // In the queue of the noisy one there are always some that have waited for longer.
      for (let i = 0; i < 5; i++) {
        await pools.use(quiet, (sql) => sql`select 1`, { waitMs: 2000 })
      }
      flooding = false
      await Promise.all(flood)
    })
  })
})

describe('waiting', () => {
  test('has a limit and ends in pool_exhausted', async () => {
    await withPools({ maxTotalConnections: 1, poolWaitTimeoutMs: 200 }, async (pools) => {
      const lease = await pools.lease(databases[0]!)
      await expect(pools.lease(databases[1]!)).rejects.toMatchObject({
        code: 'pool_exhausted',
        status: 503,
      })
      lease.release()
      // The place in the queue was given up: the next one gets the permit.
      expect(await pools.use(databases[1]!, async () => 'served')).toBe('served')
    })
  })

  test('is in order', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      const served: number[] = []
      await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          pools.use(databases[0]!, async (sql) => {
            await sql`select 1`
            served.push(i)
          }),
        ),
      )
      expect(served).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    })
  })

  test('one database flooding does not keep another one waiting for ever', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      let flooding = true
      const flood = Array.from({ length: 20 }, async () => {
        while (flooding) await pools.use(databases[0]!, (sql) => sql`select pg_sleep(0.01)`)
      })
      await until(async () => (await openConnections(pools)).length === 3)
      for (const name of databases.slice(1, 6)) {
        await pools.use(name, (sql) => sql`select 1`, { waitMs: 2000 })
      }
      flooding = false
      await Promise.all(flood)
    })
  })

  test('does not outlive the pools', async () => {
    const pools = new Pools(server, { ...LIMITS, maxTotalConnections: 1 })
    const lease = await pools.lease(databases[0]!)
    const waiting = pools.lease(databases[1]!)
    const ended = pools.end()
    await expect(waiting).rejects.toMatchObject({ code: 'connection_failed' })
    lease.release()
    await ended
  })
})

describe('quick calls', () => {
  const [first] = databases as [string]

  test('go down one connection, one behind the other', async () => {
    await withPools({}, async (pools) => {
      await openSession(pools, first)
      const joined = await Promise.all([1, 2, 3].map(() => pools.share(first, 0.1)))
      expect(new Set(joined.map((lease) => lease.connection)).size).toBe(1)
      const pids = await Promise.all(joined.map((lease) => sessionPid(lease)))
      expect(new Set(pids).size).toBe(1)
      for (const lease of joined) lease.release()
      expect(pools.status()).toMatchObject({ waiting: 0 })
    })
  })

  test('take another connection where the last of them would wait too long', async () => {
    await withPools({}, async (pools) => {
      const leases = [await pools.share(first, 0.6), await pools.share(first, 0.6)]
      expect(leases[0]!.connection).not.toBe(leases[1]!.connection)
      for (const lease of leases) lease.release()
    })
  })

  test('do not join one that has not answered for a while', async () => {
    await withPools({}, async (pools) => {
      await openSession(pools, first)
      const stuck = await pools.share(first, 0.1)
      const query = ask(stuck, 'select pg_sleep(0.2)')
      await new Promise((resolve) => setTimeout(resolve, 30))
      const next = await pools.share(first, 0.1)
      expect(next.connection).not.toBe(stuck.connection)
      next.release()
      await query
      stuck.release()
    })
  })

  test('wait behind those who wait for a connection of their own', async () => {
    await withPools({ maxConnectionsPerPool: 1 }, async (pools) => {
      const order: string[] = []
      const sharing = await pools.share(first, 0.1)
      await sessionPid(sharing)
      const alone = Promise.resolve(pools.leaseSession(first)).then((lease) => {
        order.push('alone')
        lease.release()
      })
      const quick = Promise.resolve(pools.share(first, 0.1)).then((lease) => {
        order.push('quick')
        lease.release()
      })
      expect(pools.status().waiting).toBe(2)
      sharing.release()
      await Promise.all([alone, quick])
      expect(order).toEqual(['alone', 'quick'])
    })
  })

  test('that wait are all let in at once, as far as there is room', async () => {
    await withPools({ maxConnectionsPerPool: 1 }, async (pools) => {
      const alone = await pools.leaseSession(first)
      await sessionPid(alone)
      const waiting = Array.from({ length: 5 }, () => pools.share(first, 0.1))
      expect(pools.status().waiting).toBe(5)
      alone.release()
      const leases = await Promise.all(waiting)
      expect(new Set(leases.map((lease) => lease.connection)).size).toBe(1)
      for (const lease of leases) lease.release()
    })
  })

  test('on a connection that is to be closed end there, and it is closed after the last', async () => {
    await withPools({}, async (pools) => {
      await openSession(pools, first)
      const one = await pools.share(first, 0.1)
      const two = await pools.share(first, 0.1)
      expect(two.connection).toBe(one.connection)
      await one.discard()
      const three = await pools.share(first, 0.1)
      expect(three.connection).not.toBe(one.connection)
      expect(await ask(two, 'select 1')).toEqual(['1'])
      two.release()
      three.release()
      await until(async () => pools.status().connections === 1)
    })
  })
})

test('a client that goes away leaves the queue', async () => {
  await withPools({ maxConnectionsPerPool: 1 }, async (pools) => {
    const [first] = databases as [string]
    const lease = await pools.lease(first)
    const client = { isGone: false, onGone: undefined as (() => void) | undefined }
    const waiting = pools.lease(first, { client })
    const refused = expect(waiting).rejects.toThrow('disconnected while waiting')
    client.onGone?.()
    await refused
    expect(pools.status().waiting).toBe(0)
    lease.release()
  })
})
