import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'

const platform = uniqueName('lists')
const NOWHERE = 'postgres://nobody:x@127.0.0.1:1/nowhere'

let eu1: OtherServer
let gateway: TestGateway
beforeAll(async () => {
  eu1 = await startOtherServer()
  // The server eu2 never answers.
  gateway = await startTestGateway({
    SERVERS: `eu1=${eu1.uri};eu2=${NOWHERE}`,
    SLOW_CALL_MS: '1',
  })
  const archive = await pack({
    ...textFunction('f', 'one'),
    'functions/nap.pssql': `create function nap() returns text language sql as $$ select 'x' from pg_sleep(0.02) $$`,
    'functions/doze.pssql': `create function doze() returns text language sql as $$ select 'x' from pg_sleep(30) $$`,
  })
  await gateway.register(platform, archive)
  for (const [tenant, server] of [
    ['b', 'eu1'],
    ['a', 'main'],
    ['c', 'main'],
    ['d', 'eu1'],
  ] as const) {
    await gateway.register(platform, archive, tenant, { server })
  }
  for (const tenant of ['a', 'b', 'b', undefined]) await gateway.call(platform, 'f', [], tenant)
  await gateway.call(platform, 'nap', [], 'b')
  await gateway.call(platform, 'nap', [], 'a')
})
afterAll(async () => {
  await gateway.stop()
  await eu1.remove()
})

const get = async (path: string): Promise<Json> => {
  const { status, body } = await gateway.get(path)
  expect({ status, path, body }).toMatchObject({ status: 200 })
  return body
}

/** Reads a list in pages of two. */
async function pages(path: string, field: string): Promise<Json[]> {
  const rows: Json[] = []
  let after = ''
  for (;;) {
    const page = await get(`${path}&limit=2${after}`)
    expect(page.servers_away).toEqual(['eu2'])
    rows.push(...page[field])
    if (page.next_after === null) return rows
    after = `&after=${encodeURIComponent(page.next_after)}`
  }
}

const ALL = [
  ['main', 'main'],
  ['a', 'main'],
  ['b', 'eu1'],
  ['c', 'main'],
  ['d', 'eu1'],
].map(([tenant, server]) => [`${platform}_${tenant}`, server])

describe('a list of several servers', () => {
  test('of databases is in one order, page by page', async () => {
    const rows = await pages(`/admin/databases?platform=${platform}`, 'databases')
    expect(rows.map(({ name, server }) => [name, server])).toEqual(ALL)
    expect(rows.every(({ size_bytes, pending }) => size_bytes > 0 && pending === false)).toBe(true)
  })

  test('of tenants is likewise, and narrowed to a server', async () => {
    const rows = await pages(`/admin/tenants?platform=${platform}`, 'tenants')
    expect(rows.map(({ database, server }) => [database, server])).toEqual(ALL.slice(1))
    const some = await get(`/admin/tenants?platform=${platform}&server=eu1`)
    expect(some.tenants.map(({ tenant_id }: Json) => tenant_id)).toEqual(['b', 'd'])
    expect(some).toMatchObject({ servers_away: [] })
  })

  test('has no rows of a server that is unknown or away', async () => {
    const path = `/admin/tenants?platform=${platform}&server`
    expect(await gateway.get(`${path}=eu7`)).toMatchObject({
      status: 400,
      body: { error: 'invalid_request' },
    })
    expect(await gateway.get(`${path}=eu2`)).toMatchObject({
      status: 503,
      body: { error: 'connection_failed', server: 'eu2' },
    })
  })

  test('of deployments is by time, page by page', async () => {
    const rows = await pages(`/admin/deployments?platform=${platform}`, 'deployments')
    const names = rows.map(({ database, server }) => [database, server])
    const [main, a, b, c, d] = ALL
    expect(names).toEqual([d, c, a, b, main])
    const one = await get(`/admin/deployments?platform=${platform}&tenant_id=b`)
    expect(one.deployments).toMatchObject([{ tenant_id: 'b', server: 'eu1' }])
  })

  test('of platforms adds them up', async () => {
    const { platforms, servers_away } = await get('/admin/platforms')
    expect(platforms.find(({ name }: Json) => name === platform)).toMatchObject({ databases: 5 })
    expect(servers_away).toEqual(['eu2'])
    const { databases } = await get(`/platform/${platform}/databases`)
    expect(databases.map((one: Json) => [one.database_name, one.server])).toEqual(ALL)
  })

  test('of the fleet has all databases with their states', async () => {
    const fleet = await get(`/admin/fleet?platform=${platform}`)
    expect(fleet.databases.map((one: Json) => [one.database, one.server])).toEqual(ALL)
    expect(fleet.databases.every((one: Json) => one.state === 'synced')).toBe(true)
    expect(fleet).toMatchObject({
      platforms: [{ platform, databases: 5, synced: 5, pending: 0 }],
      count: 5,
      servers: ['main', 'eu1', 'eu2'],
      servers_away: ['eu2'],
    })
  })

  test('of the usage of one tenant has what the others know, where its server is away', async () => {
    const away = uniqueName('away')
    const owner = { platform: away, tenantId: 't', schema: null }
    await gateway.gateway.servers.placements.place(owner, 'eu2')
    const one = await get(`/admin/usage?platform=${away}&tenant_id=t`)
    expect(one).toMatchObject({ usage: [], servers_away: ['eu2'] })
  })

  test('of usage adds functions up, and orders tenants together', async () => {
    const rows = await pages(`/admin/usage?platform=${platform}&order=calls&days=true`, 'usage')
    const named = rows.map(({ tenant_id, server, calls }) => [tenant_id, server, calls])
    expect(named.slice(0, 3)).toEqual([
      ['b', 'eu1', 3],
      ['a', 'main', 2],
      [null, 'main', 1],
    ])
    expect(rows[0].days).toMatchObject([{ calls: 3 }])
    const { usage } = await get(`/admin/usage?platform=${platform}&by=function&days=true`)
    const f = usage.find((one: Json) => one.function === 'f')
    expect(f).toMatchObject({ calls: 4, since_start: { calls: 4 }, days: [{ calls: 4 }] })
    expect(f.server).toBeUndefined()
  })

  test('of functions adds their durations up', async () => {
    const { functions, series } = await get(`/admin/functions?platform=${platform}`)
    const of = (name: string) => functions.find((one: Json) => one.function === name)
    expect(of('f')).toMatchObject({ calls: 4, database: null })
    expect(of('nap')).toMatchObject({ calls: 2 })
    expect(of('nap').p50_ms).toBeGreaterThan(19)
    expect(series.reduce((sum: number, { calls }: Json) => sum + calls, 0)).toBe(6)
    const apart = await get(`/admin/functions?platform=${platform}&by=tenant&function=nap`)
    const named = apart.functions.map((one: Json) => [one.tenant_id, one.server])
    expect(named.sort()).toEqual([
      ['a', 'main'],
      ['b', 'eu1'],
    ])
  })

  test('of functions has one that is first in all together, and on no server', async () => {
    const wide = uniqueName('wide')
    for (const there of gateway.gateway.servers.open()) {
      const server = gateway.gateway.servers.nameOf(there)
      // Each server has 1,100 functions that are called more often there than the one that both have.
      await there.catalog.use(
        (sql) => sql`
          insert into _db_gateway_call_minutes (at, gateway, slot, platform, function, calls, errors,
            held_ms, sum_ms, max_ms, rows, bytes, durations)
          select date_trunc('minute', now()), '${sql.unsafe(there.catalogId)}', i, ${wide},
            case when i = 0 then 'shared' else ${server} || i end, case when i = 0 then 9 else 10 end, 0,
            1, 1, 1, 1, 1, ''
          from generate_series(0, 1100) i
        `,
      )
    }
    const path = `/admin/functions?platform=${wide}&limit=1&order=`
    const [most] = (await get(`${path}calls`)).functions
    expect([most.function, most.calls]).toEqual(['shared', 18])
    const [slowest] = (await get(`${path}max_ms`)).functions
    expect(slowest.max_ms).toBe(1)
  })

  test('of slow calls is by time', async () => {
    const { slow } = await get(`/admin/slow?platform=${platform}&function=nap`)
    expect(slow.map((one: Json) => [one.tenant_id, one.server])).toEqual([
      ['a', 'main'],
      ['b', 'eu1'],
    ])
  })

  test('of sessions and pools tells their servers', async () => {
    const now = await get('/admin/activity')
    const servers = new Set(now.sessions.map(({ server }: Json) => server))
    expect(servers).toEqual(new Set(['main', 'eu1']))
    expect(now.servers).toMatchObject([
      { name: 'main', why: null, permits: { capacity: expect.any(Number) } },
      { name: 'eu1', why: null, vitals: { version: expect.any(String) } },
      { name: 'eu2', why: expect.stringContaining('eu2'), vitals: null, permits: null },
    ])
    const { pools, permits, servers: budgets } = await get('/admin/pools')
    const of = (database: string) => pools.find((one: Json) => one.database === database)
    expect(of(`${platform}_b`)).toMatchObject({ server: 'eu1' })
    expect(of(`${platform}_a`)).toMatchObject({ server: 'main' })
    const held = budgets.map((one: Json) => one.permits.held)
    expect(permits.held).toBe(held[0] + held[1])
  })

  test('of calls in flight tells their servers, and one is cancelled there', async () => {
    const call = gateway.call(platform, 'doze', [], 'b')
    const find = async () =>
      (await get('/admin/activity')).calls.find((one: Json) => one.function === 'doze')
    await expect.poll(find, { timeout: 10_000 }).toMatchObject({ phase: 'running', server: 'eu1' })
    const { body } = await gateway.post('/admin/cancel-call', { id: (await find()).id })
    expect(body).toMatchObject({ cancelled: true, function: 'doze' })
    expect((await call).body.error).toBe('call_cancelled')
  })

  test('gives up a server that hangs within 2 s', async () => {
    eu1.freeze()
    const started = performance.now()
    const { tenants, servers_away } = await get(`/admin/tenants?platform=${platform}`)
    // Some time more than 2 s, for a machine that does other work.
    expect(performance.now() - started).toBeLessThan(6000)
    expect(servers_away).toEqual(['eu1', 'eu2'])
    expect(tenants.map(({ tenant_id }: Json) => tenant_id)).toEqual(['a', 'c'])
    eu1.thaw()
    await expect
      .poll(async () => (await get(`/admin/tenants?platform=${platform}`)).servers_away, {
        timeout: 10_000,
      })
      .toEqual(['eu2'])
  })
})
