import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BehindProxy, startBehindProxy } from '../helpers/behind-proxy.ts'
import type { FaultProxy } from '../helpers/fault-proxy.ts'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

// One caller's load that became everybody's in the first call path. What is tested is what happens,
// not how long it takes.

const platform = uniqueName('found')
const database = `${platform}_main`
let behind: BehindProxy
let proxy: FaultProxy
let gateway: TestGateway

const PARAMETERS = Array.from({ length: 12 }, (_, i) => `p_${i}`)

const FUNCTIONS = `
  create table notes (n int);
  create function wait_a_moment() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.004); return null; end $$;
  -- As a slow disk does: the time that a commit takes.
  create constraint trigger slow_commit after insert on notes deferrable initially deferred
    for each row execute function wait_a_moment();
  create function note() returns int language sql as
    $$ insert into notes values (1) returning pg_backend_pid() $$;

  create function sleep_or_not(p_ms int) returns int language sql stable as
    $$ select p_ms from pg_sleep(p_ms / 1000.0) $$;

  create function many(${PARAMETERS.map((name) => `${name} int default 0`).join(', ')})
    returns int language sql as $$ select ${PARAMETERS.join(' + ')} $$;
  create function prepared() returns int language sql as
    $$ select count(*)::int from pg_prepared_statements $$;

  create function number(p_n int) returns int language sql stable as $$ select p_n $$;
`

beforeAll(async () => {
  behind = await startBehindProxy()
  gateway = behind.gateway
  proxy = behind.proxy
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await queryDatabase(database, FUNCTIONS)
})
afterAll(() => behind.stop())

const call = async (name: string, params: unknown = [], more: object = {}): Promise<Json> => {
  const { status, body } = await gateway.post('/call', {
    platform,
    function: name,
    params,
    ...more,
  })
  return { status, ...body }
}

async function repeat(times: number, work: (i: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < times; i++) await work(i)
}

test('B1: writes whose commits take time run on several connections', async () => {
  await repeat(20, () => call('note'))
  const pids: number[] = []
  const client = () => repeat(20, async () => pids.push((await call('note')).rows[0].note))
  await Promise.all(Array.from({ length: 8 }, client))
  const shares = [...new Set(pids)].map((pid) => pids.filter((one) => one === pid).length)
  expect(shares.length).toBeGreaterThanOrEqual(4)
  expect(Math.max(...shares)).toBeLessThan(pids.length / 2)
})

test('B2: what comes behind a slow call of a quick function does not wait for it', async () => {
  for (let round = 0; round < 3; round++) {
    await repeat(20, () => call('sleep_or_not', [0]))
    let isSlowOver = false
    const slow = call('sleep_or_not', [2000]).finally(() => {
      isSlowOver = true
    })
    const quick = Array.from({ length: 50 }, async () => {
      const answer = await call('sleep_or_not', [0], { timeout_ms: 1000 })
      return { ...answer, isSlowOver }
    })
    for (const answer of await Promise.all(quick)) {
      expect(answer).toMatchObject({ status: 200, rows: [{ sleep_or_not: 0 }], isSlowOver: false })
    }
    expect(await slow).toMatchObject({ status: 200, rows: [{ sleep_or_not: 2000 }] })
  }
})

test('B4: a connection has at most 256 prepared statements of calls', async () => {
  const one = uniqueName('bounded')
  const tight = await startTestGateway({ MAX_CONNECTIONS_PER_POOL: '2' })
  try {
    await tight.register(one, await pack(textFunction('ping', 'pong')))
    await queryDatabase(`${one}_main`, FUNCTIONS)
    await repeat(700, async (i) => {
      const given = PARAMETERS.filter((_, bit) => (i + 1) & (1 << bit))
      const params = Object.fromEntries(given.map((name) => [name, 1]))
      const { body } = await tight.call(one, 'many', params)
      expect(body.rows).toEqual([{ many: given.length }])
    })
    const seen = await Promise.all([tight.call(one, 'prepared'), tight.call(one, 'prepared')])
    // And a few of the gateway's own.
    for (const { body } of seen) expect(body.rows[0].prepared).toBeLessThanOrEqual(256 + 16)
  } finally {
    await tight.stop()
  }
})

describe('in questions to PostgreSQL,', () => {
  /** How many messages that want an answer, Query and Sync, the gateway sends during the work. */
  async function questions(work: () => Promise<unknown>): Promise<number> {
    let count = 0
    proxy.inspect((bytes) => {
      count += questionsIn(bytes)
      return 'forward'
    })
    await work()
    proxy.inspect(() => 'forward')
    return count
  }

  /** Of whole messages: type, and a length that counts itself ("Message Formats"). */
  function questionsIn(bytes: Buffer): number {
    let count = 0
    for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readUInt32BE(at + 1)) {
      const type = String.fromCharCode(bytes[at]!)
      if (type === 'Q' || type === 'S') count++
    }
    return count
  }

  const CALLS = 50
  let perSuccess: number

  beforeAll(async () => {
    await repeat(20, (i) => call('number', [i]))
    perSuccess = await questions(() => repeat(CALLS, (i) => call('number', [i])))
  })

  test('B8: a call that is wrong costs at most twice what a right one does', async () => {
    const wrong = async () => {
      expect(await call('number', ['x'])).toMatchObject({ status: 400, error: 'invalid_request' })
    }
    await repeat(5, wrong)
    const perError = await questions(() => repeat(CALLS, wrong))
    // The signature may be read again, once a second.
    expect(perError).toBeLessThanOrEqual(2 * perSuccess + 10)
  })

  test('B14: a GET costs what a POST does', async () => {
    const get = async () => {
      const { status, body } = await gateway.get(`/call/${platform}/number?p_n=7`)
      expect({ status, rows: body.rows }).toEqual({ status: 200, rows: [{ number: 7 }] })
    }
    await repeat(20, get)
    const perGet = await questions(() => repeat(CALLS, get))
    expect(perGet).toBeLessThanOrEqual(1.2 * perSuccess + 5)
  })
})
