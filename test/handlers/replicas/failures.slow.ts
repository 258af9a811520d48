import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { afterTest } from '../../helpers/after-test.ts'
import { startTestGateway } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'
import { eventually, startProcess } from '../../helpers/process.ts'
import { startReplication } from '../../helpers/replication.ts'
import { newClient, workersOf } from '../../helpers/workers.ts'

import {
  caughtUp,
  FILES,
  pair,
  ranOnReplica,
  setUp,
  sleepers,
  start,
  startForTest,
  startWith,
  used,
  where,
} from './setup.ts'

setUp()

describe('when the replica stops', () => {
  test('no call fails, and when it is back it is used again', async () => {
    const gateway = await startForTest()
    // It finds out that functions were made by hand, and uses no replica until that has them.
    await gateway.call('clinic', 'stable')
    await eventually(
      'it is known',
      async () => !gateway.gateway.calls.functions.isDue('clinic_main'),
    )
    // What it has read then may be written down after that, and the sessions be renewed.
    await sleep(2000)
    await eventually('the replica is used', () => ranOnReplica(gateway.call('clinic', 'stable')))
    const seen: boolean[] = []
    let isOver = false
    const load = Array.from({ length: 10 }, async () => {
      while (!isOver) seen.push(await ranOnReplica(gateway.call('clinic', 'stable')))
    })
    const settled = Promise.all(load)
    await eventually('the load has begun', () => seen.length > 100)
    // One that waits for longer behind another runs elsewhere: on a busy machine some do.
    expect(seen.filter((isOnReplica) => isOnReplica).length).toBeGreaterThan(seen.length / 2)

    await pair.standby.stop()
    await used(gateway, false)
    seen.length = 0
    await eventually('calls go on', () => seen.length > 100)
    expect(seen).not.toContain(true)
    expect((await gateway.get('/health')).body.replicas[0].lag_ms).toBeNull()
    // Calls find out before the gateway asks it, which is when that is told.
    await eventually('it is told', () =>
      gateway.logged.some(
        ({ level, message }) => level === 'warn' && message.startsWith('Replica '),
      ),
    )

    await pair.standby.start()
    await used(gateway)
    seen.length = 0
    await eventually('the replica is used', () => seen.includes(true))
    isOver = true
    await settled

    const told = gateway.logged.filter(({ message }) => message.startsWith('Replica '))
    expect(told.map(({ level }) => level)).toEqual(['info', 'warn', 'info'])
    expect(told[1].message).toMatch(/gets no calls: it does not answer \(.+\)$/)
    const { password } = gateway.gateway.config.readServers[0]!
    expect(JSON.stringify(gateway.logged)).not.toContain(password)
  })

  test('the gateway starts without it', async () => {
    await pair.standby.stop()
    const gateway = await startWith({ DATABASE_READ_URLS: await pair.standby.url('replica') })
    afterTest(() => gateway.stop())
    await gateway.register('clinic', await pack(FILES))
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)

    await pair.standby.start()
    await used(gateway)
    // The replica may yet lack what was registered while it was away.
    await eventually('a call runs on it', () => ranOnReplica(gateway.call('clinic', 'stable')))
  })
})

describe('when the replica is silent for a while', () => {
  test('workers divide the connections to it as before', async () => {
    const gateway = await startProcess({
      DATABASE_URL: await pair.primary.url('gateway'),
      DATABASE_READ_URLS: await pair.standby.url('workers'),
      DATABASE_READ_MAX_LAG_SECS: '60',
      CONNECT_TIMEOUT_SECS: '1',
      WORKERS: '2',
      MAX_TOTAL_CONNECTIONS: '12',
      MAX_CONNECTIONS_PER_POOL: '80',
      TEMPLATES: 'off',
    })
    const url = await gateway.url()
    await gateway.register('naps', {
      ...where('nap', 'stable', 'perform pg_sleep(0.3);'),
      ...where('doze', 'stable', 'perform pg_sleep(3);'),
    })
    await caughtUp()
    const reads = async () => {
      let isOver = false
      const clients = Array.from({ length: 40 }, () => newClient(url))
      const answers = Promise.all(clients.map((client) => client.call('naps', 'nap')))
      const most = (async () => {
        let found = 0
        while (!isOver) found = Math.max(found, await sleepers())
        return found
      })()
      for (const { status } of await answers) expect(status).toBe(200)
      isOver = true
      return most
    }
    const isUsable = async () => (await newClient(url).send('/health')).body.replicas[0].usable
    await eventually('reads run on the replica', async () => (await reads()) > 6)
    pair.standby.freeze()
    await eventually('it is out of use', async () => !(await isUsable()))
    await sleep(1500)
    pair.standby.thaw()
    await eventually('it is in use', isUsable)
    await eventually('reads run on it as before', async () => (await reads()) > 6, 10_000)
    expect(await reads()).toBeLessThanOrEqual(12)

    // Those of a worker that was killed go on, and count.
    const long = Array.from({ length: 12 }, () => newClient(url).call('naps', 'doze'))
    const outcomes = Promise.allSettled(long)
    await eventually('they run', async () => (await sleepers()) > 8)
    process.kill((await workersOf(gateway, 2))[0].pid, 'SIGKILL')
    const before = performance.now()
    let most = 0
    while (performance.now() < before + 2000) most = Math.max(most, await reads())
    expect(most).toBeLessThanOrEqual(12)
    await outcomes
    await eventually('all can be used again', async () => (await reads()) === 11)
  })
})

describe('when the primary stops', () => {
  test('what only reads goes on, as long as the replica is known to be current', async () => {
    const gateway = await startForTest({ DATABASE_READ_MAX_LAG_SECS: '4' })
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    await pair.primary.stop()
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    await used(gateway, false)
    expect(await gateway.call('clinic', 'stable')).toMatchObject({
      status: 503,
      body: { error: 'connection_failed' },
    })

    await pair.primary.start()
    await used(gateway)
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
  })
})

describe('when the gateway stops', () => {
  test('it leaves no connection on the replica', async () => {
    const gateway = await start({ DATABASE_READ_URLS: await pair.standby.url('leaving') })
    await gateway.register('clinic', await pack(FILES))
    await gateway.call('clinic', 'stable')
    await gateway.stop()
    await eventually('they are gone', async () => {
      const rows = await pair.standby.query(
        `select from pg_stat_activity where application_name = 'leaving'`,
      )
      return rows.length === 0
    })
  })
})

// The last: there is no replica any more.
describe('a replica that is promoted', () => {
  test('gets no calls', async () => {
    const gateway = await startForTest()
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(true)
    await pair.standby.query('select pg_promote()')
    await used(gateway, false)
    await pair.standby.query(
      `create or replace function stable() returns boolean language sql stable
      as $$ select true $$`,
      'clinic_main',
    )
    expect(await ranOnReplica(gateway.call('clinic', 'stable'))).toBe(false)
    const told = gateway.logged.filter(({ message }) => message.startsWith('Replica '))
    expect(told.map(({ level }) => level)).toEqual(['info', 'warn'])
  })
})

describe('a replica on another timeline than the primary', () => {
  test('gets no calls, however much it has replayed', async () => {
    const servers = await startReplication()
    afterTest(() => servers.end())
    const { primary, standby } = servers
    await standby.query('select pg_promote()')
    await eventually('it is promoted', async () => {
      const [row] = await standby.query('select not pg_is_in_recovery() as is_primary')
      return row.is_primary
    })
    // What is only here: it is further than the new primary.
    await primary.query('create table lost as select i from generate_series(1, 100000) i')
    await primary.stop()
    await primary.demote()
    await primary.start()

    const gateway = await startTestGateway({
      DATABASE_URL: await standby.url('gateway'),
      DATABASE_READ_URLS: await primary.url('replica'),
      DATABASE_READ_MAX_LAG_SECS: '60',
    })
    afterTest(() => gateway.stop())
    const line = await eventually('the log tells of it', () =>
      gateway.logged.find(({ message }) => message.startsWith('Replica ')),
    )
    expect(line.message).toMatch(/gets no calls: it is on timeline 1, and the primary is on 2$/)
    expect((await gateway.get('/health')).body.replicas[0].usable).toBe(false)
  })
})
