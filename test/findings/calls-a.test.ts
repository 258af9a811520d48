import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

// Wrong answers that were found in the first call path: each test has the input of the finding.

const platform = uniqueName('found')
const database = `${platform}_main`
let gateway: TestGateway

const FUNCTIONS = `
  create type order_status as enum ('new', 'paid');
  ${['orders', 'more_orders']
    .map(
      (table) => `
        create table ${table} (id int primary key, status text default 'new');
        insert into ${table} values (1);
        create function set_status_of_${table}(p_id int, p_status text) returns int
          language plpgsql as
          $$ begin update ${table} set status = p_status where id = p_id; return p_id; end $$;`,
    )
    .join('')}
  create function secret_of(p text) returns text language sql stable as $$ select 'secret of ' || p $$;
  create function balance_of(p text) returns text language sql stable as $$ select 'balance of ' || p $$;

  create function deallocate_all() returns text language plpgsql as
    $$ begin execute 'deallocate all'; return 'done'; end $$;

  create sequence s;
  create table t (n int);
  create function count_and_fail() returns void language plpgsql as
    $$ begin perform nextval('s'); insert into t values ('x'::text); end $$;

  create function sleep_or_not(p_token text, p_ms int) returns text language sql stable as
    $$ select p_token from pg_sleep(p_ms / 1000.0) $$;
  create function patient(p_token text) returns text language plpgsql as $$
    begin
      perform pg_sleep(0.002);
      return p_token;
    exception when query_canceled then
      return 'cancelled';
    end $$;
`

beforeAll(async () => {
  gateway = await startTestGateway()
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await queryDatabase(database, FUNCTIONS)
})
afterAll(() => gateway.stop())

const call = async (name: string, params: unknown[] = [], more: object = {}): Promise<Json> => {
  const { status, body } = await gateway.post('/call', {
    platform,
    function: name,
    params,
    ...more,
  })
  return { status, ...body }
}

/** Calls functions until they have shown themselves quick. */
async function warmUp(calls: [name: string, params: unknown[]][]): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.all(calls.map(([name, params]) => call(name, params)))
}

/** Starts 16 calls 0.3 ms apart, the fifth of which is another one's. */
async function among(disturber: () => Promise<Json>): Promise<void> {
  const answers: Promise<Json>[] = []
  const expected: object[] = []
  for (let i = 0; i < 16; i++) {
    if (i === 4) void disturber()
    else {
      const name = i % 2 ? 'balance_of' : 'secret_of'
      answers.push(call(name, [`caller ${i}`]))
      expected.push({
        status: 200,
        rows: [{ [name]: `${name.replace('_', ' ')} caller ${i}` }],
      })
    }
    const until = performance.now() + 0.3
    while (performance.now() < until) await setImmediate()
  }
  expect(await Promise.all(answers)).toMatchObject(expected)
}

const READS: [string, unknown[]][] = [
  ['secret_of', ['x']],
  ['balance_of', ['x']],
]

describe('A1: an error of an assignment, which the driver takes for one of a stale plan', () => {
  const changeByHand = (table: string) =>
    queryDatabase(
      database,
      `alter table ${table} alter status drop default,
         alter status type order_status using status::order_status`,
    )

  test('does not give callers the answers of others', async () => {
    await warmUp([...READS, ['set_status_of_orders', [1, 'new']]])
    await changeByHand('orders')
    for (let round = 0; round < 10; round++) {
      let failed: Promise<Json> | undefined
      await among(() => {
        failed = call('set_status_of_orders', [1, 'paid'])
        return failed
      })
      expect(await failed).toMatchObject({ status: 500, sqlstate: '42804' })
    }
  })

  test('does not make a batch of two hang', { timeout: 15_000 }, async () => {
    const batch = (transaction: boolean, status: string) => {
      const one = { function: 'set_status_of_more_orders', params: [1, status] }
      return gateway.post('/batch', { platform, transaction, calls: [one, one] })
    }
    for (let i = 0; i < 20; i++) await batch(i % 2 === 0, 'new')
    await changeByHand('more_orders')
    const apart = await batch(false, 'paid')
    expect(apart.body.results).toMatchObject([{ sqlstate: '42804' }, { sqlstate: '42804' }])
    expect(await batch(true, 'paid')).toMatchObject({ status: 500, body: { sqlstate: '42804' } })
  })
})

describe('A2: a function that runs DEALLOCATE ALL', () => {
  test('does not give callers the answers of others, nor errors', async () => {
    await warmUp([...READS, ['deallocate_all', []]])
    for (let round = 0; round < 10; round++) {
      let done: Promise<Json> | undefined
      await among(() => {
        done = call('deallocate_all')
        return done
      })
      expect(await done).toMatchObject({ status: 200, rows: [{ deallocate_all: 'done' }] })
    }
  })

  test.each([false, true])(
    'leaves the other calls of its batch theirs (transaction: %j)',
    { timeout: 10_000 },
    async (transaction) => {
      const calls = [
        { function: 'deallocate_all' },
        { function: 'secret_of', params: ['a'] },
        { function: 'balance_of', params: ['b'] },
        { function: 'secret_of', params: ['c'] },
      ]
      const { body } = await gateway.post('/batch', { platform, transaction, calls })
      expect(body.results).toMatchObject([
        { rows: [{ deallocate_all: 'done' }] },
        { rows: [{ secret_of: 'secret of a' }] },
        { rows: [{ balance_of: 'balance of b' }] },
        { rows: [{ secret_of: 'secret of c' }] },
      ])
    },
  )
})

test('A3: a function that fails runs once', async () => {
  for (let i = 1; i <= 3; i++) {
    expect(await call('count_and_fail')).toMatchObject({ status: 500, sqlstate: '42804' })
    const [row] = await queryDatabase(database, 'select last_value::int as n from s')
    expect(row).toEqual({ n: i })
  }
})

const A_WHILE_MS = 6000

test('A4: the cancel of one call does not change the answer of another', async () => {
  const own = uniqueName('cancels')
  // Few connections, so that a cancel that comes late finds another call on its connection.
  const tight = await startTestGateway({ MAX_CONNECTIONS_PER_POOL: '3' })
  const callIt = async (name: string, params: unknown[], more: object = {}): Promise<Json> => {
    const { status, body } = await tight.post('/call', {
      platform: own,
      function: name,
      params,
      ...more,
    })
    return { status, ...body }
  }
  try {
    await tight.register(own, await pack(textFunction('ping', 'pong')))
    await queryDatabase(`${own}_main`, FUNCTIONS)
    for (let i = 0; i < 20; i++) {
      await Promise.all([callIt('sleep_or_not', ['x', 0]), callIt('patient', ['x'])])
    }
    const endsAt = performance.now() + A_WHILE_MS
    const isOver = () => performance.now() > endsAt
    const wrong: Json[] = []
    const cancelling = Array.from({ length: 4 }, async (_, client) => {
      for (let i = 0; !isOver(); i++) {
        // It ends about when its time is over.
        const answer = await callIt('sleep_or_not', ['x', 3 + ((client + i) % 5)], {
          timeout_ms: 5,
        })
        if (answer.status !== 200 && answer.status !== 504) wrong.push(answer)
      }
    })
    const patients = Array.from({ length: 4 }, async (_, client) => {
      for (let i = 0; !isOver(); i++) {
        const token = `${client}-${i}`
        const answer = await callIt('patient', [token])
        if (answer.rows?.[0].patient !== token) wrong.push(answer)
      }
    })
    await Promise.all([...patients, ...cancelling])
    expect(wrong).toEqual([])
  } finally {
    await tight.stop()
  }
})

describe('A10: settings of a function do not change how rows are written', () => {
  const VALUES = `timestamptz '2026-01-02 03:04:05.678+00' as at, '\\x00ff'::bytea as bytes,
    0.1::float8 + 0.2 as rough, date '2026-01-02' as day, interval '1 day 2 hours' as span,
    'é€' as word, regclass 'pg_class' as relation`
  const ROW = {
    at: '2026-01-02T03:04:05.678+00:00',
    bytes: '\\x00ff',
    rough: 0.30000000000000004,
    day: '2026-01-02',
    span: '1 day 02:00:00',
    word: 'é€',
    relation: 'pg_class',
  }
  const SETTINGS: Record<string, string> = {
    timezone: "'Asia/Tokyo'",
    bytea_output: 'escape',
    extra_float_digits: '-15',
    datestyle: 'German',
    intervalstyle: 'iso_8601',
    quote_all_identifiers: 'on',
    client_encoding: 'LATIN1',
  }

  beforeAll(async () => {
    const table =
      'table (at timestamptz, bytes bytea, rough float8, day date, span interval, word text, ' +
      'relation regclass)'
    const functions = Object.entries(SETTINGS).map(
      ([name, value]) => `
        create function with_${name}() returns ${table} language plpgsql as $$
          begin set ${name} = ${value}; return query select ${VALUES}; end $$;
        create function with_local_${name}() returns ${table} language plpgsql as $$
          begin set local ${name} = ${value}; return query select ${VALUES}; end $$;`,
    )
    await queryDatabase(
      database,
      `${functions.join('')}
       create function without() returns ${table} language sql as $$ select ${VALUES} $$;`,
    )
  })

  describe.each(Object.keys(SETTINGS))('%s', (name) => {
    test.each([`with_${name}`, `with_local_${name}`])('%s', async (name) => {
      expect(await call(name)).toMatchObject({ status: 200, rows: [ROW] })
      expect(await call('without')).toMatchObject({ status: 200, rows: [ROW] })
    })

    test.each([`with_${name}`, `with_local_${name}`])('%s as a stream', async (name) => {
      const accept = 'application/x-ndjson'
      const { body } = await gateway.post('/call', { platform, function: name }, { accept })
      const [first] = (body as string).split('\n')
      expect(JSON.parse(first!)).toMatchObject(ROW)
      expect(await call('without')).toMatchObject({ status: 200, rows: [ROW] })
    })

    test.each([true, false])('in a batch (transaction: %j)', async (transaction) => {
      const calls = [`with_${name}`, 'without', `with_local_${name}`, 'without']
      const { body } = await gateway.post('/batch', {
        platform,
        transaction,
        calls: calls.map((name) => ({ function: name })),
      })
      expect(body.results).toMatchObject(calls.map(() => ({ rows: [ROW] })))
    })
  })
})
