import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../../../lib/errors.ts'
import { Pools } from '../../../../../lib/postgres/pools/pools.ts'
import type { Session } from '../../../../../lib/postgres/session/session.ts'
import { queryDatabase, uniqueName } from '../../../../helpers/gateway.ts'
import { startMuteProxy } from '../../../../helpers/mute-proxy.ts'
import { until } from '../../../../helpers/process.ts'

import {
  ask,
  backendPid,
  databases,
  LIMITS,
  openConnections,
  server,
  sessionPid,
  setUp,
  watcher,
  withPools,
} from './setup.ts'

setUp()

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

test('a query behind one that failed after some of its rows has its own rows alone', async () => {
  await withPools({ maxTotalConnections: 1 }, async (pools) => {
    const failing = pools.use(
      databases[0]!,
      (sql) => sql`select 1 / (3 - i) from generate_series(1, 3) i`,
    )
    await expect(failing).rejects.toMatchObject({ code: '22012' })
    expect(await pools.use(databases[0]!, async (sql) => [...(await sql`select 7 as n`)])).toEqual([
      { n: 7 },
    ])
    expect(pools.report().totals).toMatchObject({ opened: 1 })
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
