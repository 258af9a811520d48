import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { capacityBecomes, capacityOf } from '../helpers/capacity.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually, startProcess } from '../helpers/process.ts'

const CAP = 20
const FILES: Files = {
  'functions/nap.pssql': `
    create or replace function nap(seconds float8) returns void language sql
    as $$ select pg_sleep(seconds) $$;`,
}

let url: string
let admin: string
let name: string
beforeEach(async () => {
  const adminUrl = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(adminUrl))
  admin = parseDatabaseUrl(adminUrl).database
  name = uniqueName('gateways')
  url = `${adminUrl}${adminUrl.includes('?') ? '&' : '?'}application_name=${name}`
})

async function start(settings: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startTestGateway({
    DATABASE_URL: url,
    MAX_TOTAL_CONNECTIONS: `${CAP}`,
    MAX_CONNECTIONS_PER_POOL: `${CAP}`,
    POOL_WAIT_TIMEOUT_SECS: '60',
    ...settings,
  })
  let isStopped = false
  const stop = async () => {
    if (!isStopped) await gateway.stop()
    isStopped = true
  }
  afterTest(stop)
  return { ...gateway, stop }
}

/** The shares of the gateways that this one knows of, its own first. */
async function sharesOf(gateway: TestGateway): Promise<number[]> {
  const { gateways } = (await gateway.get('/admin/pools')).body
  const own = gateways.filter((one: Json) => one.self)
  const others = gateways.filter((one: Json) => !one.self)
  return [...own, ...others].map((one: Json) => one.share)
}

/** Counts the connections of all gateways of this test, again and again, as PostgreSQL sees them. */
function watchConnections() {
  const sql = connectTo(admin)
  let now = 0
  let most = 0
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      const [row] = await sql`
        select count(*)::integer as n from pg_stat_activity where application_name = ${name}
      `
      now = row!.n
      most = Math.max(most, now)
      await sleep(10)
    }
    await sql.end()
  })()
  const stop = () => {
    isOver = true
    return watching
  }
  afterTest(stop)
  return {
    now: () => now,
    /** The most at once since this was asked last. */
    most: () => {
      const result = most
      most = now
      return result
    },
  }
}

/** Calls that want more connections than there are, until it is told to stop. */
function load(gateway: TestGateway, platform: string, seconds: number, callers = 2 * CAP) {
  const statuses = new Map<number, number>()
  let isOver = false
  const caller = async () => {
    while (!isOver) {
      const { status } = await gateway.call(platform, 'nap', [seconds])
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
  }
  const running = Promise.all(Array.from({ length: callers }, caller))
  const stop = async () => {
    isOver = true
    await running
    return Object.fromEntries(statuses)
  }
  afterTest(stop)
  return stop
}

describe('two gateways on one PostgreSQL', () => {
  test('share MAX_TOTAL_CONNECTIONS, and never have more together, but for the one with which a new one begins', async () => {
    const first = await start()
    const platform = uniqueName('p')
    await first.register(platform, await pack(FILES))
    const watch = watchConnections()
    const stopFirst = load(first, platform, 1.5)
    await eventually('the first one uses all', () => watch.now() === CAP)
    expect(watch.most(), 'with the first one alone').toBe(CAP)

    const second = await start()
    const stopSecond = load(second, platform, 0.1)
    await capacityBecomes(first, CAP / 2)
    await capacityBecomes(second, CAP / 2)
    await eventually('the shares are told', async () => {
      return (await sharesOf(first)).every((share) => share === CAP / 2)
    })
    await eventually('together they use all', () => watch.now() === CAP)
    expect(watch.most(), 'while the second one came').toBeLessThanOrEqual(CAP + 1)
    await sleep(1000)
    expect(watch.most(), 'with both under load').toBe(CAP)
    expect((await second.get('/health')).body.gateways).toBe(2)

    await stopSecond()
    await second.stop()
    await eventually('the first one uses all again', () => watch.now() === CAP, 4000)
    expect(watch.most(), 'when the second one had gone').toBeLessThanOrEqual(CAP)
    expect(Object.keys(await stopFirst())).toEqual(['200'])
    expect((await first.get('/health')).body.gateways).toBe(1)
  })

  test('are listed with host, start and last heartbeat', async () => {
    const [first, second] = [await start(), await start()]
    await capacityBecomes(first, CAP / 2)

    const { gateways } = (await second.get('/admin/pools')).body

    expect(gateways).toHaveLength(2)
    for (const one of gateways) {
      expect(one).toEqual({
        id: expect.stringMatching(/^[\da-f-]{36}$/),
        host: expect.any(String),
        pid: process.pid,
        started_at: expect.stringMatching(/^\d{4}-/),
        last_heartbeat_at: expect.stringMatching(/^\d{4}-/),
        share: expect.any(Number),
        self: expect.any(Boolean),
      })
    }
    expect(gateways.filter((one: Json) => one.self)).toHaveLength(1)
    expect((await second.get('/metrics')).body).toContain('db_gateway_gateways 2\n')
  })

  test('with different caps share the smaller one', async () => {
    const first = await start()
    const second = await start({ MAX_TOTAL_CONNECTIONS: '10' })

    await capacityBecomes(first, 5)
    await capacityBecomes(second, 5)
  })

  test('have four at least each, and say so where that is more than the cap', async () => {
    const first = await start({ MAX_TOTAL_CONNECTIONS: '4' })
    const second = await start({ MAX_TOTAL_CONNECTIONS: '4' })

    expect(await capacityOf(first)).toBe(4)
    expect(await capacityOf(second)).toBe(4)
    expect(second.logged.map(({ message }) => message)).toContain(
      'MAX_TOTAL_CONNECTIONS of 4 is too small for 2 gateways: each takes 4 connections, and together they exceed it',
    )
  })
})

describe('a gateway', () => {
  const startOther = () =>
    startProcess({
      DATABASE_URL: url,
      MAX_TOTAL_CONNECTIONS: `${CAP}`,
      MAX_CONNECTIONS_PER_POOL: `${CAP}`,
    })

  test('that is killed gives its share back with its next heartbeat', async () => {
    const gateway = await start()
    const other = await startOther()
    await other.url()
    await capacityBecomes(gateway, CAP / 2)

    other.kill('SIGKILL')

    await capacityBecomes(gateway, CAP, 15_000)
  })

  test('that is started again after a kill has all connections at once', async () => {
    const killed = await startOther()
    await killed.url()
    killed.kill('SIGKILL')
    await killed.exit

    const gateway = await start()

    expect(await capacityOf(gateway)).toBe(CAP)
  })

  test('whose session that listens is ended opens another one and keeps its share', async () => {
    const gateway = await start()
    const other = await start()
    await capacityBecomes(gateway, CAP / 2)
    const pids = await listeners()

    await endListeners()

    await eventually('both listen again', async () => {
      const now = await listeners()
      return now.length === 2 && now.every((pid) => !pids.includes(pid))
    })
    await capacityBecomes(gateway, CAP / 2)
    await capacityBecomes(other, CAP / 2)
  })
})

/** The sessions of the gateways that listen. */
async function listeners(): Promise<number[]> {
  const rows = await queryDatabase(
    admin,
    `select pid from pg_locks
     where locktype = 'advisory' and classid = 1684170615 and objid <> 0 and granted
       and database = (select oid from pg_database where datname = current_database())`,
  )
  return rows.map(({ pid }) => pid)
}

async function endListeners(): Promise<void> {
  for (const pid of await listeners()) {
    await queryDatabase(admin, `select pg_terminate_backend(${pid})`)
  }
}

describe('what another gateway changes', () => {
  let gateway: TestGateway
  let other: TestGateway
  let platform: string
  beforeEach(async () => {
    gateway = await start()
    other = await start()
    platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('greet', 'hello')))
    for (const one of [gateway, other]) await one.call(platform, 'greet')
  })

  const isKnown = () =>
    other.gateway.calls.functions.peek(`${platform}_main`, 'greet') !== undefined

  test('by a deploy is forgotten as soon as it is done', async () => {
    expect(isKnown()).toBe(true)

    await gateway.register(platform, await pack(textFunction('greet', 'hi')))

    await eventually('the signature is forgotten', () => !isKnown())
    expect((await other.call(platform, 'greet')).body.rows).toEqual([{ greet: 'hi' }])
  })

  test('in the catalog is seen, by hand too', async () => {
    const counted = async () =>
      (await other.get('/admin/pools')).body.pools.map((pool: Json) => pool.database)
    expect(await counted()).toContain(`${platform}_main`)
    await queryDatabase(admin, 'delete from _db_gateway_databases')

    await eventually('the database is unknown', async () => {
      return (await other.call(platform, 'greet')).body.error === 'database_not_found'
    })
    expect(await counted()).not.toContain(`${platform}_main`)
    await gateway.register(platform, await pack(textFunction('greet', 'hello')))
    await eventually('it is known', async () => {
      return (await other.call(platform, 'greet')).status === 200
    })
  })

  test('while it does not hear anything is seen when it hears again', async () => {
    await queryDatabase(
      admin,
      `alter table _db_gateway_databases disable trigger _db_gateway_notify;
       delete from _db_gateway_databases;
       alter table _db_gateway_databases enable trigger _db_gateway_notify;`,
    )
    expect((await other.call(platform, 'greet')).status).toBe(200)

    await endListeners()

    await eventually('the database is unknown', async () => {
      return (await other.call(platform, 'greet')).body.error === 'database_not_found'
    })
    expect(isKnown()).toBe(false)
  })

  test('may be something else: other notifications do no harm', async () => {
    for (const payload of ['', 'null', '{"database": 1}', 'gateways']) {
      await queryDatabase(admin, `select pg_notify('_db_gateway', '${payload}')`)
    }
    expect((await other.call(platform, 'greet')).status).toBe(200)
  })
})
