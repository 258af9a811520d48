import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { Sql } from '../../lib/postgres/connection.ts'
import { type PoolLimits, Pools } from '../../lib/postgres/pools.ts'
import { parseDatabaseUrl } from '../../lib/postgres/server.ts'
import { connectTo, queryDatabase, uniqueName } from '../helpers/gateway.ts'

const server = parseDatabaseUrl(inject('databaseUrl'))
const databases = Array.from({ length: 12 }, () => uniqueName('pool'))
let watcher: Sql

beforeAll(async () => {
  for (const name of databases) await queryDatabase(server.database, `create database ${name}`)
  watcher = connectTo(server.database)
})
afterAll(async () => {
  await watcher.end()
  for (const name of databases) {
    await queryDatabase(server.database, `drop database ${name} with (force)`)
  }
})

const LIMITS: PoolLimits = {
  maxConnectionsPerPool: 10,
  maxTotalConnections: 5,
  poolIdleTimeoutMs: 60_000,
  poolWaitTimeoutMs: 5000,
  connectTimeoutMs: 5000,
  statementTimeoutMs: 30_000,
}

async function withPools(limits: Partial<PoolLimits>, work: (pools: Pools) => Promise<void>) {
  const pools = new Pools(
    { ...server, applicationName: uniqueName('app') },
    { ...LIMITS, ...limits },
  )
  try {
    await work(pools)
  } finally {
    await pools.end()
  }
}

/** Open connections of these pools, as PostgreSQL sees them. */
async function openConnections(pools: Pools): Promise<{ datname: string; pid: number }[]> {
  return watcher`
    select datname, pid from pg_stat_activity
    where application_name = ${pools.server.applicationName}
  `
}

const backendPid = async (sql: Sql) => (await sql`select pg_backend_pid() as pid`)[0]!.pid

async function until(condition: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 5000
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error('It did not come to pass within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('the cap', () => {
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
      await until(async () => (await openConnections(pools)).length === 2)
      expect(pools.status()).toMatchObject({ connections: 2 })
    })
  })

  test('to a smaller one holds for quick calls that come without a pause', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      let calling = true
      const calls = databases.slice(0, 3).map(async (name) => {
        let held = await pools.share(name, 0.1)
        while (calling) {
          await held.sql`select 1`
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

describe('a connection', () => {
  test('is used again', async () => {
    await withPools({}, async (pools) => {
      const first = await pools.use(databases[0]!, backendPid)
      const second = await pools.use(databases[0]!, backendPid)
      expect(second).toBe(first)
    })
  })

  test('that is busy is not shared: a fast query does not wait behind a slow one', async () => {
    await withPools({}, async (pools) => {
      await pools.use(databases[0]!, (sql) => sql`select 1`)
      const slow = pools.use(databases[0]!, (sql) => sql`select pg_sleep(1)`)
      const started = performance.now()
      await pools.use(databases[0]!, (sql) => sql`select 1`)
      expect(performance.now() - started).toBeLessThan(900)
      await slow
    })
  })

  test('idle for longest gives way when there is no permit left, whatever its database', async () => {
    await withPools({ maxTotalConnections: 3 }, async (pools) => {
      for (const name of databases.slice(0, 3)) await pools.use(name, (sql) => sql`select 1`)
      await pools.use(databases[0]!, (sql) => sql`select 1`)
      await pools.use(databases[3]!, (sql) => sql`select 1`)
      const open = (await openConnections(pools)).map((row) => row.datname).sort()
      expect(open).toEqual([databases[0], databases[2], databases[3]].sort())
    })
  })

  test('idle for POOL_IDLE_TIMEOUT_SECS is closed, and its pool is gone', async () => {
    await withPools({ poolIdleTimeoutMs: 300 }, async (pools) => {
      await pools.use(databases[0]!, (sql) => sql`select 1`)
      expect(pools.status()).toEqual({ pools: 1, connections: 1, waiting: 0 })
      await until(async () => pools.status().connections === 0)
      expect(await openConnections(pools)).toEqual([])
      expect(pools.status()).toEqual({ pools: 0, connections: 0, waiting: 0 })
    })
  })

  test('in use is never closed for being old', async () => {
    await withPools({ poolIdleTimeoutMs: 200 }, async (pools) => {
      await pools.use(databases[0]!, async (sql) => {
        const before = await backendPid(sql)
        await sql`select pg_sleep(0.6)`
        expect(await backendPid(sql)).toBe(before)
      })
    })
  })

  test('that the server closed is replaced', async () => {
    await withPools({}, async (pools) => {
      const pid = await pools.use(databases[0]!, backendPid)
      await watcher`select pg_terminate_backend(${pid})`
      await until(async () => pools.status().connections === 0)
      expect(await pools.use(databases[0]!, backendPid)).not.toBe(pid)
    })
  })

  test('that broke under a query gives its permit back', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      const broken = pools.use(
        databases[0]!,
        (sql) => sql`select pg_terminate_backend(pg_backend_pid())`,
      )
      await expect(broken).rejects.toThrow()
      expect((await pools.use(databases[1]!, (sql) => sql`select 1 as one`))[0]).toEqual({ one: 1 })
    })
  })

  test('to a database that does not exist costs no permit', async () => {
    await withPools({ maxTotalConnections: 1 }, async (pools) => {
      for (let i = 0; i < 3; i++) {
        await expect(pools.use('no_such_database', (sql) => sql`select 1`)).rejects.toMatchObject({
          code: '3D000',
        })
      }
      await until(async () => pools.status().connections === 0)
    })
  })

  test('to a server that is not there costs no permit', async () => {
    const nowhere = new Pools({ ...server, host: '127.0.0.1', port: 1 }, LIMITS)
    for (let i = 0; i < 10; i++) {
      await expect(nowhere.use('x', (sql) => sql`select 1`)).rejects.toMatchObject({
        code: 'ECONNREFUSED',
      })
    }
    expect(nowhere.status()).toEqual({ pools: 0, connections: 0, waiting: 0 })
    await nowhere.end()
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

test('a lease can be given back once only', async () => {
  await withPools({ maxTotalConnections: 2 }, async (pools) => {
    const lease = await pools.lease(databases[0]!)
    lease.release()
    lease.release()
    await lease.discard()
    const [a, b] = await Promise.all([pools.lease(databases[0]!), pools.lease(databases[0]!)])
    expect(a.sql).not.toBe(b.sql)
    a.release()
    b.release()
  })
})

test('a discarded connection is closed', async () => {
  await withPools({}, async (pools) => {
    const lease = await pools.lease(databases[0]!)
    await lease.sql`select 1`
    await lease.discard()
    expect(pools.status()).toEqual({ pools: 0, connections: 0, waiting: 0 })
    await until(async () => (await openConnections(pools)).length === 0)
  })
})

test('closeDatabase lets a database be dropped', async () => {
  const name = uniqueName('pool')
  await queryDatabase(server.database, `create database ${name}`)
  await withPools({}, async (pools) => {
    await Promise.all([1, 2, 3].map(() => pools.use(name, (sql) => sql`select pg_sleep(0.05)`)))
    await pools.closeDatabase(name)
    await queryDatabase(server.database, `drop database ${name}`)
  })
})

describe('quick calls', () => {
  const [first] = databases as [string]

  test('go down one connection, one behind the other', async () => {
    await withPools({}, async (pools) => {
      const leases = await Promise.all([1, 2, 3].map(() => pools.share(first, 0.1)))
      // Those that came while none was open have one each; the next ones join.
      for (const lease of leases) await lease.sql`select 1`
      const joined = await Promise.all([1, 2, 3].map(() => pools.share(first, 0.1)))
      expect(new Set(joined.map((lease) => lease.connection)).size).toBe(1)
      const pids = await Promise.all(joined.map((lease) => backendPid(lease.sql)))
      expect(new Set(pids).size).toBe(1)
      for (const lease of [...leases, ...joined]) lease.release()
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
      const stuck = await pools.share(first, 0.1)
      const query = stuck.sql`select pg_sleep(0.2)`.execute()
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
      await sharing.sql`select 1`
      const alone = pools.lease(first).then((lease) => {
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
      const alone = await pools.lease(first)
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
      const one = await pools.share(first, 0.1)
      await one.sql`select 1`
      const two = await pools.share(first, 0.1)
      expect(two.connection).toBe(one.connection)
      await one.discard()
      const three = await pools.share(first, 0.1)
      expect(three.connection).not.toBe(one.connection)
      expect(await two.sql`select 1 as n`).toMatchObject([{ n: 1 }])
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
    const client = { onGone: undefined as (() => void) | undefined }
    const waiting = pools.lease(first, { client })
    const refused = expect(waiting).rejects.toThrow('did not wait')
    client.onGone?.()
    await refused
    expect(pools.status().waiting).toBe(0)
    lease.release()
  })
})
