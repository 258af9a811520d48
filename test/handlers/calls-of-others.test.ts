import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { startProxy, urlThrough } from '../helpers/behind-proxy.ts'
import type { FaultProxy } from '../helpers/fault-proxy.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

// What one call does to another that shares something with it: a session, what is known of the
// functions, the room for answers.

const platform = uniqueName('others')
const database = `${platform}_main`
let adminUrl: string
let proxy: FaultProxy
let gateway: TestGateway

const SETTINGS = {
  MAX_CONNECTIONS_PER_POOL: '2',
  MAX_BUFFERED_BYTES: '4000000',
  POOL_WAIT_TIMEOUT_SECS: '5',
}

beforeAll(async () => {
  adminUrl = await createAdminDatabase()
  proxy = await startProxy()
  await start()
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await queryDatabase(
    database,
    `
    create table runs (id text);
    create type pair as (a int, b int);
    create function nap(p_ms float8) returns text language sql stable as
      $$ select 'napped' from pg_sleep(p_ms / 1000) $$;
    create function big(p_n int) returns text language sql stable as $$ select repeat('x', p_n) $$;
    create function echo(p text) returns text language sql stable as $$ select p $$;
    create function hold(p_ms float8) returns void language plpgsql as
      $$ begin insert into runs values ('hold'); perform pg_sleep(p_ms / 1000); end $$;
    create function note(p text) returns text language plpgsql as
      $$ begin insert into runs values (p); return p; end $$;
    create function note_big(p text) returns text language plpgsql as
      $$ begin insert into runs values (p); return repeat('x', 300000); end $$;
    create function note_within(p text) returns text language plpgsql stable as
      $$ begin perform note(p); return p; end $$;
    create function try_note(p text) returns void language plpgsql as
      $$ begin insert into runs values (p); exception when others then null; end $$;
    create function tries_within(p text) returns text language plpgsql stable as
      $$ begin perform try_note(p); return p; end $$;
    create procedure note_later(p text, p_pair pair) language plpgsql as
      $$ begin insert into runs values (p); end $$;
    create function divide(p int) returns int language plpgsql as $$
    begin
      return (select 1 / p /*
unnamed portal parameter $9 */);
    end $$;
    create function divide_first(p int) returns int language plpgsql as $$
    begin
      return (select 1 / p /*
unnamed portal parameter $1 */);
    end $$;
    create function prepares() returns void language plpgsql as $$
    begin
      execute 'deallocate all';
      for i in 1..50 loop
        execute format('prepare gateway_%s as select 1', i);
      end loop;
    end $$;
  `,
  )
})

afterAll(async () => {
  await gateway?.stop()
  await proxy?.stop()
  if (adminUrl) await dropAdminDatabase(adminUrl)
})

afterEach(async () => {
  const { buffered } = gateway.gateway
  await eventually('the room is free again', () => buffered.taken === 0 && buffered.waiting === 0)
})

async function start(): Promise<void> {
  const url = urlThrough(proxy, parseDatabaseUrl(adminUrl).database)
  gateway = await startTestGateway({ DATABASE_URL: url, ...SETTINGS })
}

/** A gateway that has to read the functions, since nothing is stored of them. */
async function startCold(): Promise<void> {
  await gateway.stop()
  await forgetStored()
  await start()
}

async function forgetStored(): Promise<void> {
  const { database: admin } = parseDatabaseUrl(adminUrl)
  await queryDatabase(admin, 'update _db_gateway_databases set functions_digest = null', {
    asGateway: true,
  })
}

async function call(name: string, params: unknown[] = [], more: object = {}): Promise<Json> {
  const at = performance.now()
  const request = { platform, function: name, params, ...more }
  const { status, body } = await gateway.post('/call', request)
  return { status, ms: performance.now() - at, ...body }
}

function batch(calls: Json[], more: object = {}): Promise<Json> {
  return gateway.post('/batch', { platform, calls, ...more })
}

async function runsOf(id: string): Promise<number> {
  const [row] = await queryDatabase(
    database,
    `select count(*)::int as n from runs where id = '${id}'`,
  )
  return row.n
}

/** Asks on a socket of its own, and closes that. */
async function askAndLeave(path: string, request: object, afterMs: number): Promise<void> {
  const { port, hostname } = new URL(gateway.url)
  const body = JSON.stringify({ platform, ...request })
  const socket = connect(Number(port), hostname).on('error', () => {})
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  await sleep(afterMs)
  socket.destroy()
}

describe('in a shared session', () => {
  const warmUp = async () => {
    for (let i = 0; i < 20; i++) {
      await Promise.all([call('nap', [0]), call('big', [10]), call('echo', ['a'])])
    }
  }

  test('a client that leaves its large answer does not end the calls behind', async () => {
    for (let round = 0; round < 5; round++) {
      await warmUp()
      const first = call('nap', [7])
      await sleep(1)
      const gone = askAndLeave('/call', { function: 'big', params: [300_000] }, 3)
      await sleep(1.5)
      const others = Array.from({ length: 8 }, (_, i) => call('echo', [`${i}`]))
      await Promise.all([first, gone])
      expect((await Promise.all(others)).map(({ echo, rows }) => echo ?? rows[0].echo)).toEqual(
        others.map((_, i) => `${i}`),
      )
    }
  })

  test('nor does a large answer that comes when its call has gone elsewhere', async () => {
    for (let round = 0; round < 5; round++) {
      await warmUp()
      const first = call('nap', [16])
      await sleep(1)
      const second = call('nap', [9])
      const big = call('big', [300_000])
      await first
      const others = await Promise.all(['a', 'b', 'c'].map((text) => call('echo', [text])))
      expect(others.map(({ rows }) => rows?.[0].echo)).toEqual(['a', 'b', 'c'])
      await second
      expect((await big).rows[0].big).toHaveLength(300_000)
    }
  })
})

describe('an error whose context looks like that of a parameter', () => {
  test('is the one of the function', async () => {
    for (const name of ['divide', 'divide_first']) {
      expect(await call(name, [0])).toMatchObject({ status: 400, error: 'query_failed' })
    }
  })

  test('costs no connection', async () => {
    for (let i = 0; i < 4; i++) await call('divide', [0])
    for (let i = 0; i < 10; i++) await call('divide', [1])
    const answers = await Promise.all(Array.from({ length: 4 }, () => call('divide', [0])))
    expect(answers.map(({ error }) => error)).toEqual(Array(4).fill('query_failed'))
    expect(await call('ping')).toMatchObject({ status: 200 })
  })
})

describe('while the functions of a database are not known', () => {
  test('batches and streams wait for no connection that another of them has', async () => {
    await startCold()
    const at = performance.now()
    const [stream, ...batches] = await Promise.all([
      gateway.post(
        '/call',
        { platform, function: 'echo', params: ['s'] },
        { accept: 'application/x-ndjson' },
      ),
      ...['1', '2', '3'].map((text) => batch([{ function: 'echo', params: [text] }])),
    ])
    expect(performance.now() - at).toBeLessThan(4000)
    expect(stream.status).toBe(200)
    expect(batches.map(({ body }) => body.results[0].rows)).toEqual(
      ['1', '2', '3'].map((echo) => [{ echo }]),
    )
  })

  test('each call waits as long as it says itself', async () => {
    await call('echo', [''])
    const holding = [call('hold', [1500]), call('hold', [1500])]
    await sleep(200)
    await forgetStored()
    gateway.gateway.calls.functions.forget(database)
    const first = call('echo', ['first'], { timeout_ms: 150 })
    await sleep(20)
    const others = [call('echo', ['second']), call('echo', ['third'], { timeout_ms: 200 })]
    expect(await first).toMatchObject({ status: 504, error: 'query_timeout' })
    expect(await others[1]).toMatchObject({ status: 504, error: 'query_timeout' })
    expect(await others[0]).toMatchObject({ status: 200 })
    await Promise.all(holding)
  })

  test('a client that leaves a batch meanwhile has nothing run', async () => {
    const admin = connectTo(parseDatabaseUrl(adminUrl).database)
    const locking = await admin.reserve()
    await locking.unsafe('begin; lock table _db_gateway_databases')
    gateway.gateway.calls.functions.forget(database)
    const calls = [{ function: 'note', params: ['left'] }]
    await askAndLeave('/batch', { transaction: true, calls }, 300)
    await locking.unsafe('commit')
    locking.release()
    await admin.end()
    await sleep(1000)
    expect(await runsOf('left')).toBe(0)
  })

  test('a batch whose client leaves later is cancelled', async () => {
    await startCold()
    const running = async () => {
      const [row] = await queryDatabase(
        database,
        `select count(*)::int as n from pg_stat_activity
         where datname = current_database() and state = 'active' and query like '/* hold */%'`,
        { asGateway: true },
      )
      return row.n
    }
    const left = askAndLeave('/batch', { calls: [{ function: 'hold', params: [20_000] }] }, 5000)
    await expect.poll(running, { timeout: 4900 }).toBe(1)
    await left
    await expect.poll(running, { timeout: 5000 }).toBe(0)
  })

  test('invented names have few questions asked', async () => {
    const { pools } = gateway.gateway
    await call('ping')
    const use = vi.spyOn(pools, 'lease')
    const names = Array.from({ length: 100 }, (_, i) => ({ function: `invented_${i}` }))
    const { body } = await batch(names)
    const asked = use.mock.calls.filter(([name]) => name === database).length
    use.mockRestore()
    expect(body.results).toHaveLength(100)
    expect(body.results[99].error).toBe('function_not_found')
    expect(asked).toBeLessThan(50)
  })
})

describe('what may have been written', () => {
  test('is said where the answer finds no room', async () => {
    const { buffered } = gateway.gateway
    const holder = buffered.newHolder()
    buffered.take(holder, buffered.capacity)
    const calls = ['b1', 'b2'].map((id) => ({ function: 'note_big', params: [id] }))
    const [one, many] = await Promise.all([call('note_big', ['one']), batch(calls)])
    buffered.end(holder, new Error('over'))
    expect(one).toMatchObject({ status: 503, may_have_run: true })
    for (const result of many.body.results) expect(result).toMatchObject({ may_have_run: true })
    expect(await runsOf('one')).toBe(1)
  })

  test('is not written again by a function that only claims to read', async () => {
    await call('note_within', ['warm'])
    let cuts = 0
    proxy.inspect((bytes) => {
      if (cuts > 0 || !bytes.includes('only once')) return 'forward'
      cuts++
      return 'forward, and cut instead of the answer'
    })
    expect(await call('note_within', ['only once'])).toMatchObject({ may_have_run: true })
    proxy.heal()
    expect(await runsOf('only once')).toBe(1)
  })

  test('is written by a function that claims to read and handles all errors, wherever it runs', async () => {
    const params = ['tried']
    const request = { platform, function: 'tries_within', params }
    const calls = [{ function: 'tries_within', params }]
    const answers = [
      await gateway.post('/call', request),
      await gateway.post('/call', request, { accept: 'application/x-ndjson' }),
      await batch(calls, { transaction: true }),
      await batch(calls, { transaction: false }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(await runsOf('tried')).toBe(4)
  })

  test('is not begun by a procedure whose client has gone meanwhile', async () => {
    await call('note_later', ['warm', { a: 1, b: 2 }])
    let calledAt = 0
    proxy.inspect((bytes) => {
      if (bytes.includes('/* note_later */ call')) calledAt = performance.now()
      return 'forward'
    })
    proxy.delay(60)
    for (const afterMs of [80, 110, 140]) {
      calledAt = 0
      const params = [`left ${afterMs}`, { a: 1, b: 2 }]
      await askAndLeave('/call', { function: 'note_later', params }, afterMs)
      const leftAt = performance.now()
      await sleep(800)
      expect(calledAt).toBeLessThan(leftAt + 20)
    }
    proxy.heal()
  })
})

describe('timeout_ms', () => {
  test('holds while it is asked whether a function is as it is known', async () => {
    await call('echo', [''])
    const holding = [call('hold', [2500]), call('hold', [2500])]
    await sleep(300)
    const { status, ms } = await call('echo', ['too', 'many'], { timeout_ms: 200 })
    expect(status).toBe(504)
    expect(ms).toBeLessThan(1500)
    await Promise.all(holding)
  })

  test('holds while the answer waits for room', async () => {
    const { buffered } = gateway.gateway
    const holder = buffered.newHolder()
    buffered.take(holder, buffered.capacity)
    const answer = await call('note_big', ['no room'], { timeout_ms: 300 })
    buffered.end(holder, new Error('over'))
    expect(answer).toMatchObject({ status: 504, may_have_run: true })
    expect(answer.ms).toBeLessThan(3000)
  })

  test('of a batch that ends while one of its answers waits for room leaves the room whole', async () => {
    const { buffered } = gateway.gateway
    const holder = buffered.newHolder()
    buffered.take(holder, buffered.capacity - 250_000)
    const calls = [150_000, 300_000].map((n) => ({ function: 'big', params: [n] }))
    const { body } = await batch(calls, { transaction: false, timeout_ms: 300 })
    expect(body.results[1]).toMatchObject({ error: 'query_timeout' })
    buffered.end(holder, new Error('over'))
    // Larger than all of it, which passes alone.
    expect(await call('big', [5_000_000])).toMatchObject({ status: 200 })
    const halves = [1, 2].map(() => ({ function: 'big', params: [2_500_000] }))
    const both = await Promise.all([batch(halves), batch(halves)])
    expect(both.map(({ status }) => status)).toEqual([200, 200])
  })

  test('holds where the network stands still', async () => {
    for (let i = 0; i < 10; i++) await Promise.all([call('echo', ['']), call('note', ['warm'])])
    proxy.delay(6000)
    const answers = await Promise.all([
      call('echo', [''], { timeout_ms: 300 }),
      call('note', ['stalled'], { timeout_ms: 300 }),
    ])
    proxy.heal()
    for (const { status, ms } of answers) {
      expect(status).toBe(504)
      expect(ms).toBeLessThan(4000)
    }
  })
})

test('settings of a session have one value each, in upper or lower case', async () => {
  const session = { 'app.user_id': '7', 'App.User_Id': '8' }
  expect(await call('ping', [], { session })).toMatchObject({
    status: 400,
    error: 'invalid_request',
  })
})

test('a batch goes on behind a function that prepares statements', async () => {
  const { body } = await batch([
    { function: 'echo', params: ['1'] },
    { function: 'prepares' },
    { function: 'echo', params: ['2'] },
  ])
  expect(body.results.map(({ rows }: Json) => rows?.[0])).toEqual([
    { echo: '1' },
    { prepares: '' },
    { echo: '2' },
  ])
})

test('changes by hand are seen where only batches come', async () => {
  const one = async () => {
    const { body } = await batch([{ function: 'by_hand' }])
    return body.results[0].rows?.[0].by_hand
  }
  await queryDatabase(
    database,
    `create function by_hand() returns text language plpgsql as
       $$ begin return current_setting('by.hand', true); end $$;
     create function sets() returns void language plpgsql as $$ begin null; end $$`,
  )
  await batch([{ function: 'sets' }])
  await queryDatabase(
    database,
    `create or replace function sets() returns void language plpgsql as
       $$ begin perform set_config('by.hand', 'left', false); end $$`,
  )
  const before = gateway.gateway.calls.functions.schemaOf(database)
  const isSeen = async () => {
    await one()
    return gateway.gateway.calls.functions.schemaOf(database) !== before
  }
  await expect.poll(isSeen, { timeout: 12_000, interval: 200 }).toBe(true)
  await batch([{ function: 'sets' }])
  expect((await one()) || null).toBe(null)
})
