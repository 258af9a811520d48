import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { type BehindProxy, startBehindProxy } from '../helpers/behind-proxy.ts'
import type { FaultProxy, Verdict } from '../helpers/fault-proxy.ts'
import {
  connectTo,
  dropDatabase,
  type Json,
  queryDatabase,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const platform = uniqueName('lost')
const database = `${platform}_main`
let behind: BehindProxy
let proxy: FaultProxy
let gateway: TestGateway

beforeAll(async () => {
  behind = await startBehindProxy({
    STATEMENT_TIMEOUT_SECS: '1',
    CONNECT_TIMEOUT_SECS: '2',
  })
  gateway = behind.gateway
  proxy = behind.proxy
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await queryDatabase(database, FUNCTIONS)
})
afterAll(() => behind.stop())
afterEach(() => proxy.heal())

const FUNCTIONS = `
  create table runs (id text not null);
  create function note(p_id text, p_seconds float8 default 0) returns text language plpgsql as $$
    begin
      insert into runs values (p_id);
      perform pg_sleep(p_seconds);
      return p_id;
    end $$;
  create function look(p_id text) returns text language sql stable as $$ select p_id $$;
  create function look_slowly(p_id text) returns text language sql stable
    as $$ select p_id from pg_sleep(0.3) $$;
  create function look_again(p_id text) returns text language sql stable
    as $$ select p_id from pg_sleep(0.3) $$;
  create table item (id text not null);
  insert into item values ('a'), ('b');
  create function items_of(p_id text) returns setof item language sql stable
    as $$ select * from item where id = p_id $$;
  create function end_me() returns text language plpgsql as $$
    begin
      insert into runs values ('end_me');
      perform pg_terminate_backend(pg_backend_pid()), pg_sleep(1);
      return 'still here';
    end $$;
  create type pair as (one int, two int);
  create function sum_of(p_pair pair) returns int language sql as $$ select (p_pair).one + (p_pair).two $$;
  create procedure note_twice(p_id text) language plpgsql as $$
    begin
      insert into runs values (p_id);
      commit;
      insert into runs values (p_id);
    end $$;
`

let lastId = 0
const newId = () => `id-${++lastId}`

const call = async (name: string, params: unknown[], more: object = {}): Promise<Json> => {
  const request = { platform, function: name, params, ...more }
  const { status, headers, body } = await gateway.post('/call', request)
  return { status, headers, ...body }
}

async function runsOf(id: string): Promise<number> {
  const [row] = await queryDatabase(
    database,
    `select count(*)::int as n from runs where id = '${id}'`,
  )
  return row.n
}

const NDJSON = { accept: 'application/x-ndjson' }

const stream = async (name: string, params: unknown[]): Promise<Json> => {
  const request = { platform, function: name, params }
  const { status, headers, body } = await gateway.post('/call', request, NDJSON)
  return typeof body === 'string' ? { status, body } : { status, headers, ...body }
}

/**
 * The next sessions to which the gateway sends something with this text are ended before it comes to them, as
 * those are that a shutdown meets.
 */
function endBefore(text: string, sessions: number): () => number {
  let met = 0
  proxy.inspect((bytes) => {
    if (met === sessions || !bytes.includes(text)) return 'forward'
    met++
    // This alone is held up.
    proxy.delay(300)
    setImmediate(() => proxy.delay(0))
    queryDatabase(
      database,
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = '${database}' and pid <> pg_backend_pid()`,
    )
    return 'forward'
  })
  return () => met
}

/** The gateway's connections to the platform's database that run a statement like this. */
const runningLike = (text: string) =>
  queryDatabase(
    database,
    `select pid from pg_stat_activity
     where datname = '${database}' and state = 'active' and pid <> pg_backend_pid()
       and query like '%${text}%'`,
  )

async function killWhenRunning(text: string): Promise<void> {
  const [{ pid }] = await eventually(`${text} runs`, async () => {
    const rows = await runningLike(text)
    return rows.length > 0 && rows
  })
  await queryDatabase(database, `select pg_terminate_backend(${pid})`)
}

/** Its connections but the one that listens are closed, so that the next call opens one. */
async function withoutConnections(): Promise<void> {
  // What it remembers of functions and databases stays.
  await call('note', [newId()])
  const { pools, listener } = gateway.gateway
  const { capacity } = pools
  // What is opened later would have the cuts of the next call: the listener that the test before has cut,
  // and the look for changes by hand, which a call may begin.
  await eventually('the gateway listens', () => listener.use(async () => true).catch(() => false))
  await eventually('nothing is under way', () =>
    pools.report().pools.every(({ busy, waiting }) => busy + waiting === 0),
  )
  pools.setCapacity(1)
  await eventually('the gateway has one connection', () => connections() === 1)
  pools.setCapacity(capacity)
}

const connections = () => gateway.gateway.pools.status().connections

/** Calls until the function has shown itself quick: it shares a connection then. */
async function warmUp(name: string): Promise<void> {
  for (let i = 0; i < 12; i++) expect((await call(name, [newId()])).status).toBe(200)
}

/** The first bytes from the gateway with this text in them meet the verdict; all others pass. */
function once(text: string, verdict: Verdict): () => number {
  let met = 0
  proxy.inspect((bytes) => {
    if (met > 0 || !bytes.includes(text)) return 'forward'
    met++
    return verdict
  })
  return () => met
}

const MAY_HAVE_RUN = {
  status: 503,
  error: 'connection_failed',
  message: 'PostgreSQL does not answer; the function may have run',
  may_have_run: true,
}

async function expectNoLeak(): Promise<void> {
  await eventually('permits and connections agree', () => connections() === proxy.links)
}

describe('a call whose connection is lost after it was sent', () => {
  test('its backend is terminated: 503, it says that it was rolled back, and it is not run again', async () => {
    const id = newId()
    const [answer] = await Promise.all([call('note', [id, 0.9]), killWhenRunning('note')])
    expect(answer).toMatchObject({
      status: 503,
      error: 'connection_failed',
      message: 'PostgreSQL ended the connection; the function was rolled back',
      may_have_run: false,
      sqlstate: '57P01',
    })
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(await runsOf(id)).toBe(0)
    expect(await call('note', [id])).toMatchObject({ status: 200 })
  })

  test('the answer is lost on its way: it has run once', async () => {
    const id = newId()
    const met = once(id, 'forward, and cut instead of the answer')
    expect(await call('note', [id])).toMatchObject(MAY_HAVE_RUN)
    expect(met()).toBe(1)
    await eventually('it has run', async () => (await runsOf(id)) === 1)
  })

  test('the same of a quick one, which shares its connection', async () => {
    await warmUp('note')
    const id = newId()
    once(id, 'forward, and cut instead of the answer')
    expect(await call('note', [id])).toMatchObject(MAY_HAVE_RUN)
    await eventually('it has run', async () => (await runsOf(id)) === 1)
  })

  test('the same in a transaction with settings', async () => {
    const id = newId()
    await call('note', [newId()], { session: { 'app.user': 'anna' } })
    once(id, 'forward, and cut instead of the answer')
    const answer = await call('note', [id], { session: { 'app.user': 'anna' } })
    expect(answer).toMatchObject(MAY_HAVE_RUN)
    expect(await runsOf(id)).toBeLessThanOrEqual(1)
  })

  test('a procedure is not run again', async () => {
    const id = newId()
    await call('note_twice', [newId()])
    once(id, 'forward, and cut instead of the answer')
    expect(await call('note_twice', [id])).toMatchObject(MAY_HAVE_RUN)
    await eventually('it has run', async () => (await runsOf(id)) === 2)
  })

  test('one that is STABLE is run again, and answered', async () => {
    const [answer] = await Promise.all([
      call('look_slowly', ['stable']),
      killWhenRunning('look_slowly'),
    ])
    expect(answer).toMatchObject({ status: 200, rows: [{ look_slowly: 'stable' }] })
  })

  test('so is GET', async () => {
    const [answer] = await Promise.all([
      gateway.get(`/call/${platform}/look_again?p_id=stable`),
      killWhenRunning('look_again'),
    ])
    expect(answer).toMatchObject({ status: 200, body: { rows: [{ look_again: 'stable' }] } })
  })

  test('what PostgreSQL has said of it before is told', async () => {
    for (let i = 0; i < 12; i++) {
      expect(await call('sum_of', [{ one: i, two: 1 }])).toMatchObject({ status: 200 })
    }
    const met = once('select (select "p_pair"', 'cut')
    // The gateway was about to find out which of its parameters does not convert.
    expect(await call('sum_of', [{ one: 'no number' }])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: '22P02',
    })
    expect(met()).toBe(1)
  })

  test('its statement is lost on the way: the gateway cannot know that it has not run', async () => {
    await withoutConnections()
    const met = once('"note"(', 'cut')
    const id = newId()
    expect(await call('note', [id])).toMatchObject(MAY_HAVE_RUN)
    expect(met()).toBe(1)
    expect(await runsOf(id)).toBe(0)
  })

  test('a batch whose answers are lost is not run again', async () => {
    const rolledBack = {
      status: 503,
      error: 'connection_failed',
      message: 'PostgreSQL does not answer; the function was rolled back',
      may_have_run: false,
    }
    for (const transaction of [false, true]) {
      const id = newId()
      const calls = [
        { function: 'note', params: [id] },
        { function: 'note', params: [id] },
      ]
      once(id, 'forward, and cut instead of the answer')
      const { status, body } = await gateway.post('/batch', { platform, calls, transaction })
      // The commit of a transaction goes out when all answers are there.
      expect({ status, ...body }).toMatchObject(transaction ? rolledBack : MAY_HAVE_RUN)
      expect(await runsOf(id)).toBeLessThanOrEqual(transaction ? 0 : 2)
    }
  })

  test('a batch of functions that only read is run again: all of it, or what had no answer', async () => {
    const calls = ['a', 'b', 'look lost', 'd'].map((id) => ({ function: 'look', params: [id] }))
    const rows = calls.map(({ params: [look] }) => ({ rows: [{ look }] }))
    for (const transaction of [false, true]) {
      const met = once('look lost', 'forward, and cut instead of the answer')
      const { status, body } = await gateway.post('/batch', { platform, calls, transaction })
      expect({ status, ...body }).toMatchObject({ status: 200, results: rows })
      expect(met()).toBe(1)
    }
    const some = [calls[0]!, { function: 'look_slowly', params: ['one of them'] }]
    const [{ status, body }] = await Promise.all([
      gateway.post('/batch', { platform, calls: some, transaction: false }),
      killWhenRunning('look_slowly'),
    ])
    expect({ status, ...body }).toMatchObject({
      status: 200,
      results: [rows[0], { rows: [{ look_slowly: 'one of them' }] }],
    })
  })

  test('a batch that was ended while it was planned is run again', async () => {
    const calls = ['a', 'b'].map((id) => ({ function: 'items_of', params: [id] }))
    const ask = () => gateway.post('/batch', { platform, calls, transaction: false })
    await ask()
    const sql = connectTo(database)
    const answer = await sql.begin(async (locked) => {
      await locked`lock table item in access exclusive mode`
      const answer = ask()
      await killWhenRunning('items_of')
      return { answer }
    })
    await sql.end()
    expect(await answer.answer).toMatchObject({
      status: 200,
      body: { results: [{ rows: [{ id: 'a' }] }, { rows: [{ id: 'b' }] }] },
    })
  })

  test('when PostgreSQL says nothing any more, it is answered all the same', async () => {
    await call('note', [newId()])
    proxy.blackHole()
    // STATEMENT_TIMEOUT_SECS and 5 s.
    expect(await call('note', [newId()])).toMatchObject({ ...MAY_HAVE_RUN, cause: 'ETIMEDOUT' })
  })
})

describe('a call that has certainly not begun is made once more', () => {
  test('where its connection is cut as it is opened', async () => {
    await withoutConnections()
    const id = newId()
    proxy.cutNext(1)
    expect(await call('note', [id])).toMatchObject({ status: 200 })
    expect(await runsOf(id)).toBe(1)
  })

  test('and answered with 503 that says so where it fails again', async () => {
    await withoutConnections()
    const id = newId()
    proxy.cutNext(2)
    expect(await call('note', [id])).toMatchObject({
      status: 503,
      error: 'connection_failed',
      message: 'PostgreSQL does not answer; the function has not run',
      may_have_run: false,
    })
    expect(await runsOf(id)).toBe(0)
  })

  test('a batch, too', async () => {
    await withoutConnections()
    const calls = [{ function: 'note', params: [newId()] }]
    proxy.cutNext(1)
    expect(await gateway.post('/batch', { platform, calls })).toMatchObject({ status: 200 })
  })

  test('and so is the question to whom a database belongs', async () => {
    await withoutConnections()
    proxy.cutNext(1)
    const answer = await gateway.call(uniqueName('unknown'), 'ping')
    expect(answer).toMatchObject({ status: 404, body: { error: 'database_not_found' } })
  })
})

describe('a stream', () => {
  test.each(['note', 'look'])(
    '%s: begins on another session where its own is ended',
    async (name) => {
      expect(await stream(name, [newId()])).toMatchObject({ status: 200 })
      const id = newId()
      const met = endBefore(id, 1)
      expect(await stream(name, [id])).toEqual({ status: 200, body: `{"${name}":"${id}"}\n` })
      expect(met()).toBe(1)
    },
  )

  test.each(['note', 'look'])(
    '%s: is 503 where sessions are ended again and again',
    async (name) => {
      const id = newId()
      const met = endBefore(id, 20)
      const answer = await stream(name, [id])
      expect(answer).toMatchObject({
        status: 503,
        error: 'connection_failed',
        message: 'PostgreSQL ended the connection; the function has not run',
        may_have_run: false,
        sqlstate: '57P01',
      })
      expect(answer.headers.get('retry-after')).toBe('1')
      expect(met()).toBe(2)
    },
  )

  test('whose session ends while its function runs says that it was rolled back', async () => {
    const rolledBack = {
      status: 503,
      error: 'connection_failed',
      message: 'PostgreSQL ended the connection; the function was rolled back',
      may_have_run: false,
    }
    expect(await call('end_me', [])).toMatchObject(rolledBack)
    expect(await stream('end_me', [])).toMatchObject(rolledBack)
    expect(await runsOf('end_me')).toBe(0)
  })

  test('that only reads begins once more where its session ends before the first rows', async () => {
    const [answer] = await Promise.all([
      stream('look_slowly', ['x']),
      killWhenRunning('look_slowly'),
    ])
    expect(answer).toEqual({ status: 200, body: '{"look_slowly":"x"}\n' })
  })
})

describe('afterwards', () => {
  test('calls succeed and no permit is lost, whatever the network did', async () => {
    const faults: (() => void)[] = [
      () => proxy.cut(),
      () => proxy.halfClose('PostgreSQL'),
      () => proxy.halfClose('gateway'),
      () => proxy.delay(50),
    ]
    for (const fault of faults) {
      await warmUp('look')
      const calls = Array.from({ length: 10 }, () => call('note', [newId(), 0.05]))
      fault()
      for (const { status, error } of await Promise.all(calls)) {
        expect([status, error]).toBeOneOf([
          [200, undefined],
          [503, 'connection_failed'],
        ])
      }
      proxy.heal()
      expect(await call('note', [newId()])).toMatchObject({ status: 200 })
      await expectNoLeak()
    }
  })

  test('a database that was dropped and created again under its connections works', async () => {
    const tenant = 'again'
    const again = `${platform}_${tenant}`
    const home = parseDatabaseUrl(behind.adminUrl).database
    const archive = await pack(textFunction('ping', 'pong'))
    const ping = () => gateway.call(platform, 'ping', [], tenant)
    await gateway.register(platform, archive, tenant)
    for (let i = 0; i < 12; i++) expect(await ping()).toMatchObject({ status: 200 })

    await dropDatabase(again)
    await eventually('it is told that the database is gone', async () => {
      const { status, body } = await ping()
      return status === 404 && body.error === 'database_not_found'
    })
    await queryDatabase(home, `create database ${again}`)
    // Another gateway that starts takes CONNECT from PUBLIC.
    await queryDatabase(home, `grant connect on database ${again} to gw_${platform}`)
    await queryDatabase(
      again,
      `create function ping() returns text language sql as $$ select 'again' $$`,
    )
    expect(await ping()).toMatchObject({ status: 200, body: { rows: [{ ping: 'again' }] } })
    await expectNoLeak()
  })
})
