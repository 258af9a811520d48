import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DeadRoute, startDeadRoute } from '../helpers/dead-route.ts'
import {
  type Answer,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'

/** 2 s, and some more for a machine that does other work. */
const SOON_MS = 3500

const platform = uniqueName('away')
const far = ['f1', 'f2', 'f3', 'f4', 'f5']
let main: OtherServer
let eu1: OtherServer
let route: DeadRoute
let gateway: TestGateway
let version = 0
const next = () => pack(textFunction('f', `${++version}`))
beforeAll(async () => {
  const full = { max_connections: '40' }
  ;[main, eu1] = await Promise.all([startOtherServer(), startOtherServer(full)])
  route = await startDeadRoute(`${eu1.socketFolder}/.s.PGSQL.5432`)
  const byTcp = eu1.uri
    .replace('@/', `@127.0.0.1:${route.port}/`)
    .replace(/host=[^&]*&port=\d+/, 'sslmode=disable')
  gateway = await startTestGateway({
    DATABASE_URL: main.uri,
    SERVERS: `eu1=${byTcp}`,
    PLACEMENT: 'databases',
  })
  const archive = await next()
  await gateway.register(platform, archive, undefined, { server: 'main' })
  await gateway.register(platform, archive, 'near', { server: 'main' })
  for (const tenant of far) await gateway.register(platform, archive, tenant, { server: 'eu1' })
})
afterAll(async () => {
  await gateway.stop()
  route.stop()
  await Promise.all([main.remove(), eu1.remove()])
})

const farDatabases = far.map((tenant) => `${platform}_${tenant}`)
const databasesOf = (list: Json[]) => list.map(({ database }) => database)
const call = (tenant: string, name = 'f') => gateway.call(platform, name, [], tenant)
/** The answer, which comes soon. */
async function soon(asked: Promise<Answer>): Promise<Answer> {
  const began = performance.now()
  const answer = await asked
  expect(performance.now() - began, JSON.stringify(answer.body).slice(0, 300)).toBeLessThan(SOON_MS)
  return answer
}
const get = async (path: string) => (await soon(gateway.get(path))).body
const away = { status: 503, body: { error: 'connection_failed' } }
const isBack = (tenant: string) =>
  expect.poll(async () => (await call(tenant)).status, { timeout: 20_000 }).toBe(200)

/** Sessions of others, which take all connections that there are. */
const others: postgres.Sql[] = []
async function takeAll(): Promise<void> {
  const password = await eu1.password()
  const options = { port: 5432, user: 'postgres', password, database: 'postgres', max: 1 }
  // Sessions that the gateway has just closed end a little later, and leave room again.
  for (let refused = 0; refused < 5; ) {
    const sql = postgres({ ...options, host: eu1.socketFolder })
    others.push(sql)
    if (await sql`select 1`.catch(() => undefined)) refused = 0
    else {
      refused++
      await sleep(100)
    }
  }
}
async function giveAll(): Promise<void> {
  await Promise.all(others.splice(0).map((sql) => sql.end({ timeout: 0 })))
}

const LISTS = ['fleet', 'tenants', 'databases', 'usage', 'functions', 'slow', 'deployments']

const KINDS: [string, strike: () => unknown, heal: () => unknown][] = [
  ['frozen', () => eu1.freeze(), () => eu1.thaw()],
  ['behind a route that is dead', () => route.die(), () => route.heal()],
  ['stopped', () => eu1.stop(), () => eu1.start()],
]

describe.each(KINDS)('a server that is %s', (_, strike, heal) => {
  test('costs its own tenants alone, and these no more than 2 s', async () => {
    for (const tenant of ['near', ...far]) await isBack(tenant)
    await strike()
    try {
      // Calls that run and calls that begin, with a session and without one; the others beside them.
      const asked = [...far, ...far, ...far, ...far].map((tenant) => soon(call(tenant)))
      let isOver = false
      const beside = (async () => {
        while (!isOver) expect((await soon(call('near'))).body.rows).toHaveLength(1)
      })()
      for (const answer of await Promise.all(asked)) expect(answer).toMatchObject(away)
      isOver = true
      await beside
      expect(await soon(call('f1'))).toMatchObject(away)

      for (const list of LISTS) {
        expect(await get(`/admin/${list}?platform=${platform}`), list).toMatchObject({
          servers_away: ['eu1'],
        })
      }
      const ofOne = await get(`/admin/usage?platform=${platform}&tenant_id=f1`)
      expect(ofOne).toMatchObject({ usage: [], servers_away: ['eu1'] })
      const { servers, status } = await get('/health')
      expect([status, ...servers.map((one: Json) => one.connected)]).toEqual([
        'healthy',
        true,
        false,
      ])
      expect((await soon(gateway.get('/ready'))).status).toBe(200)
      const { unreachable } = await get(`/admin/drift?platform=${platform}`)
      expect(databasesOf(unreachable)).toEqual(expect.arrayContaining(farDatabases))
      await get(`/admin/archives?platform=${platform}`)
      await get('/admin/activity')
      const up = async () =>
        (await (await fetch(`${gateway.url}/metrics`)).text()).match(/_up\{.*/g)
      await expect.poll(up, { timeout: 20_000 }).toContain('_up{server="eu1"} 0')

      const { status: code, body } = await soon(gateway.migrate(platform, await next()))
      expect([code, body.error]).toEqual([503, 'connection_failed'])
      expect(databasesOf(body.failed)).toEqual(expect.arrayContaining(farDatabases))
      expect(body.databases_updated).toEqual([`${platform}_main`, `${platform}_near`])
      expect((await soon(call('near'))).body.rows).toEqual([{ f: `${version}` }])
      expect(await soon(gateway.migrate(platform, await next(), 'f1'))).toMatchObject(away)
      expect(await soon(gateway.register(platform, await next(), 'f2'))).toMatchObject(away)
      // What is not there is made on the other.
      const made = uniqueName('made')
      const registered = await soon(gateway.register(platform, await next(), made))
      expect(registered).toMatchObject({ status: 200, body: { server: 'main' } })
      const tenant = { platform, tenant_id: uniqueName('new'), server: 'eu1' }
      const created = await soon(gateway.post('/admin/create-tenant', tenant))
      expect(created).toMatchObject({ ...away, body: { server: 'eu1' } })
      const held = { platform, tenant_id: 'f1' }
      expect(await soon(gateway.post('/admin/suspend-tenant', held))).toMatchObject(away)
      const plan = await soon(gateway.post('/admin/rebalance', { by: 'databases' }))
      expect(plan.body.servers_away).toEqual(['eu1'])
      const { body: dropped } = await gateway.post('/admin/drop-tenant', {
        platform,
        tenant_id: made,
        confirm: `${platform}_${made}`,
        dump: false,
      })
      expect(dropped.error).toBeUndefined()
    } finally {
      await heal()
    }
    for (const tenant of far) await isBack(tenant)
    expect(gateway.logged.filter(({ level, stack }) => level === 'error' && stack)).toEqual([])
  })
})

describe('a server whose connections are all in use', () => {
  test('serves those who have one; a deploy to all does not wait for each of its databases', async () => {
    for (const tenant of far) await isBack(tenant)
    const { listener, pools } = gateway.gateway.servers.named('eu1')
    const listens = () =>
      listener
        .use((sql) => sql`select 1`)
        .then(
          () => true,
          () => false,
        )
    await expect.poll(listens, { timeout: 20_000 }).toBe(true)
    for (const database of farDatabases.slice(1)) pools.renew(database)
    await takeAll()
    try {
      expect((await soon(call('f1'))).status).toBe(200)
      const refused = await soon(call('f2'))
      expect(refused).toMatchObject({ ...away, body: { may_have_run: false } })
      expect(await get(`/admin/tenants?platform=${platform}`)).toMatchObject({ servers_away: [] })
      const began = performance.now()
      const { status, body } = await gateway.migrate(platform, await next())
      expect([status, body.error]).toEqual([503, 'connection_failed'])
      expect(body.databases_updated).toEqual([`${platform}_main`, `${platform}_near`])
      // Each of the five would take 5 s.
      expect(performance.now() - began).toBeLessThan(15_000)
      const registered = await gateway.register(platform, await next(), 'f2')
      expect(registered).toMatchObject({ ...away, body: { server: 'eu1' } })
    } finally {
      await giveAll()
    }
    await isBack('f2')
  })
})

test('a database at its own CONNECTION LIMIT keeps no other one of its server from being deployed to', async () => {
  for (const tenant of ['near', ...far]) await isBack(tenant)
  const password = await eu1.password()
  const sql = postgres({ host: eu1.socketFolder, port: 5432, user: 'postgres', password, max: 1 })
  const limit = (most: number) =>
    sql.unsafe(`alter database ${platform}_f1 connection limit ${most}`)
  await limit(0)
  try {
    gateway.gateway.servers.named('eu1').pools.renew(`${platform}_f1`)
    const { body } = await gateway.migrate(platform, await next())
    const failed = farDatabases[0]
    expect(databasesOf(body.failed)).toEqual([failed])
    expect(body.databases_updated).toEqual(expect.arrayContaining(farDatabases.slice(1)))
  } finally {
    await limit(-1)
    await sql.end()
  }
})

describe('main that is frozen', () => {
  test('costs the tenants of others nothing, and no list more than 2 s', async () => {
    for (const tenant of ['near', ...far]) await isBack(tenant)
    main.freeze()
    try {
      const asked = soon(call('near'))
      for (let i = 0; i < 20; i++) expect((await soon(call('f1'))).status).toBe(200)
      expect(await asked).toMatchObject(away)
      for (const list of LISTS.slice(0, 3)) {
        expect(await get(`/admin/${list}?platform=${platform}`), list).toMatchObject({
          servers_away: ['main'],
        })
      }
      expect((await soon(gateway.get('/health'))).status).toBe(503)
      expect((await soon(gateway.get('/ready'))).status).toBe(200)
      expect((await soon(call('f2'))).status).toBe(200)
      expect(await soon(gateway.register(platform, await next(), 'f1'))).toMatchObject(away)
    } finally {
      main.thaw()
    }
    await isBack('near')
  })
})

test('a call that runs for long is none of a server that is silent', async () => {
  const nap = `create or replace function nap() returns text language sql
    as $$ select 'slept' from pg_sleep(4) $$;`
  await gateway.register(platform, await pack({ 'functions/nap.pssql': nap }), 'f1')
  expect((await call('f1', 'nap')).body.rows).toEqual([{ nap: 'slept' }])
}, 60_000)
