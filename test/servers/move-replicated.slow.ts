import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { findTools } from '../helpers/dumps.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'

// Moves by logical replication. PG_MAJOR=15 has pg_dump and pg_restore of Debian 12.

const hasTools = (await findTools()) !== undefined

const FILES = {
  'tables/counter.pssql': `create table counter (
      id serial primary key, by text not null, twice integer generated always as (length(by) * 2) stored
    );
    create table big (id bigint generated always as identity primary key, noise text not null);
    create table parts (id integer not null, at integer not null, primary key (id, at)) partition by range (at);
    create table parts_1 partition of parts for values from (0) to (10);
    create table parts_2 partition of parts for values from (10) to (20);
    create sequence plain start 7;
    create materialized view totals as select count(*)::integer as n from counter;`,
  'functions/bump.pssql': `create or replace function bump(p_by text) returns integer language sql
    as $$ insert into counter (by) values (p_by) returning id $$`,
  'functions/slow.pssql': `create or replace function slow() returns integer language sql
    as $$ select pg_advisory_xact_lock(1); insert into counter (by) values ('slow') returning id $$`,
  'functions/total.pssql': `create or replace function total() returns integer language sql stable
    as $$ select count(*)::integer from counter $$`,
}

const LOGICAL = { wal_level: 'logical' }

const platform = uniqueName('replicated')
const tenant = { platform, tenant_id: 'north' }
const name = `${platform}_north`
let main: AlikeServer
let eu1: AlikeServer
let gateway: TestGateway
let other: TestGateway
beforeAll(async () => {
  main = await startAlikeServer(LOGICAL)
  eu1 = await startAlikeServer(LOGICAL)
  // PostgreSQL 15 has no role that may subscribe.
  for (const server of [main, eu1]) await server.query('alter role gateway superuser')
  const env = { DATABASE_URL: main.uri, SERVERS: `eu1=${eu1.uri}` }
  gateway = await startTestGateway(env)
  other = await startTestGateway(env)
  await gateway.register(platform, await pack(FILES), 'north')
})
afterAll(async () => {
  await other?.stop()
  await gateway?.stop()
  await main?.remove()
  await eu1?.remove()
})

/** What a move may leave behind. */
async function traces(): Promise<Json[]> {
  const found: Json[] = []
  for (const server of [main, eu1]) {
    found.push(...(await server.query('select slot_name from pg_replication_slots')))
    found.push(...(await server.query('select subname from pg_subscription')))
    for (const database of await server.databases()) {
      if (!database.startsWith(platform) && !database.startsWith('_db_gateway_moved')) continue
      found.push(...(await server.query('select pubname from pg_publication', database)))
    }
  }
  return found
}

const move = (to: string, more: object = {}) =>
  gateway.post('/admin/move-tenant', { ...tenant, to, how: 'replicate', ...more })

async function dropFormer(server: string): Promise<void> {
  const drop = { ...tenant, confirm: name, server }
  expect((await gateway.post('/admin/drop-tenant', drop)).body.status).toBe('dropped')
}

/** Callers that go on until they are stopped. */
function startCallers() {
  let isRunning = true
  let done = 0
  let longest = 0
  const failed: Json[] = []
  const calls = [0, 1, 2].map(async (number) => {
    for (let i = 0; isRunning; i++) {
      const key = { 'idempotency-key': `${number}-${i}-${Date.now()}` }
      const body = { ...tenant, function: 'bump', params: [`${number} ${i}`] }
      const began = performance.now()
      const answer = await (i % 2 ? other : gateway).post('/call', body, i % 3 ? key : {})
      longest = Math.max(longest, performance.now() - began)
      if (answer.status === 200) done++
      else failed.push(answer.body)
    }
  })
  return async () => {
    isRunning = false
    await Promise.all(calls)
    return { done, failed, longest }
  }
}

const total = async () =>
  (await gateway.call(platform, 'total', [], 'north')).body.rows?.[0]?.total as number

/** A session by hand in the tenant's database. */
const connectTo = () => postgres({ ...parseDatabaseUrl(main.uri), database: name, max: 1 })

const count = (lines: Json[], step: string) => lines.filter((line) => line.step === step).length

describe.runIf(hasTools)('a move by logical replication', () => {
  test('takes 300 MB while calls go on; none fails, is lost or doubled', async () => {
    await main.query(
      `insert into big (noise) select string_agg(sha512(int4send(i * 1000 + j))::text, '')
       from generate_series(1, 2200) i, generate_series(1, 1000) j group by i;
       insert into parts select i, i from generate_series(0, 19) i;
       refresh materialized view totals`,
      name,
    )
    // The source needs no superuser.
    await main.query('alter role gateway nosuperuser replication')
    const before = await total()
    const stop = startCallers()
    const moved = await move('eu1')
    await main.query('alter role gateway superuser')
    const { done, failed, longest } = await stop()
    console.log(
      `Held for ${moved.body.held_ms} ms; the longest call took ${Math.round(longest)} ms`,
    )
    expect(moved.body).toMatchObject({ status: 'moved', how: 'replicate', to: 'eu1' })
    expect(failed).toEqual([])
    expect(await total()).toBe(before + done)
    expect(longest).toBeLessThan(5000)
    expect(await traces()).toEqual([])
    const rows = await eu1.query(
      `select (select count(*) from big)::integer as big, (select count(*) from parts_2)::integer as parts,
         nextval('plain')::integer as plain, (select n > 0 from totals) as is_filled`,
      name,
    )
    expect([...rows]).toEqual([{ big: 2200, parts: 10, plain: 7, is_filled: true }])
    await dropFormer('main')
    expect((await move('main')).body.status).toBe('moved')
    await dropFormer('eu1')
  }, 240_000)

  test('lets calls go on while a long one runs, and tries again', async () => {
    const before = await total()
    // A call that lasts until the gateway has tried in vain.
    const session = connectTo()
    await session`select pg_advisory_lock(1)`
    const slow = gateway.call(platform, 'slow', [], 'north')
    const stop = startCallers()
    const response = await fetch(`${other.url}/admin/move-tenant`, {
      method: 'POST',
      headers: { accept: 'application/x-ndjson', 'content-type': 'application/json' },
      body: JSON.stringify({ ...tenant, to: 'eu1', how: 'replicate' }),
    })
    let text = ''
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      text += piece
      if (text.includes('"waiting"')) await session.end()
    }
    const { done, failed, longest } = await stop()
    await session.end()
    expect((await slow).status).toBe(200)
    const steps = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Json)
    console.log(
      `Tried again ${count(steps, 'waiting')} times; the longest call took ${Math.round(longest)} ms`,
    )
    expect(steps.at(-1)).toMatchObject({ status: 'moved', how: 'replicate' })
    expect(count(steps, 'waiting')).toBeGreaterThan(0)
    expect(failed).toEqual([])
    expect(await total()).toBe(before + done + 1)
    expect(longest).toBeLessThan(3000)
    expect(await traces()).toEqual([])
    await dropFormer('main')
    expect((await move('main')).body.status).toBe('moved')
    await dropFormer('eu1')
  }, 120_000)

  test('is undone after the last try, and names the session', async () => {
    const session = connectTo()
    await session`select`
    const refused = await move('eu1', { tries: 2 })
    await session.end()
    expect(refused).toMatchObject({ status: 409, body: { error: 'tenant_busy', tries: 2 } })
    expect(refused.body.sessions).toHaveLength(1)
    expect((await gateway.call(platform, 'bump', ['x'], 'north')).status).toBe(200)
    expect(await traces()).toEqual([])
    expect(await eu1.databases()).not.toContain(name)
  }, 60_000)

  test('is undone when it is stopped', async () => {
    const moving = move('eu1')
    await expect.poll(async () => (await traces()).length, { timeout: 20_000 }).toBeGreaterThan(0)
    const stopped = await other.post('/admin/move-tenant', { ...tenant, stop: true })
    expect(stopped.body.status).toBe('stopping')
    expect((await moving).body).toMatchObject({ error: 'tenant_busy' })
    expect(await traces()).toEqual([])
    expect(await eu1.databases()).not.toContain(name)
  })

  test('keeps deploys off', async () => {
    const moving = move('eu1')
    await expect.poll(async () => (await traces()).length, { timeout: 20_000 }).toBeGreaterThan(0)
    const more = { 'functions/more.pssql': FILES['functions/total.pssql'].replace('total', 'more') }
    const deployed = await other.register(platform, await pack({ ...FILES, ...more }), 'north')
    expect(deployed.body).toMatchObject({ error: 'tenant_busy' })
    expect((await moving).body.status).toBe('moved')
    await dropFormer('main')
    expect((await move('main')).body.status).toBe('moved')
    await dropFormer('eu1')
  }, 120_000)

  test('is undone when a table is changed meanwhile', async () => {
    const moving = move('eu1')
    // The definitions have been copied then.
    const follows = async () => (await traces()).some((one) => 'subname' in one)
    await expect.poll(follows, { timeout: 20_000 }).toBe(true)
    await main.query('alter table parts add column more text', name)
    expect((await moving).body.error).toBe('move_refused')
    await main.query('alter table parts drop column more', name)
    expect(await traces()).toEqual([])
    expect((await gateway.call(platform, 'bump', ['x'], 'north')).status).toBe(200)
  }, 120_000)

  test.each([
    [
      'written anew',
      'alter table parts alter column id type integer using id + 1000',
      'alter table parts alter column id type integer using id - 1000',
    ],
    [
      'replaced by one of its name',
      `create table parts_new (like parts_2); insert into parts_new select id + 1000, at from parts_2;
       drop table parts_2; create table parts_2 partition of parts for values from (10) to (20);
       insert into parts_2 table parts_new; drop table parts_new`,
      'update parts_2 set id = id - 1000',
    ],
  ])(
    'is undone when a copied table is %s',
    async (_, change, undo) => {
      const [{ role }] = (await main.query(
        `select pg_get_userbyid(datdba) as role from pg_database where datname = '${name}'`,
      )) as [Json]
      await main.query('insert into parts values (5, 5), (15, 15) on conflict do nothing', name)
      const moving = move('eu1')
      const follows = async () => (await traces()).some((one) => 'subname' in one)
      await expect.poll(follows, { timeout: 20_000, interval: 5 }).toBe(true)
      // The copy of another table waits, so that the move does.
      const copy = postgres({ ...parseDatabaseUrl(eu1.uri), database: name, max: 1 })
      await copy.begin(async (sql) => {
        await sql`lock table counter in share mode`
        const copied = () => sql`
        select from pg_subscription_rel
        where srrelid in ('parts_1'::regclass, 'parts_2'::regclass) and srsubstate = 'r'
      `
        await expect.poll(async () => (await copied()).length, { timeout: 20_000 }).toBe(2)
        await main.query(`set role ${role}; ${change}`, name)
      })
      await copy.end()
      const refused = await moving
      expect(refused).toMatchObject({ status: 409, body: { error: 'move_refused' } })
      expect(refused.body.message).toContain('made, dropped or altered')
      await main.query(undo, name)
      expect(await traces()).toEqual([])
      expect(await eu1.databases()).not.toContain(name)
    },
    60_000,
  )

  test('is refused with what to do', async () => {
    const [{ role }] = (await main.query(
      `select pg_get_userbyid(datdba) as role from pg_database where datname = '${name}'`,
    )) as [Json]
    const cases = [
      ['create table bare (a integer)', 'drop table bare', 'tables without a primary key'],
      ['create unlogged table u (a integer primary key)', 'drop table u', 'unlogged tables'],
      ['select lo_create(4711)', 'select lo_unlink(4711)', 'large objects (4711)'],
      [
        'alter table big replica identity nothing',
        'alter table big replica identity default',
        'replica identity (public.big)',
      ],
      [
        `create trigger t before update on big for each row execute function suppress_redundant_updates_trigger();
         alter table big enable always trigger t`,
        'drop trigger t on big',
        'triggers that are enabled ALWAYS',
      ],
      [
        "select pg_create_logical_replication_slot('theirs', 'pgoutput')",
        "select pg_drop_replication_slot('theirs')",
        'replication slots (theirs)',
      ],
    ] as const
    for (const [make, undo, why] of cases) {
      // A slot is made by a transaction that writes nothing.
      const as = make.includes('slot') ? '' : `set role ${role};`
      await main.query(as + make, name)
      const refused = await move('eu1')
      expect(refused).toMatchObject({ status: 409, body: { error: 'move_refused' } })
      expect(refused.body.message).toContain(why)
      await main.query(undo, name)
    }
    expect(await traces()).toEqual([])
  })
})
