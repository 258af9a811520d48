import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { PoolsReport } from '../../lib/postgres/pools/pool-report.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  type Answer,
  connectTo,
  type Json,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const FILES: Files = {
  ...textFunction('ping', 'pong'),
  'migrations/1_api.pssql': `
    create schema api;
    create function api.hello() returns text language sql as $$ select 'hello' $$;`,
  'functions/wait_for.pssql': `
    create or replace function wait_for(key integer) returns integer language plpgsql as $$
    begin
      perform pg_advisory_lock_shared(key);
      perform pg_advisory_unlock_shared(key);
      return key;
    end $$;`,
  'functions/dream.pssql': `
    create or replace function dream(seconds float8) returns integer language plpgsql as $$
    begin
      perform pg_sleep(seconds);
      return 1;
    end $$;`,
  'functions/doze.pssql': `
    create or replace procedure doze(seconds float8) language plpgsql as $$
    begin
      perform pg_sleep(seconds);
    end $$;`,
}

const gateways = await startTwoGateways()
const { gateway: one, other: two } = gateways
const platform = uniqueName('p')

let count = 0
let tenant: { platform: string; tenant_id: string }
let id: string
beforeAll(async () => {
  await one.register(platform, await pack(FILES))
})
beforeEach(async () => {
  id = `t${++count}`
  tenant = { platform, tenant_id: id }
  const made = await one.post('/admin/create-tenant', { ...tenant, deploy: true })
  expect(made.status).toBe(201)
  for (const each of [one, two]) expect((await call(each, 'ping')).status).toBe(200)
})

const limit = (limits: unknown, owner: object = tenant) =>
  one.post('/admin/tenants', { ...owner, limits })
const call = (gateway: TestGateway, name: string, params: unknown = []) =>
  gateway.call(platform, name, params, id)

/** Sets limits, and waits until both gateways know them. */
async function limited(limits: unknown): Promise<Answer> {
  const answer = await limit(limits)
  expect(answer).toMatchObject({ status: 200 })
  const known = (gateway: TestGateway) =>
    JSON.stringify(gateway.gateway.catalog.limits.of(`${platform}_${id}`))
  await eventually('both know it', () => known(one) === known(two))
  return answer
}

describe('POST /admin/tenants', () => {
  test('sets limits, keeps those that it does not name, and takes away those that are null', async () => {
    const limits = {
      max_connections: 5,
      calls_per_second: 50,
      statement_timeout_ms: 2000,
      callable_schemas: ['public', 'api'],
      read_only: true,
    }
    const given = { ...limits, callable_schemas: ['public', 'api', 'public'] }
    const { status, body } = await limit(given)
    const names = { tenant_id: id, database: `${platform}_${id}` }
    expect([status, body]).toEqual([200, { status: 'limited', ...names, limits }])
    const changed = await limit({ max_connections: null, calls_per_second: 7, read_only: false })
    const left = {
      calls_per_second: 7,
      statement_timeout_ms: 2000,
      callable_schemas: ['public', 'api'],
    }
    expect(changed.body.limits).toEqual(left)
    expect((await limit({})).body.limits).toEqual(left)

    const listed = await two.get(`/admin/tenants?platform=${platform}`)
    const mine = (all: Json[]) => all.find(({ tenant_id }) => tenant_id === id)
    expect(mine(listed.body.tenants).limits).toEqual(left)
    const { databases } = (await two.get(`/admin/databases?platform=${platform}`)).body
    expect(mine(databases).limits).toEqual(left)
    const none = { statement_timeout_ms: null, callable_schemas: null, calls_per_second: null }
    expect((await limit(none)).body.limits).toEqual({})

    const { entries } = (await one.get(`/admin/audit?platform=${platform}&limit=1`)).body
    expect(entries[0]).toMatchObject({
      action: 'limit_tenant',
      tenant_id: id,
      databases: [`${platform}_${id}`],
      status: 200,
      summary: { limits: none },
    })

    // The main database has limits of its own.
    const main = { platform, tenant_id: null }
    const ofMain = await limit({ calls_per_second: 1000 }, main)
    expect(ofMain.body).toMatchObject({ tenant_id: null, limits: { calls_per_second: 1000 } })
    const all = (await one.get(`/admin/databases?platform=${platform}`)).body.databases
    expect(all[0]).toMatchObject({ type: 'main', limits: { calls_per_second: 1000 } })
    await limit({ calls_per_second: null }, main)
  })

  test('refuses other members and values, and a tenant that is not there', async () => {
    const refused = [
      { limits: { read_onyl: true } },
      { limits: { max_connections: 0 } },
      { limits: { max_connections: 1.5 } },
      { limits: { calls_per_second: '5' } },
      { limits: { statement_timeout_ms: 9 } },
      { limits: { callable_schemas: [] } },
      { limits: { callable_schemas: 'api' } },
      { limits: { callable_schemas: ['_db_gateway'] } },
      { limits: { callable_schemas: [null] } },
      { limits: { read_only: 'yes' } },
      { limits: null },
      {},
      { limits: {}, label: 'x' },
    ]
    for (const members of refused) {
      const { status, body } = await one.post('/admin/tenants', { ...tenant, ...members })
      expect([members, status, body.error]).toEqual([members, 400, 'invalid_request'])
    }
    const { status, body } = await limit({ read_only: true }, { platform, tenant_id: 'nobody' })
    expect([status, body.error]).toEqual([404, 'database_not_found'])
  })
})

describe('statement_timeout_ms', () => {
  test('ends calls of each kind on both gateways, in sessions that were there before', async () => {
    await limited({ statement_timeout_ms: 80 })
    for (const gateway of [one, two]) {
      const batch = (transaction: boolean) =>
        gateway.post('/batch', {
          ...tenant,
          transaction,
          calls: [{ function: 'ping' }, { function: 'dream', params: [9] }],
        })
      const stream = { accept: 'application/x-ndjson' }
      const [plain, procedure, whole, each, streamed, keyed] = await Promise.all([
        call(gateway, 'dream', [9]),
        call(gateway, 'doze', [9]),
        batch(true),
        batch(false),
        gateway.post('/call', { ...tenant, function: 'dream', params: [9] }, stream),
        gateway.post(
          '/call',
          { ...tenant, function: 'dream', params: [9] },
          { 'idempotency-key': `"${uniqueName('k')}"` },
        ),
      ])
      for (const { status, body } of [plain!, procedure!, whole!, streamed!, keyed!]) {
        expect([status, body.error]).toEqual([504, 'query_timeout'])
      }
      expect(each!.body.results.map((result: Json) => result.error)).toEqual([
        undefined,
        'query_timeout',
      ])
      expect((await call(gateway, 'ping')).status).toBe(200)
    }
    await limited({ statement_timeout_ms: null })
    for (const gateway of [one, two]) {
      expect((await call(gateway, 'dream', [0.2])).body.rows).toEqual([{ dream: 1 }])
    }
  })

  test('does not hold for deploys, nor for other tenants', async () => {
    await limited({ statement_timeout_ms: 50 })
    const slow = await pack({ ...FILES, 'migrations/2_slow.pssql': 'select pg_sleep(0.3);' })
    const { body } = await one.register(platform, slow, id)
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    const main = await two.call(platform, 'dream', [0.3])
    expect(main.body.rows).toEqual([{ dream: 1 }])
  })
})

describe('callable_schemas', () => {
  test('replaces CALLABLE_SCHEMAS for the tenant on both gateways, until it is taken away', async () => {
    const statuses = async (gateway: TestGateway) => [
      (await call(gateway, 'hello')).status,
      (await call(gateway, 'ping')).status,
      (await gateway.call(platform, 'hello')).status,
      (await gateway.call(platform, 'ping')).status,
    ]
    for (const each of [one, two]) expect(await statuses(each)).toEqual([404, 200, 404, 200])
    await limited({ callable_schemas: ['api'] })
    for (const each of [one, two]) expect(await statuses(each)).toEqual([200, 404, 404, 200])
    // What a deploy learns of the functions is what the tenant may call.
    const next = await pack({ ...FILES, ...textFunction('ping', 'again') })
    expect((await one.register(platform, next, id)).body.status).toBe('ready')
    for (const each of [one, two]) expect(await statuses(each)).toEqual([200, 404, 404, 200])
    await limited({ callable_schemas: null })
    for (const each of [one, two]) expect(await statuses(each)).toEqual([404, 200, 404, 200])
  })
})

describe('calls_per_second', () => {
  test('is shared by the gateways; more calls are 429 with Retry-After', async () => {
    await limited({ calls_per_second: 4 })
    const startedAt = performance.now()
    for (const gateway of [one, two]) {
      const answers = await Promise.all(Array.from({ length: 40 }, () => call(gateway, 'ping')))
      const refused = answers.filter(({ status }) => status === 429)
      const seconds = (performance.now() - startedAt) / 1000
      expect(answers.length - refused.length).toBeGreaterThanOrEqual(2)
      expect(answers.length - refused.length).toBeLessThanOrEqual(2 + Math.ceil(seconds * 2))
      expect(refused[0]!.body).toMatchObject({ error: 'rate_limited', may_have_run: false })
      expect(refused[0]!.headers.get('retry-after')).toBe('1')
      expect((await gateway.call(platform, 'ping')).status).toBe(200)
    }
    const calls = Array.from({ length: 100 }, () => ({ function: 'ping' }))
    const whole = await eventually('a batch begins when a second has passed', async () => {
      const answer = await one.post('/batch', { ...tenant, calls })
      return answer.status === 200 && answer
    })
    expect(whole.body.results).toHaveLength(100)
    const next = await call(one, 'ping')
    expect(next.status).toBe(429)
    expect(Number(next.headers.get('retry-after'))).toBeGreaterThan(10)
    await limited({ calls_per_second: null })
    expect((await call(one, 'ping')).status).toBe(200)
  })
})

describe('max_connections', () => {
  test('is shared by the gateways; deploys do not count, and a higher limit lets the others run', async () => {
    const database = `${platform}_${id}`
    await limited({ max_connections: 2 })
    const sql = connectTo(database)
    await sql`select pg_advisory_lock(7)`
    const calls = [one, one, one, two, two, two].map((gateway) => call(gateway, 'wait_for', [7]))
    const running = () => sessionsRunning(database, 'wait_for')
    await eventually('one of each gateway runs', async () => (await running()) === 2)
    await eventually('the others wait', () =>
      [one, two].every(({ gateway }) => waiting(gateway.pools.report(), database) === 2),
    )
    const next = await pack({ ...FILES, ...textFunction('ping', 'meanwhile') })
    expect((await two.register(platform, next, id)).body.status).toBe('ready')
    expect(await running()).toBe(2)
    await limited({ max_connections: 6 })
    await eventually('all run', async () => (await running()) === 6)
    await limited({ max_connections: 1 })
    await sql`select pg_advisory_unlock(7)`
    const answers = await Promise.all(calls)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
    // A gateway has one at least.
    await sql`select pg_advisory_lock(7)`
    const again = [one, one, two, two].map((gateway) => call(gateway, 'wait_for', [7]))
    await eventually('the others wait', () =>
      [one, two].every(({ gateway }) => waiting(gateway.pools.report(), database) === 1),
    )
    expect(await running()).toBe(2)
    await sql.end()
    expect((await Promise.all(again)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
  })
})

function waiting({ pools }: PoolsReport, database: string): number | undefined {
  return pools.find((pool) => pool.database === database)?.waiting
}

test('Changes of limits under load lose no call, and a gateway that starts later keeps to them', async () => {
  let isOver = false
  const failed: Answer[] = []
  const kinds: ((gateway: TestGateway) => Promise<Answer>)[] = [
    (gateway) => call(gateway, 'ping'),
    (gateway) => call(gateway, 'dream', [0.01]),
    (gateway) => call(gateway, 'doze', [0.01]),
    (gateway) => gateway.post('/batch', { ...tenant, calls: [{ function: 'ping' }] }),
    (gateway) =>
      gateway.post('/call', { ...tenant, function: 'ping' }, { accept: 'application/x-ndjson' }),
  ]
  const callers = [one, two].flatMap((gateway) =>
    kinds.map(async (run) => {
      while (!isOver) {
        const answer = await run(gateway)
        if (answer.status !== 200) failed.push(answer)
      }
    }),
  )
  for (const limits of [
    { max_connections: 2 },
    { max_connections: 6, statement_timeout_ms: 20_000 },
    { callable_schemas: ['api', 'public'] },
    { max_connections: 1, read_only: true },
    { statement_timeout_ms: null, callable_schemas: null, calls_per_second: 100_000 },
    { max_connections: null, read_only: null },
  ]) {
    await limited(limits)
    for (const each of [one, two]) expect((await call(each, 'ping')).status).toBe(200)
  }
  isOver = true
  await Promise.all(callers)
  expect(failed).toEqual([])

  await limited({ callable_schemas: ['api'], calls_per_second: 3 })
  const later = await startTestGateway({ DATABASE_URL: gateways.url })
  try {
    expect((await call(later, 'ping')).status).toBe(404)
    const answers = await Promise.all(Array.from({ length: 20 }, () => call(later, 'hello')))
    expect(answers.map(({ status }) => status)).toContain(429)
  } finally {
    await later.stop()
  }
})
