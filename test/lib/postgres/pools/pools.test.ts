import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { GatewayError } from '../../../../lib/errors.ts'
import { parseDatabaseUrl, type Server } from '../../../../lib/postgres/hosts/server.ts'
import type { Sql } from '../../../../lib/postgres/pools/connection.ts'
import type { Lease } from '../../../../lib/postgres/pools/lease.ts'
import { type PlatformOf, type PoolLimits, Pools } from '../../../../lib/postgres/pools/pools.ts'
import type { Session } from '../../../../lib/postgres/session/session.ts'
import { connectTo, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'
import { startMuteProxy } from '../../../helpers/mute-proxy.ts'
import { until } from '../../../helpers/process.ts'

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
  maxConnectionsPerPlatform: Number.POSITIVE_INFINITY,
  maxQueuePerDatabase: 250,
  poolMaxLifetimeMs: 3600_000,
  poolIdleTimeoutMs: 60_000,
  poolWaitTimeoutMs: 5000,
  connectTimeoutMs: 5000,
  statementTimeoutMs: 30_000,
}

async function withPools(
  limits: Partial<PoolLimits>,
  work: (pools: Pools) => Promise<void>,
  more: { platformOf?: PlatformOf; at?: Partial<Server> } = {},
) {
  const pools = new Pools(
    { ...server, applicationName: uniqueName('app'), ...more.at },
    { ...LIMITS, ...limits },
    more.platformOf,
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

/** The answer of a session to one statement, as texts. */
async function ask(lease: Lease, text: string): Promise<string[]> {
  const session = await lease.session
  return (await session.run({ text, values: [] }).result).rows[0]!.map(String)
}
const sessionPid = async (lease: Lease) => Number((await ask(lease, 'select pg_backend_pid()'))[0])

/** Opens a session, which is idle afterwards. */
async function openSession(pools: Pools, database: string): Promise<void> {
  const lease = await pools.leaseSession(database)
  await sessionPid(lease)
  lease.release()
}

const backendPid = async (sql: Sql) => (await sql`select pg_backend_pid() as pid`)[0]!.pid

describe('a connection that is given back', () => {
  const pidOf = async (session: Session) =>
    Number((await session.run({ text: 'select pg_backend_pid()', values: [] }).result).rows[0]![0])
  const leasePid = async (pools: Pools) => {
    const lease = await pools.leaseSession(databases[0]!)
    const pid = await pidOf(await lease.session)
    lease.release()
    return pid
  }

  test('within a transaction is not used again', async () => {
    await withPools({}, async (pools) => {
      for (const statement of ['select 1', 'select 1 / 0']) {
        const lease = await pools.leaseSession(databases[0]!)
        const session = await lease.session
        const pid = await pidOf(session)
        await session.simple(`begin; ${statement}`).catch(() => {})
        lease.release()
        expect(await leasePid(pools)).not.toBe(pid)
        await until(async () => (await openConnections(pools)).every((one) => one.pid !== pid))
      }
    })
  })

  test('after its reset is used again, with the statements that were prepared on it', async () => {
    await withPools({}, async (pools) => {
      const pid = await leasePid(pools)
      const lease = await pools.leaseSession(databases[0]!)
      const session = await lease.session
      await session.simple('prepare by_hand as select 1; listen somebody; set timezone = 7')
      lease.connection.needsReset = true
      lease.release()
      await until(() => !lease.connection.needsReset)
      const again = await pools.leaseSession(databases[0]!)
      const results = await (await again.session).simple(`
        select pg_backend_pid();
        select count(*) filter (where from_sql), count(*) filter (where not from_sql)
        from pg_prepared_statements;
        show timezone
      `)
      again.release()
      expect(results.map(({ rows }) => rows[0]!.map(String))).toEqual([
        [String(pid)],
        ['0', '1'],
        ['UTC'],
      ])
    })
  })

  test('has its statements prepared anew where a call has deallocated them', async () => {
    await withPools({}, async (pools) => {
      const pid = await leasePid(pools)
      const lease = await pools.leaseSession(databases[0]!)
      await (await lease.session).simple('deallocate all')
      lease.connection.needsReset = true
      lease.release()
      await until(() => !lease.connection.needsReset)
      expect(await leasePid(pools)).toBe(pid)
    })
  })

  test('is not used again where its session has ended, whatever error it is given back with', async () => {
    await withPools({ maxConnectionsPerPool: 1 }, async (pools) => {
      const database = databases[0]!
      const error = new GatewayError('pool_exhausted', 'No room')
      for (const told of [error, undefined]) {
        const lease = await pools.leaseSession(database)
        const session = await lease.session
        const waiting = Array.from({ length: 3 }, () => pools.leaseSession(database))
        session.destroy(error)
        lease.release(told)
        for (const next of waiting) {
          const served = await next
          expect(await ask(served, 'select 1')).toEqual(['1'])
          served.release()
        }
      }
      const lease = await pools.share(database, 0.1)
      const beside = await pools.share(database, 0.1)
      ;(await lease.session).destroy(error)
      lease.release(error)
      const next = pools.share(database, 0.1)
      beside.release(error)
      expect(await ask(await next, 'select 1')).toEqual(['1'])
    })
  })

  test('is not used again where its session cannot be reset', async () => {
    await withPools({}, async (pools) => {
      const lease = await pools.leaseSession(databases[0]!)
      const pid = await pidOf(await lease.session)
      await watcher`select pg_terminate_backend(${pid})`
      lease.connection.needsReset = true
      lease.release()
      expect(await leasePid(pools)).not.toBe(pid)
      expect(pools.status().connections).toBeLessThanOrEqual(2)
    })
  })

  test('of one kind makes room for one of the other', async () => {
    await withPools({ maxConnectionsPerPool: 2 }, async (pools) => {
      const leases = [await pools.lease(databases[0]!), await pools.lease(databases[0]!)]
      for (const lease of leases) await lease.sql`select 1`
      const waiting = pools.leaseSession(databases[0]!)
      for (const lease of leases) lease.release()
      const session = await waiting
      await pidOf(await session.session)
      expect(await pools.use(databases[0]!, backendPid)).toBeGreaterThan(0)
      session.release()
    })
  })

  test('is closed where all connections to its database are renewed', async () => {
    await withPools({}, async (pools) => {
      const busy = await pools.lease(databases[0]!)
      const idle = await pools.use(databases[0]!, backendPid)
      pools.renew(databases[0]!)
      const pid = await backendPid(busy.sql)
      busy.release()
      const seen = [await pools.use(databases[0]!, backendPid)]
      expect([pid, idle]).not.toContain(seen[0])
    })
  })
})

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

  test('that is as old as it may get is closed, but not before its call is done', async () => {
    await withPools({ poolMaxLifetimeMs: 400 }, async (pools) => {
      const pid = await pools.use(databases[0]!, async (sql) => {
        const before = await backendPid(sql)
        await sql`select pg_sleep(0.6)`
        expect(await backendPid(sql)).toBe(before)
        return before
      })
      await until(async () => (await openConnections(pools)).every((row) => row.pid !== pid))
      await pools.use(databases[0]!, (sql) => sql`select 1`)
      await until(async () => (await openConnections(pools)).length === 0)
    })
  })

  test('that quick calls share without a pause grows no older than it may', async () => {
    await withPools({ poolMaxLifetimeMs: 300 }, async (pools) => {
      const pids = new Set<number>()
      let held = await pools.share(databases[0]!, 0.1)
      await until(async () => {
        pids.add(await sessionPid(held))
        const next = pools.share(databases[0]!, 0.1)
        held.release()
        held = await next
        return pids.size >= 3
      })
      held.release()
    })
  })

  test('that died without a word while it was idle is replaced, and the caller notices nothing', async () => {
    const proxy = await startMuteProxy(server)
    await withPools(
      {},
      async (pools) => {
        const both = [pools.lease(databases[0]!), pools.lease(databases[0]!)]
        for (const lease of await Promise.all(both)) {
          await lease.sql`select 1`
          lease.release()
        }
        proxy.mute()
        await sleep(5500)
        const client = { isGone: false, onGone: undefined }
        const rows = await pools.use(databases[0]!, (sql) => sql`select 1 as one`, { client })
        expect(rows[0]).toEqual({ one: 1 })
        expect(pools.status().connections).toBe(1)
        expect(pools.report().totals).toMatchObject({ opened: 3, closed: 2 })
      },
      { at: { host: '127.0.0.1', port: proxy.port, sslMode: 'disable' } },
    )
    proxy.close()
  })

  test('that the gateway has lost is given up by PostgreSQL, too', async () => {
    await withPools({}, async (pools) => {
      const names = ['tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count']
      const set = await pools.use(
        databases[0]!,
        (sql) =>
          sql`select name from pg_settings where name in ${sql(names)} and source = 'client'`,
      )
      expect(set.map(({ name }) => name).sort()).toEqual(names.sort())
    })
  })

  test('that was idle for long and is well is used again', async () => {
    await withPools({}, async (pools) => {
      const first = await pools.leaseSession(databases[0]!)
      const pid = await sessionPid(first)
      first.release()
      await sleep(5500)
      const lease = await pools.share(databases[0]!, 0.1)
      expect(await sessionPid(lease)).toBe(pid)
      lease.release()
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

test('a connection on which nothing was asked is used again, and closed like any other', async () => {
  await withPools({ maxTotalConnections: 1 }, async (pools) => {
    ;(await pools.lease(databases[0]!)).release()
    expect(await pools.use(databases[0]!, async () => 'done')).toBe('done')
    await pools.use(databases[1]!, (sql) => sql`select 1`)
    ;(await pools.lease(databases[2]!)).release()
    await until(async () => (await openConnections(pools)).length === 1)
    expect(pools.report().totals).toMatchObject({ opened: 3, closed: 2 })
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
    const refused = expect(waiting).rejects.toThrow('did not wait')
    client.onGone?.()
    await refused
    expect(pools.status().waiting).toBe(0)
    lease.release()
  })
})
