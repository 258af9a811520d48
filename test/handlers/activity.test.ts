import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Activity } from '../../lib/activity/activity.ts'
import { withoutValues } from '../../lib/activity/without-values.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  connectTo,
  dropDatabase,
  type Json,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const hidden = uniqueName('hid')
const { gateway, other } = await startTwoGateways({
  PLATFORM_NETWORKS: `${hidden}=10.9.9.0/24`,
  SLOW_CALL_MS: '10',
})

const platform = uniqueName('act')
const database = `${platform}_main`

beforeAll(async () => {
  await eventually('the gateways know each other', () =>
    [gateway, other].every((one) => one.gateway.gateways.alive().length === 2),
  )
  const archive = await pack({
    ...textFunction('ping', 'pong'),
    'tables/notes.pgsql': 'create table notes (id integer primary key, text text);',
    'functions/all.pssql': `
      create or replace function note_slowly(key integer, s float8) returns text language plpgsql as $$
      begin
        insert into notes values (key, 'secret');
        perform pg_sleep(s);
        return 'noted';
      end $$;
      create or replace function numbers_slowly(n integer) returns setof integer language plpgsql as $$
      begin
        for i in 1..n loop return next i; perform pg_sleep(0.02); end loop;
      end $$;`,
  })
  await gateway.register(platform, archive)
})

const activity = async (from: TestGateway = gateway): Promise<Json> =>
  (await from.get('/admin/activity')).body
const isRunning = (name: string | null, from = gateway): Promise<Json> =>
  eventually(`${name} runs`, async () =>
    (await activity(from)).calls.find(
      (one: Json) => one.function === name && one.phase === 'running',
    ),
  )
const cancel = (id: string, from = gateway) => from.post('/admin/cancel-call', { id })
const notes = async () => (await gateway.query(database, 'select id from notes')).length

describe('GET /admin/activity', () => {
  test('has sessions with who waits for whom, without values, and the vital signs', async () => {
    const blocker = connectTo(database)
    await blocker.unsafe("begin; lock table notes; select 'password'")
    const waiting = gateway.call(platform, 'note_slowly', [1, 0])
    const { pid } = await eventually('a session waits', async () =>
      (await activity()).sessions.find((one: Json) => one.blocked_by.length > 0),
    )
    const { sessions, vitals, pools, gateways, can, at } = await activity()
    const [{ pid: holder } = { pid: 0 }] = await blocker`select pg_backend_pid() as pid`
    await blocker.end()
    await waiting
    expect(sessions[0]).toMatchObject({
      pid,
      database,
      platform,
      tenant_id: null,
      state: 'active',
      wait_event_type: 'Lock',
      blocked_by: [holder],
      is_gateway: true,
      query: expect.stringContaining('note_slowly'),
    })
    expect(sessions[0].transaction_s).toBeGreaterThan(0)
    const held = sessions.find((one: Json) => one.pid === holder)
    expect(held).toMatchObject({ is_gateway: false, query: null, state: 'idle in transaction' })
    expect(JSON.stringify(sessions)).not.toContain('password')
    expect(vitals).toMatchObject({
      version: expect.stringMatching(/^\d+/),
      max_connections: expect.any(Number),
      deadlocks: expect.any(Number),
      temp_bytes: expect.any(Number),
      cache_hit_ratio: expect.any(Number),
      wal_bytes: expect.any(Number),
      checkpoints: { timed: expect.any(Number), requested: expect.any(Number) },
      replication_slots: expect.any(Array),
      standbys: expect.any(Array),
      why: {},
    })
    expect(vitals.connections).toBeGreaterThan(1)
    expect(pools.find((one: Json) => one.database === database)).toMatchObject({ platform })
    expect(gateways).toHaveLength(2)
    expect(can.see_sessions).toBeDefined()
    expect(Date.parse(at)).toBeGreaterThan(Date.now() - 60_000)
  })

  test('has the calls in flight of all gateways', async () => {
    const calls = [
      gateway.call(platform, 'note_slowly', [2, 0.5]),
      other.post('/batch', { platform, calls: [{ function: 'note_slowly', params: [3, 0.5] }] }),
    ]
    const call = await isRunning('note_slowly')
    const batch = await isRunning(null)
    expect(call).toMatchObject({ platform, database, kind: 'call', can_cancel: true })
    expect(call.request_id).toMatch(/^[0-9a-f-]{36}$/)
    expect(batch).toMatchObject({ platform, database, kind: 'batch' })
    expect(batch.gateway).not.toBe(call.gateway)
    await Promise.all(calls)
    await eventually('they have ended', async () => (await activity()).calls.length === 0)
    await eventually('all answer', async () => (await activity()).unanswered.length === 0)
    other.gateway.messages.answer('calls_in_flight', () => new Promise(() => {}))
    try {
      expect((await activity()).unanswered).toEqual([other.gateway.gateways.id])
    } finally {
      other.gateway.messages.answer('calls_in_flight', () => other.gateway.inFlight.list())
    }
  })
})

describe('a database that is not in the catalog', () => {
  const made = `${uniqueName('made')}_a`
  const [secret, strange] = [`${hidden}_main`, `${uniqueName('str')}_x`]
  afterAll(async () => {
    for (const name of [made, secret, strange]) await dropDatabase(name)
    await gateway.query(gateway.server.database, `drop role if exists gw_${hidden}`)
  })

  test('has the platform of its owner, and is left out if that one may not be named', async () => {
    const admin = connectTo(gateway.server.database)
    await admin.unsafe(`create role gw_${hidden}`)
    await admin.unsafe(`grant gw_${hidden} to current_user`)
    await admin.unsafe(
      `comment on role gw_${hidden} is 'Database Gateway, x, catalog ${gateway.gateway.catalogId}'`,
    )
    for (const [name, owner] of [
      [made, `gw_${platform}`],
      [secret, `gw_${hidden}`],
      [strange, 'default'],
    ]) {
      await admin.unsafe(`create database ${name} owner ${owner} strategy file_copy`)
    }
    const clients = [made, secret, strange].map((name) => connectTo(name))
    for (const client of clients) await client`select 1`
    await admin`select 1`
    const read = await gateway.gateway.activity.read()
    const { sessions } = await activity()
    await Promise.all([admin, ...clients].map((client) => client.end()))
    const platformOf = (name: string) =>
      read.sessions?.find((one) => one.database === name)?.platform
    expect([made, secret, strange].map(platformOf)).toEqual([platform, hidden, null])
    const names = sessions.map((one: Json) => one.database)
    expect(names).toContain(made)
    expect(names).toContain(gateway.server.database)
    expect(names).not.toContain(strange)
    expect(JSON.stringify(sessions)).not.toContain(hidden)
  })
})

test('what this gateway knows is shown while PostgreSQL does not answer', async () => {
  const { activity: parts } = gateway.gateway
  const away = new Activity({
    use: () => Promise.reject(new Error('it is away')),
    application: 'x',
    catalogId: 'x',
  })
  Object.assign(gateway.gateway, { activity: away })
  try {
    const { status, body } = await gateway.get('/admin/activity')
    expect(status).toBe(200)
    expect(body).toMatchObject({ sessions: null, vitals: null, why: 'it is away', calls: [] })
    expect(body.pools.length).toBeGreaterThan(0)
    expect(body.can.see_sessions).toBe('it is away')
  } finally {
    Object.assign(gateway.gateway, { activity: parts })
  }
})

describe('POST /admin/cancel-call', () => {
  test('ends a call, rolls it back, and is in the audit trail', async () => {
    const before = await notes()
    const running = gateway.call(platform, 'note_slowly', [10, 60])
    const { id } = await isRunning('note_slowly')
    // So that it is a slow one.
    await sleep(20)
    const { status, body } = await cancel(id)
    expect({ status, body }).toEqual({
      status: 200,
      body: { cancelled: true, id, platform, database, function: 'note_slowly' },
    })
    expect(await running).toMatchObject({
      status: 499,
      body: { error: 'call_cancelled', database, may_have_run: false },
    })
    expect(await notes()).toBe(before)
    const { entries } = (await gateway.get(`/admin/audit?platform=${platform}&limit=1`)).body
    expect(entries[0]).toMatchObject({
      action: 'cancel_call',
      status: 200,
      databases: [database],
      summary: { id, cancelled: true, function: 'note_slowly' },
    })
    await eventually('it is among the slow calls', async () => {
      const { slow } = (await gateway.get(`/admin/slow?platform=${platform}`)).body
      return slow.some(
        (one: Json) => one.function === 'note_slowly' && one.error === 'call_cancelled',
      )
    })
    expect((await cancel(id)).body.error).toBe('call_not_found')
    expect((await gateway.call(platform, 'ping')).status).toBe(200)
  })

  test('ends a call of another gateway', async () => {
    const running = other.call(platform, 'note_slowly', [11, 60])
    const { id } = await isRunning('note_slowly')
    expect((await cancel(id)).body).toMatchObject({ cancelled: true, function: 'note_slowly' })
    expect((await running).body.error).toBe('call_cancelled')
    expect((await cancel(id)).status).toBe(404)
  })

  test('ends a call that waits for a connection', async () => {
    const limits = { platform, limits: { max_connections: 1 } }
    expect((await gateway.post('/admin/tenants', limits)).status).toBe(200)
    const first = gateway.call(platform, 'note_slowly', [12, 60])
    const { id: firstId } = await isRunning('note_slowly')
    const second = gateway.call(platform, 'note_slowly', [13, 60])
    const { id } = await eventually('the second waits', async () =>
      (await activity()).calls.find((one: Json) => one.phase === 'waiting'),
    )
    expect((await cancel(id)).body.cancelled).toBe(true)
    expect((await second).body).toMatchObject({ error: 'call_cancelled', may_have_run: false })
    await cancel(firstId)
    await first
    await gateway.post('/admin/tenants', { platform, limits: { max_connections: null } })
  })

  test('cuts a stream, and a batch keeps what it has done', async () => {
    const stream = gateway.post(
      '/call',
      { platform, function: 'numbers_slowly', params: [3000] },
      { accept: 'application/x-ndjson' },
    )
    const shown = await isRunning('numbers_slowly')
    expect(shown.kind).toBe('stream')
    expect((await cancel(shown.id)).body.cancelled).toBe(true)
    expect(
      JSON.stringify((await stream.catch(() => undefined))?.body ?? 'call_cancelled'),
    ).toContain('call_cancelled')
    const calls = [
      { function: 'note_slowly', params: [20, 0] },
      { function: 'note_slowly', params: [21, 60] },
      { function: 'note_slowly', params: [22, 60] },
    ]
    const batch = gateway.post('/batch', { platform, calls, transaction: false })
    await eventually('the first is done', async () => (await notes()) > 3)
    await cancel((await isRunning(null)).id)
    const { results } = (await batch).body
    expect(results.map((one: Json) => one.error)).toEqual([
      undefined,
      'call_cancelled',
      'call_cancelled',
    ])
  })

  test.each([{}, { id: '' }, { id: null }])('needs an id: %j', async (body) => {
    const { status, body: told } = await gateway.post('/admin/cancel-call', body)
    expect([status, told.error]).toEqual([400, 'invalid_request'])
    expect(told.message).toContain('id is missing')
  })

  test('a call of a platform that the client may not name is not cancelled', async () => {
    const id = `${gateway.gateway.gateways.id}.1.${hidden}`
    expect((await cancel(id)).status).toBe(403)
    for (const wrong of ['x', `${gateway.gateway.gateways.id}.999.${platform}`]) {
      expect((await cancel(wrong)).body.error).toBe('call_not_found')
    }
  })
})

test('a statement is shown without its literals', () => {
  expect(
    withoutValues(`select 'a''b', $$x$$, "o'k", E'\\'q', 12.5, col1, $1 -- secret
    from t /* 'x */ where a = 7 and b = 'unfinished`),
  ).toBe('select ?, ?, "o\'k", ?, ?, col1, $1 from t where a = ? and b = ?')
})
