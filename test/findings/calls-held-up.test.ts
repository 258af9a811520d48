import { afterAll, beforeAll, expect, test } from 'vitest'
import { LOCK_CLASS } from '../../lib/postgres/pools/call-sessions.ts'
import {
  connectTo,
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// Calls that meet a deploy which keeps sessions from being opened, or ends them.

const FILES: Files = {
  'migrations/001_types.pssql': `
    create type pair as (k text, n int);
    create table note (body text);`,
  'functions/notes.pssql': `
    create function note(p_body text) returns text language plpgsql as $$
      begin insert into note values (p_body); return p_body; end $$;
    create function gives_up() returns int language plpgsql as $$
      begin
        perform pg_advisory_unlock_all();
        return (
          select count(*) from pg_locks
          where locktype = 'advisory' and classid = ${LOCK_CLASS} and objid = 2 and pid = pg_backend_pid()
        );
      end $$;
    create function slow_note(p_body text, p_seconds float8) returns text language plpgsql as $$
      begin insert into note values (p_body); perform pg_sleep(p_seconds); return p_body; end $$;`,
}

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ CONNECT_TIMEOUT_SECS: '3' })
})
afterAll(() => gateway.stop())

async function newPlatform() {
  const platform = uniqueName('met')
  const database = `${platform}_main`
  expect(await gateway.register(platform, await pack(FILES))).toMatchObject({ status: 200 })
  const notes = async () =>
    (await queryDatabase(database, 'select body from note order by body')).map(
      ({ body }: Json) => body,
    )
  return { platform, database, notes }
}

/** Closes the gate of a database, as a deploy does; the result opens it again. */
async function closeGate(database: string): Promise<() => Promise<void>> {
  const sql = connectTo(database)
  await sql.unsafe(`select pg_advisory_lock(${LOCK_CLASS}, 1)`)
  return () => sql.end()
}

/** As an administrator does. */
const endSlowNotes = (database: string) =>
  queryDatabase(
    database,
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and query like '/* slow_note */%' and pid <> pg_backend_pid()`,
    { asGateway: true },
  )

const callNote = (platform: string, body: string) =>
  gateway.post('/call', { platform, function: 'note', params: [body], timeout_ms: 300 })

test('a call whose time is up while sessions are kept from being opened has not run, and never does', async () => {
  const { platform, database, notes } = await newPlatform()
  const open = await closeGate(database)
  const started = performance.now()
  const answers = await Promise.all(['a', 'b', 'c'].map((body) => callNote(platform, body)))
  const batch = await gateway.post('/batch', {
    platform,
    calls: [{ function: 'note', params: ['d'] }],
    transaction: true,
    timeout_ms: 300,
  })
  const tookMs = performance.now() - started
  await open()
  for (const answer of [...answers, batch]) {
    expect(answer).toMatchObject({
      status: 504,
      body: { error: 'query_timeout', may_have_run: false },
    })
  }
  expect(tookMs).toBeLessThan(2500)
  // Behind those that were waiting for the session.
  expect(await gateway.call(platform, 'note', ['later'])).toMatchObject({ status: 200 })
  expect(await notes()).toEqual(['later'])
})

test('a call waits once for sessions that are kept from being opened', async () => {
  const { platform, database } = await newPlatform()
  const open = await closeGate(database)
  const started = performance.now()
  const answer = await gateway.call(platform, 'note', ['a'])
  const tookMs = performance.now() - started
  await open()
  expect(answer).toMatchObject({ status: 503, body: { error: 'pool_exhausted' } })
  expect(tookMs).toBeLessThan(5000)
})

test('a transaction that is cut before its commit was rolled back, and the answer says so', async () => {
  const { platform, database, notes } = await newPlatform()
  const batch = gateway.post('/batch', {
    platform,
    transaction: true,
    calls: [
      { function: 'note', params: ['a'] },
      { function: 'slow_note', params: ['b', 20] },
    ],
  })
  await until(async () => (await sessionsRunning(database, '/* slow_note */')) > 0)
  await endSlowNotes(database)
  expect(await batch).toMatchObject({
    status: 503,
    body: { may_have_run: false, message: expect.stringContaining('rolled back') },
  })
  expect(await notes()).toEqual([])
})

test.each([
  ['/call', (call: object) => call],
  ['/batch', (call: object) => ({ calls: [call], transaction: true })],
  ['/batch', (call: object) => ({ calls: [call] })],
])(
  '%s: what an administrator ends does not run again, though a deploy has renewed the sessions',
  async (path, bodyOf) => {
    const { platform, database, notes } = await newPlatform()
    const call = { function: 'slow_note', params: ['a', 20] }
    const answer = gateway.post(path, { platform, ...bodyOf(call) })
    await until(async () => (await sessionsRunning(database, '/* slow_note */')) > 0)
    const other = 'create function other() returns int language sql as $$ select 1 $$;'
    const deploy = await gateway.migrate(
      platform,
      await pack({ ...FILES, 'functions/other.pssql': other }),
    )
    expect(deploy).toMatchObject({ status: 200 })
    await endSlowNotes(database)
    const { status, body } = await answer
    const told = body.results?.[0] ?? { status, ...body }
    expect(told).toMatchObject({ status: 503, message: expect.stringContaining('rolled back') })
    expect(told.may_have_run).toBe(false)
    expect(await notes()).toEqual([])
  },
)

test('a transaction that a deploy cuts runs again', async () => {
  const { platform, database, notes } = await newPlatform()
  const batch = gateway.post('/batch', {
    platform,
    transaction: true,
    calls: [
      { function: 'note', params: ['a'] },
      { function: 'slow_note', params: ['b', 4] },
    ],
  })
  await until(async () => (await sessionsRunning(database, '/* slow_note */')) > 0)
  const change = 'alter type pair alter attribute n type text cascade;'
  const directive = '-- gateway: allow-data-loss\n'
  const deploy = await gateway.migrate(
    platform,
    await pack({ ...FILES, 'migrations/002_text.pssql': `${directive}${change}` }),
  )
  expect(deploy).toMatchObject({ status: 200 })
  expect(await batch).toMatchObject({ status: 200 })
  expect(await notes()).toEqual(['a', 'b'])
})

test('a function that gives up its locks is present until it ends', async () => {
  const { platform } = await newPlatform()
  const { body } = await gateway.call(platform, 'gives_up')
  expect(body).toMatchObject({ rows: [{ gives_up: 1 }] })
  const batch = await gateway.post('/batch', {
    platform,
    transaction: true,
    calls: [{ function: 'gives_up' }, { function: 'gives_up' }],
  })
  expect(batch.body.results).toMatchObject([
    { rows: [{ gives_up: 1 }] },
    { rows: [{ gives_up: 1 }] },
  ])
})
