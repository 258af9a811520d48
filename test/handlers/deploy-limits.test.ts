import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

const SLOW: Files = {
  'migrations/001_before.pssql': 'create table before (id int);',
  'migrations/002_slow.pssql': 'create table slow (id int);\nselect pg_sleep(600);',
}

describe('a deploy that takes longer than DEPLOY_TIMEOUT_SECS', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({ DEPLOY_TIMEOUT_SECS: '1' })
  })
  afterAll(() => gateway.stop())

  test('is rolled back, and says which statement it was at', async () => {
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const motto = textFunction('motto', 'first')
    await gateway.register(platform, await pack(motto))
    const { status, body } = await gateway.register(platform, await pack({ ...motto, ...SLOW }))
    expect(status).toBe(504)
    expect(body).toMatchObject({
      error: 'query_timeout',
      message: 'The deploy took longer than 1 s and was cancelled (DEPLOY_TIMEOUT_SECS)',
      database,
      file: 'migrations/002_slow.pssql',
      line: 2,
    })
    const tables = await queryDatabase(database, `select to_regclass('before') as before`)
    expect(tables).toEqual([{ before: null }])
    expect(await sessionsRunning(database, 'pg_sleep')).toBe(0)
    const history = await gateway.get(`/admin/deployments?platform=${platform}`)
    expect(history.body.deployments[0]).toMatchObject({
      status: 'failed',
      error: { error: 'query_timeout' },
    })
    expect((await gateway.call(platform, 'motto')).body.rows).toEqual([{ motto: 'first' }])
  })

  test('does not keep the database that it made', async () => {
    const platform = uniqueName('p')
    expect((await gateway.register(platform, await pack(SLOW))).status).toBe(504)
    const left = `select from pg_database where datname = '${platform}_main'`
    expect(await queryDatabase(gateway.server.database, left)).toHaveLength(0)
  })

  test('is cancelled between short statements, too', async () => {
    const statements = 'select pg_sleep(0.01);\n'.repeat(3000)
    const files = { 'migrations/001_many.pssql': statements }
    const { status, body } = await gateway.register(uniqueName('p'), await pack(files))
    expect([status, body.error]).toEqual([504, 'query_timeout'])
  })

  test('gives up where it waits for another one', async () => {
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(textFunction('motto', 'first')))
    const other = gateway.query(
      `${platform}_main`,
      `select pg_advisory_lock(hashtext('_db_gateway_deploy')), pg_sleep(5)`,
    )
    await until(async () => (await sessionsRunning(`${platform}_main`, 'pg_sleep')) === 1)
    const files = textFunction('motto', 'second')
    const { status, body } = await gateway.register(platform, await pack(files))
    expect([status, body.error]).toEqual([504, 'query_timeout'])
    await other
  })
})

describe('more deploys than may wait', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({
      MIGRATE_CONCURRENCY: '1',
      MAX_WAITING_DEPLOYS: '1',
      LOCK_TIMEOUT_SECS: '60',
    })
  })
  afterAll(() => gateway.stop())

  test('are told so at once, and those that wait are done', async () => {
    const platform = uniqueName('p')
    const motto = textFunction('motto', 'here')
    const archive = await pack(motto)
    await gateway.register(platform, archive)
    const holder = connectTo(`${platform}_main`)
    afterTest(() => holder.end())
    await holder`select pg_advisory_lock(42)`
    const files = { ...motto, 'migrations/001_waits.pssql': 'select pg_advisory_xact_lock(42);' }
    const running = gateway.register(platform, await pack(files))
    await until(async () => (await sessionsRunning(`${platform}_main`, 'xact_lock')) === 1)

    const others = [
      gateway.register(uniqueName('p'), archive),
      gateway.register(uniqueName('p'), archive),
    ]
    const { status, headers, body } = await Promise.race(others)
    expect([status, headers.get('retry-after')]).toEqual([503, '1'])
    expect(body).toEqual({
      error: 'pool_exhausted',
      message: '1 deploys wait for their turn (MAX_WAITING_DEPLOYS)',
    })
    await holder`select pg_advisory_unlock(42)`
    expect((await running).status).toBe(200)
    const statuses = (await Promise.all(others)).map((answer) => answer.status)
    expect(statuses.sort()).toEqual([200, 503])
    expect((await gateway.register(uniqueName('p'), archive)).status).toBe(200)
  })
})

test('a new database may take longer than the server lets sessions be idle', async () => {
  const url = await createAdminDatabase()
  const { database } = parseDatabaseUrl(url)
  const set = `alter database ${database} set idle_session_timeout = '600ms'`
  await queryDatabase(database, set, { asGateway: true })
  const platform = uniqueName('p')
  const slow = 'create table notes (id integer); select pg_sleep(1.5);'
  const gateway = await startTestGateway({ DATABASE_URL: url })
  try {
    const archive = await pack({ 'migrations/001_slow.pgsql': slow })
    expect((await gateway.register(platform, archive)).body).toMatchObject({ status: 'ready' })
  } finally {
    await gateway.stop()
    await dropAdminDatabase(url)
  }
})
