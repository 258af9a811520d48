import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkMovable } from '../../lib/deploy/relocate/check.ts'
import { copyCatalogRows } from '../../lib/deploy/relocate/rows.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { cliOutput } from '../helpers/cli.ts'
import { findTools } from '../helpers/dumps.ts'
import {
  type Answer,
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'

const hasTools = (await findTools()) !== undefined

const FILES = {
  'types/span.pssql': 'create type span as range (subtype = integer)',
  'tables/counter.pssql': 'create table counter (id serial primary key, by text not null)',
  'functions/bump.pssql': `create or replace function bump(p_by text) returns integer language sql
    as $$ insert into counter (by) values (p_by) returning id $$`,
  'functions/total.pssql': `create or replace function total() returns integer language sql stable
    as $$ select count(*)::integer from counter $$`,
  'functions/slow.pssql': `create or replace function slow() returns text language sql
    as $$ select pg_sleep(0.4)::text; insert into counter (by) values ('slow') returning by $$`,
}

const platform = uniqueName('move')
const tenant = { platform, tenant_id: 'north' }
const name = `${platform}_north`
let eu1: AlikeServer
let home: string
let gateway: TestGateway
let other: TestGateway
beforeAll(async () => {
  eu1 = await startAlikeServer()
  home = await createAdminDatabase()
  const env = { DATABASE_URL: home, SERVERS: `eu1=${eu1.uri}` }
  gateway = await startTestGateway(env)
  other = await startTestGateway(env)
  const archive = await pack(FILES)
  await gateway.register(platform, archive)
  await gateway.register(platform, archive, 'north')
})
afterAll(async () => {
  await other.stop()
  await gateway.stop()
  await dropAdminDatabase(home)
  await eu1.remove()
})

const total = async (at = gateway) =>
  (await at.call(platform, 'total', [], 'north')).body.rows?.[0]?.total

/** Moves again while sessions have not ended in time: the machine may be busy. */
async function move(to: string, which: object = tenant): Promise<Answer> {
  for (;;) {
    const answer = await gateway.post('/admin/move-tenant', { ...which, to })
    if (!answer.body.sessions) return answer
  }
}

const databasesOfMain = async () =>
  (await gateway.query(gateway.server.database, 'select datname from pg_database')).map(
    ({ datname }) => datname,
  )

test('a server that is not in SERVERS is refused', async () => {
  expect(await move('eu7')).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  expect(await move('main')).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  expect((await gateway.post('/admin/move-tenant', { ...tenant, stop: true })).status).toBe(404)
})

test('logical replication is refused where the servers do not permit it', async () => {
  const more = { ...tenant, how: 'replicate' }
  const refused = await move('eu1', more)
  expect(refused).toMatchObject({ status: 409, body: { error: 'move_refused' } })
  expect(refused.body.message).toContain('wal_level of the server main is replica')
  expect(refused.body.message).toContain('role of the gateway on the server main may not replicate')
  expect(refused.body.message).toContain('role of the gateway on the server eu1 may not subscribe')
  expect(await move('eu1', { ...tenant, how: 'copy' })).toMatchObject({ status: 400 })
})

const tenants = (...args: string[]) => {
  const env = { GATEWAY_URL: gateway.url, GATEWAY_PLATFORM: platform }
  return cliOutput(['tenants', ...args], { env })
}

test('the command line takes how often replication tries', async () => {
  const args = ['move', 'north', '--to', 'eu1', '--how', 'replicate', '--tries', '0']
  await expect(tenants(...args)).rejects.toThrow('tries must be')
})

test('a plan evens the servers out, and moves nothing', async () => {
  const table = await tenants('rebalance', '--by', 'databases')
  expect(table).toMatch(new RegExp(`^database +from +to +size\\n${name} +main +eu1 +\\d+ MB\\n$`))
  const { body } = await gateway.post('/admin/rebalance', { by: 'databases' })
  expect(body).toMatchObject({ status: 'dry_run', count: 1, servers_away: [] })
  expect(body.moves).toMatchObject([{ database: name, from: 'main', to: 'eu1' }])
  expect(body.before.map(({ databases }: Json) => databases)).toEqual([2, 0])
  expect(body.after.map(({ databases }: Json) => databases)).toEqual([1, 1])
  expect(await eu1.databases()).not.toContain(name)
  for (const wrong of [{ dry_run: false }, { by: 'size' }, { servers: ['main', 'eu7'] }])
    expect((await gateway.post('/admin/rebalance', wrong)).status).toBe(400)
})

describe.runIf(hasTools)('a tenant that is moved to another server', () => {
  let kept = ''

  test('has its rows there, and what the catalog has of it', async () => {
    const key = { 'idempotency-key': 'k1' }
    const body = { ...tenant, function: 'bump', params: ['before'] }
    await gateway.post('/call', body, key)
    await gateway.post('/admin/label-tenant', { ...tenant, labels: { plan: 'pro' } })
    await gateway.post('/admin/tenants', { ...tenant, limits: { calls_per_second: 900 } })
    await gateway.query(
      name,
      `comment on database ${name} is 'it''s'; alter database ${name} connection limit 90`,
    )
    // Calls that run end before, and those that come meanwhile wait.
    const slow = other.call(platform, 'slow', [], 'north')
    const moving = move('eu1')
    const during = Array.from({ length: 4 }, (_, i) =>
      (i % 2 ? gateway : other).call(platform, 'bump', [`during ${i}`], 'north'),
    )
    const answer = await moving
    expect(answer.body).toMatchObject({ status: 'moved', database: name, from: 'main', to: 'eu1' })
    kept = answer.body.kept
    for (const { status } of await Promise.all([slow, ...during])) expect(status).toBe(200)
    expect(await total()).toBe(6)
    expect(await total(other)).toBe(6)
    expect(await eu1.databases()).toContain(name)
    const [own] = await eu1.query(
      `select datconnlimit as most, shobj_description(oid, 'pg_database') as comment
       from pg_database where datname = '${name}'`,
    )
    expect(own).toEqual({ most: 90, comment: "it's" })
    const { catalog } = gateway.gateway.servers.named('eu1')
    const rows = await catalog.use(
      (sql) => sql`select labels, limits from _db_gateway_databases where database = ${name}`,
    )
    expect(rows[0]!.labels).toEqual({ plan: 'pro' })
    expect(JSON.stringify(rows[0]!.limits)).toContain('900')
    const again = await gateway.post('/call', body, key)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(await total()).toBe(6)
    const next = await other.call(platform, 'bump', ['after'], 'north')
    expect(next.body.rows).toEqual([{ bump: 7 }])
  })

  test('leaves its former database, which nothing reaches, until it is dropped', async () => {
    expect(await databasesOfMain()).toContain(kept)
    expect(await databasesOfMain()).not.toContain(name)
    const former = async () => (await gateway.get(`/admin/fleet?platform=${platform}`)).body.former
    const left = { database: name, tenant_id: 'north', kept, server: 'main', moved_to: 'eu1' }
    const moved_at = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/)
    expect(await former()).toMatchObject([{ ...left, moved_at }])
    const back = await move('main')
    expect(back).toMatchObject({ status: 409, body: { error: 'name_conflict', server: 'main' } })
    const drop = { ...tenant, confirm: name, server: 'main' }
    const wrong = await gateway.post('/admin/drop-tenant', { ...drop, server: 'eu1' })
    expect(wrong.status).toBe(404)
    expect((await gateway.post('/admin/drop-tenant', drop)).body.status).toBe('dropped')
    expect(await databasesOfMain()).not.toContain(kept)
    expect(await former()).toEqual([])
    expect(await total()).toBe(7)
    await eu1.query('revoke execute on function pg_sleep(float8) from public', name)
    const taken = await move('main')
    expect(taken).toMatchObject({ status: 409, body: { error: 'move_refused' } })
    expect(taken.body.message).toContain('(function pg_sleep(double precision))')
    await eu1.query('grant execute on function pg_sleep(float8) to public', name)
    await eu1.query('grant select (rolname) on pg_authid to public', name)
    expect((await move('main')).body.message).toContain('(column rolname of table pg_authid)')
    await eu1.query('revoke select (rolname) on pg_authid from public', name)
    const session = connectTo(name, 1, eu1.uri)
    afterTest(() => session.end())
    const north = { platform, tenantId: 'north', schema: null }
    await checkMovable(session, north, `gw_${platform}`, 'template0')
  })

  test('stays where it is if the other server does not take it', async () => {
    await gateway.register(platform, await pack(FILES), 'west')
    await gateway.query(`${platform}_west`, 'create publication p for table counter')
    const refused = await move('eu1', { platform, tenant_id: 'west' })
    expect(refused).toMatchObject({ status: 409, body: { error: 'move_refused' } })
    expect(refused.body.message).toContain('publications')
    await gateway.query(`${platform}_west`, 'create table _db_gateway_own ()')
    const named = await move('eu1', { platform, tenant_id: 'west' })
    expect(named.body.message).toContain(
      'names that the gateway keeps for its own (public._db_gateway_own)',
    )
    await gateway.query(`${platform}_west`, 'drop publication p; drop table _db_gateway_own')
    await gateway.query(
      `${platform}_west`,
      `create domain price money; create table priced (of price);
       alter database ${platform}_west set lc_monetary = 'C.UTF-8'`,
    )
    const priced = await move('eu1', { platform, tenant_id: 'west' })
    expect(priced.body.message).toContain(
      'money (public.priced.of), and lc_monetary is C.UTF-8, there C',
    )
    await gateway.query(
      `${platform}_west`,
      `alter database ${platform}_west reset lc_monetary; drop table priced`,
    )
    expect((await gateway.call(platform, 'bump', ['a'], 'west')).status).toBe(200)
  })

  test('is where it was if the move is stopped', async () => {
    const west = { platform, tenant_id: 'west' }
    const session = connectTo(`${platform}_west`)
    await session`select`
    const moving = gateway.post('/admin/move-tenant', { ...west, to: 'eu1', hold: true })
    const call = () => other.call(platform, 'bump', ['b'], 'west')
    const error = async () => (await call()).body.error
    await expect.poll(error, { timeout: 20_000 }).toBe('tenant_suspended')
    const stopped = await other.post('/admin/move-tenant', { ...west, stop: true })
    expect(stopped.body.status).toBe('stopping')
    const answer = await moving
    expect(answer).toMatchObject({ status: 409, body: { error: 'tenant_busy' } })
    expect(answer.body.message).toContain('was stopped')
    await session.end()
    expect((await call()).status).toBe(200)
    expect(await eu1.databases()).not.toContain(`${platform}_west`)
    const { catalog } = gateway.gateway
    expect(await catalog.use((sql) => sql`select from _db_gateway_moves`)).toHaveLength(0)
  })

  test('is moved, and dropped where it was, by the command line', async () => {
    const west = `${platform}_west`
    const moved = await tenants('move', 'west', '--to', 'eu1', '--how', 'dump', '--tries', '3')
    expect(moved).toMatch(new RegExp(`^✓ ${west} is moved from main to eu1; its calls waited \\d`))
    expect(await eu1.databases()).toContain(west)
    const drop = ['drop', 'west', '--server', 'main', '--confirm', west, '--no-dump']
    expect(await tenants(...drop)).toContain('is dropped, without a dump')
  })

  test('takes its history to a server beside that of another one', async () => {
    // Its minutes of the hour would be summed up there.
    const steps = { minutes: '2026-01-02 00:00Z', hours: '2026-01-01 00:00Z' }
    const names = ['one', 'two'].map((tenantId) => `${platform}_${tenantId}`)
    const from = connectTo(gateway.server.database)
    const sessions = names.map(() => connectTo(parseDatabaseUrl(eu1.uri).database, 1, eu1.uri))
    const [to, beside] = sessions as [typeof from, typeof from]
    afterTest(async () => {
      for (const sql of [from, to])
        await sql`delete from _db_gateway_databases where database in ${sql(names)}`
      for (const sql of [from, to, beside]) await sql.end()
    })
    const sums = { calls: 1, errors: 0, held_ms: 0, sum_ms: 0, max_ms: 0, rows: 0, bytes: 0 }
    const row = {
      written_at: 'now',
      made_at: 'now',
      platform,
      function: 'f',
      durations: '',
      ...sums,
    }
    for (const [i, database] of names.entries()) {
      await from`
        insert into _db_gateway_databases (database, platform, tenant_id, owner_role)
        select ${database}, platform, ${`${i}`}, owner_role from _db_gateway_databases where database = ${`${platform}_main`}
      `
      for (const [table, at] of Object.entries(steps))
        await from`
          insert into ${from(`_db_gateway_call_${table}`)}
          select r.* from jsonb_populate_record(
            null::${from(`_db_gateway_call_${table}`)},
            ${JSON.stringify({ ...row, at, slot: i, gateway: randomUUID(), database })}::text::jsonb
          ) r
        `
    }
    const copy = (sql: typeof from, tenantId: string) =>
      copyCatalogRows(from, sql, { platform, tenantId, schema: null }, platform, 5000)
    // As a role that waits for no lock has it.
    await beside`set lock_timeout = 50`
    await to`begin`
    await beside`begin`
    await copy(to, 'one')
    const second = copy(beside, 'two').then(() => beside`commit`)
    second.catch(() => {})
    await sleep(200)
    await to`commit`
    await second
    for (const [table, at] of Object.entries(steps))
      expect(
        await to`select slot from ${to(`_db_gateway_call_${table}`)} where at = ${at} order by slot`,
      ).toEqual([{ slot: 0 }, { slot: 1 }])
  })

  test('may be the main database', async () => {
    expect((await move('eu1', { platform })).body.status).toBe('moved')
    expect((await other.call(platform, 'bump', ['m'])).status).toBe(200)
    expect((await gateway.register(platform, await pack(FILES))).status).toBe(200)
    const drop = { platform, confirm: `${platform}_main`, server: 'main' }
    expect((await gateway.post('/admin/drop-tenant', drop)).status).toBe(200)
  })

  test('is deployed to where it lands, if a deploy to all finds it being moved', async () => {
    const south = { platform, tenant_id: 'south' }
    await gateway.register(platform, await pack(FILES), 'south', { server: 'main' })
    const session = connectTo(`${platform}_south`)
    await session`select`
    const more = { ...south, to: 'eu1', how: 'dump', hold: true }
    const moving = gateway.post('/admin/move-tenant', more)
    const error = async () => (await other.call(platform, 'total', [], 'south')).body.error
    await expect.poll(error, { timeout: 20_000 }).toBe('tenant_suspended')
    const files = {
      ...FILES,
      'functions/total.pssql': `create or replace function total() returns integer language sql stable
        as $$ select -1 $$`,
    }
    const migrated = other.migrate(platform, await pack(files))
    await expect.poll(() => total(other), { timeout: 20_000 }).toBe(-1)
    await session.end()
    expect((await moving).body.status).toBe('moved')
    const { status, body } = await migrated
    expect([status, body.failed]).toEqual([200, undefined])
    expect(body.databases_updated).toContain(`${platform}_south`)
    expect(other.logged.some(({ message }) => `${message}`.startsWith('A deploy waits'))).toBe(true)
    const { body: called } = await gateway.call(platform, 'total', [], 'south')
    expect(called.rows).toEqual([{ total: -1 }])
    expect(await eu1.databases()).toContain(`${platform}_south`)
  })
})
