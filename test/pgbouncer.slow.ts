import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../lib/postgres/hosts/server.ts'
import { afterTest } from './helpers/after-test.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from './helpers/gateway.ts'
import { type PgBouncer, startPgBouncer, whyNoPgBouncer } from './helpers/pgbouncer.ts'
import { NOTES, pack } from './helpers/platforms.ts'
import { eventually } from './helpers/process.ts'

const why = whyNoPgBouncer()
const NAP = {
  'functions/nap.pssql': `create or replace function nap() returns void language sql
    as $$ insert into notes values (99, 'nap'); select pg_sleep(60) $$;`,
}

let url: string
let pooler: PgBouncer

beforeAll(async () => {
  url = await createAdminDatabase()
})
afterAll(() => dropAdminDatabase(url))
beforeEach(async ({ skip }) => {
  if (why) skip(why)
  pooler = await startPgBouncer()
})

async function start(settings: Record<string, string> = {}): Promise<TestGateway> {
  const gateway = await startTestGateway({ DATABASE_URL: pooler.through(url), ...settings })
  afterTest(() => gateway.stop())
  return gateway
}

async function registered(gateway: TestGateway): Promise<string> {
  const platform = uniqueName('bounced')
  const archive = await pack({ ...NOTES, ...NAP })
  expect(await gateway.register(platform, archive, 'one')).toMatchObject({ status: 200 })
  return platform
}

describe('behind PgBouncer in session mode', () => {
  test('a tenant is deployed, called, migrated, copied, renamed and dropped', async () => {
    const gateway = await start({ TEMPLATES: 'on' })
    const platform = await registered(gateway)
    expect((await gateway.call(platform, 'add_note', [1], 'one')).status).toBe(200)
    const more = await pack({ ...NOTES, ...NAP, 'migrations/002.pssql': 'create table more ();' })
    expect(await gateway.migrate(platform, more)).toMatchObject({ status: 200 })

    const tenant = { platform, tenant_id: 'one' }
    const confirm = `${platform}_two`
    const asked: [string, number, object][] = [
      ['clone', 201, { ...tenant, to: 'two' }],
      ['rename', 200, { ...tenant, to: 'three' }],
      ['drop', 200, { platform, tenant_id: 'two', confirm, dump: false }],
    ]
    for (const [verb, status, body] of asked) {
      expect((await gateway.post(`/admin/${verb}-tenant`, body)).status).toBe(status)
    }
    const counted = await gateway.call(platform, 'count_notes', [], 'three')
    expect(counted.body.rows).toEqual([{ count_notes: 1 }])
    expect((await gateway.call(platform, 'count_notes', [], 'two')).status).toBe(404)
  })

  test('gateways hear of each other, with and without it', async () => {
    const [one, two] = [await start(), await start({ DATABASE_URL: url })]
    const platform = await registered(one)
    expect((await two.call(platform, 'ping', [], 'one')).body.rows).toEqual([{ ping: 'pong' }])
    const next = await pack({
      ...NOTES,
      'functions/ping.pssql':
        "create or replace function ping() returns text language sql as $$ select 'next' $$;",
    })
    await two.register(platform, next, 'one')
    expect((await one.call(platform, 'ping', [], 'one')).body.rows).toEqual([{ ping: 'next' }])
  })

  test('a statement is cancelled by its time limit and by an operator', async () => {
    const gateway = await start()
    const platform = await registered(gateway)
    const nap = { platform, tenant_id: 'one', function: 'nap' }
    const late = await gateway.post('/call', { ...nap, timeout_ms: 300 })
    expect(late).toMatchObject({ status: 504, body: { error: 'query_timeout' } })
    const ended = gateway.post('/call', nap)
    const id = await eventually('it runs', async () => {
      const { body } = await gateway.get('/admin/activity')
      return (body.calls as Json[]).find((call) => call.function === 'nap')?.id
    })
    expect(await gateway.post('/admin/cancel-call', { id })).toMatchObject({ status: 200 })
    expect((await ended).status).not.toBe(200)
    expect((await gateway.call(platform, 'count_notes', [], 'one')).body.rows).toEqual([
      { count_notes: 0 },
    ])
  })

  test('a PgBouncer that is killed and started again is used again', async () => {
    const gateway = await start()
    const platform = await registered(gateway)
    pooler.signal('SIGKILL')
    const lost = await gateway.call(platform, 'ping', [], 'one')
    expect(lost).toMatchObject({ status: 503, body: { error: 'connection_failed' } })
    await startPgBouncer({}, pooler.port)
    await eventually('calls succeed', async () => {
      return (await gateway.call(platform, 'ping', [], 'one')).status === 200
    })
  })
})

describe('where nobody may read the passwords of roles', () => {
  beforeEach(async () => {
    pooler = await startPgBouncer({ auth_user: '' })
  })

  test('the start says what to set', async () => {
    await expect(start()).rejects.toThrow(/The pooler does not let .* ISOLATION=shared/)
  })

  test('ISOLATION=shared works', async () => {
    const gateway = await start({ ISOLATION: 'shared' })
    const platform = await registered(gateway)
    expect((await gateway.call(platform, 'ping', [], 'one')).body.rows).toEqual([{ ping: 'pong' }])
  })
})

test('a server whose defaults the gateway cannot work with is refused', async () => {
  const { database } = parseDatabaseUrl(url)
  await queryDatabase(database, `alter database "${database}" set timezone to 'Asia/Tokyo'`, {
    asGateway: true,
  })
  await expect(start({ DATABASE_URL: pooler.through(url) })).rejects.toThrow(
    /TimeZone is "Asia\/Tokyo" instead of "UTC": set it in/,
  )
})
