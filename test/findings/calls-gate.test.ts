import { afterAll, beforeAll, expect, test } from 'vitest'
import { LOCK_CLASS } from '../../lib/postgres/pools/call-sessions.ts'
import {
  connectTo,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// Calls at the gate that a deploy keeps closed, whatever limits of PostgreSQL's they have.

let gateway: TestGateway
const platform = uniqueName('gate')
const database = `${platform}_main`

beforeAll(async () => {
  gateway = await startTestGateway({ STATEMENT_TIMEOUT_SECS: '1' })
  expect(await gateway.register(platform, await pack(textFunction('ping', 'pong')))).toMatchObject({
    status: 200,
  })
})
afterAll(() => gateway.stop())

const asGateway = (sql: string) => queryDatabase(database, sql, { asGateway: true })

/** Calls while the gate is closed; `meanwhile` runs once the call waits there. */
async function callAtGate(path: string, body: object, meanwhile: () => Promise<unknown>) {
  const sql = connectTo(database)
  try {
    await sql.unsafe(`select pg_advisory_lock(${LOCK_CLASS}, 1)`)
    const answer = gateway.post(path, { platform, ...body })
    await until(async () => (await waiting()).length > 0)
    await meanwhile()
    await sql.unsafe('select pg_advisory_unlock_all()')
    return await answer
  } finally {
    await sql.end()
  }
}

const waiting = () =>
  asGateway(`
    select l.pid from pg_locks l join pg_database d on d.oid = l.database
    where d.datname = current_database() and l.locktype = 'advisory' and not l.granted
  `)

/** Until the sessions that there are have gone. */
async function renew(sql: string): Promise<void> {
  await asGateway(sql)
  await asGateway(`
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`)
}

test('the limits of statements and locks are none of the gate', async () => {
  await renew(`alter database ${database} set lock_timeout = '200ms'`)
  const pause = () => asGateway('select pg_sleep(1.4)')
  const answer = await callAtGate('/call', { function: 'ping' }, pause)
  expect(answer).toMatchObject({ status: 200, body: { rows: [{ ping: 'pong' }] } })
  // They hold again behind it.
  const limits = { function: 'limits' }
  await queryDatabase(
    database,
    `create function limits() returns text language plpgsql as $$
      begin return current_setting('statement_timeout') || ' ' || current_setting('lock_timeout'); end $$`,
  )
  expect((await gateway.post('/call', { platform, ...limits })).body.rows).toEqual([
    { limits: '1s 200ms' },
  ])
})

test.each([
  ['/call', { function: 'ping' }],
  ['/batch', { calls: [{ function: 'ping' }] }],
])('%s tells an error of PostgreSQL at the gate as what it is', async (path, body) => {
  await renew('select 1')
  const answer = await callAtGate(path, body, async () => {
    for (const { pid } of await waiting()) await asGateway(`select pg_cancel_backend(${pid})`)
  })
  expect(answer).toMatchObject({
    status: 503,
    body: {
      error: 'connection_failed',
      cause: expect.stringContaining('canceling statement'),
      sqlstate: '57014',
      may_have_run: false,
      message: expect.stringContaining('the function has not run'),
    },
  })
})
