import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectTo,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// One deploy at a time is in a database, whatever its files do with locks.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const TRY = `select pg_try_advisory_lock(hashtext('_db_gateway_deploy')) as is_free`
const UNLOCK = 'select pg_advisory_unlock_all();'
const SLEEP = 'select pg_sleep(30);'

/** Begins a deploy to a new platform's database that sleeps in one of its migrations. */
async function sleepIn(files: Files) {
  const name = uniqueName('lock')
  const base = textFunction('motto', 'm')
  expect((await gateway.register(name, await pack(base))).status).toBe(200)
  const answer = gateway.register(name, await pack({ ...base, ...files }))
  const sleeping = (what: string) =>
    queryDatabase(
      'postgres',
      `select ${what} from pg_stat_activity where datname = '${name}_main' and wait_event = 'PgSleep'`,
      { asGateway: true },
    )
  await until(async () => (await sleeping('pid')).length > 0)
  const wake = () => sleeping('pg_cancel_backend(pid)')
  return { database: `${name}_main`, answer, wake }
}

test.each([
  ['in the deploy', `${UNLOCK}`],
  ['outside of a transaction', `-- gateway: no-transaction\n${UNLOCK}`],
])('pg_advisory_unlock_all() %s: the lock is taken again', async (_, first) => {
  const { database, answer, wake } = await sleepIn({
    'migrations/001_unlock.sql': first,
    'migrations/002_sleep.sql': SLEEP,
  })
  expect(await queryDatabase(database, TRY)).toEqual([{ is_free: false }])
  await wake()
  expect((await answer).body).toMatchObject({ file: 'migrations/002_sleep.sql' })
})

test('where another deploy has it by then, the file is at fault', async () => {
  const { database, answer, wake } = await sleepIn({
    'migrations/001_unlock.sql': `create table t (id int); ${UNLOCK}
      do $$ begin perform pg_sleep(30); exception when query_canceled then null; end $$;`,
  })
  const other = connectTo(database)
  try {
    expect((await other.unsafe(TRY))[0]).toEqual({ is_free: true })
    await wake()
    expect(await answer).toMatchObject({
      status: 422,
      body: {
        error: 'migration_failed',
        file: 'migrations/001_unlock.sql',
        cause: expect.stringMatching('released the lock of the deploy'),
      },
    })
  } finally {
    await other.end()
  }
  expect(await queryDatabase(database, `select to_regclass('t') as t`)).toEqual([{ t: null }])
})

describe('somebody holds a table whose default PostgreSQL has to look at', () => {
  const base: Files = { 'migrations/001_base.sql': 'create table t (id serial primary key);' }
  const next: Files = { ...base, 'migrations/002_next.sql': 'create table other (id int);' }

  /** Holds the table of a tenant that has two neighbours. */
  async function hold(gateway: TestGateway, tenant: string) {
    const name = uniqueName('held')
    const archive = await pack(base)
    for (const one of [undefined, 'a', 'b']) await gateway.register(name, archive, one)
    const holder = connectTo(`${name}_${tenant}`)
    await holder`begin`
    await holder`lock table t in access exclusive mode`
    return { name, holder }
  }

  test.each(['main', 'b'])('in %s: the deploy waits for it', async (tenant) => {
    const { name, holder } = await hold(gateway, tenant)
    const answer = gateway.migrate(name, await pack(next))
    // Longer than one try waits.
    await sleep(600)
    await holder`rollback`
    expect((await answer).body).toMatchObject({ status: 'completed', migrations_applied: 1 })
    await holder.end()
  })

  test('for too long: 503 names the session', async () => {
    const hasty = await startTestGateway({ LOCK_TIMEOUT_SECS: '1' })
    const { name, holder } = await hold(hasty, 'main')
    const [{ pid }] = await holder<[{ pid: number }]>`select pg_backend_pid() as pid`
    const { status, body } = await hasty.register(name, await pack(next))
    await holder.end()
    await hasty.stop()
    expect([status, body]).toMatchObject([503, { error: 'database_in_use', sessions: [{ pid }] }])
  })
})
