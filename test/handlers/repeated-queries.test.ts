import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Json, queryDatabase, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

/** findings/CALL.md, A1 to A3: a query that is sent once more by the driver itself. */
const platform = 'repeated'
const database = `${platform}_main`
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway({ MAX_CONNECTIONS_PER_POOL: '2' })
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await define(`
    create function secret_of(p text) returns text language sql stable
      as $$ select 'secret of ' || p $$;
    create function balance_of(p text) returns text language sql stable
      as $$ select 'balance of ' || p $$;
    create function deallocate_all() returns int language plpgsql
      as $$ begin execute 'deallocate all'; return 1; end $$;
    create sequence s;
    create table numbers (n int);
    create function add_text() returns void language plpgsql
      as $$ begin perform nextval('s'); insert into numbers values ('x'::text); end $$;
  `)
})
beforeEach(async () => {
  await define(`
    drop table if exists orders;
    drop type if exists order_status;
    create type order_status as enum ('new', 'paid');
    create table orders (id int primary key, status text default 'new');
    create or replace function set_status(p_id int, p_status text) returns int language plpgsql
      as $$ begin update orders set status = p_status where id = p_id; return p_id; end $$;
  `)
  for (let i = 0; i < 20; i++) {
    await call('set_status', [1, 'new'])
    await call('secret_of', ['warm'])
    await call('balance_of', ['warm'])
  }
  await define(`
    alter table orders alter status drop default,
      alter status type order_status using status::order_status;
  `)
})
afterAll(() => gateway.stop())

const define = (sql: string) => queryDatabase(database, sql)
const call = (name: string, params: unknown[]) => gateway.call(platform, name, params)

/** Sends calls 0.3 ms apart; the one in the middle fails within its function. */
async function callMany(): Promise<{ name: string; param: string; body: Json; status: number }[]> {
  const running = []
  for (let i = 0; i < 16; i++) {
    const name = i % 2 === 0 ? 'secret_of' : 'balance_of'
    const param = `caller ${i}`
    if (i === 4) running.push(call('set_status', [1, 'paid']).then((a) => ({ name, param, ...a })))
    else running.push(call(name, [param]).then((answer) => ({ name, param, ...answer })))
    await sleep(0.3)
  }
  return Promise.all(running)
}

describe('A query that fails is not sent again by the driver', () => {
  test('A1: every caller gets its own rows beside one whose assignment fails', async () => {
    for (let round = 0; round < 5; round++) {
      const answers = await callMany()
      const failed = answers.splice(4, 1)[0]!
      expect([failed.status, failed.body.error]).toEqual([500, 'query_failed'])
      for (const { name, param, status, body } of answers) {
        expect(status).toBe(200)
        expect(body.rows).toEqual([{ [name]: `${name.replace('_', ' ')} ${param}` }])
      }
    }
  })

  test('A1: a batch of two that fail is answered', async () => {
    const one = { function: 'set_status', params: [1, 'paid'] }
    const { status, body } = await gateway.post('/batch', { platform, calls: [one, one] })
    expect(status).toBe(200)
    expect(body.results.map(({ sqlstate }: Json) => sqlstate)).toEqual(['42804', '42804'])
  }, 10_000)

  test('A2: after deallocate all, all get their own rows', async () => {
    for (let round = 0; round < 5; round++) {
      expect((await call('deallocate_all', [])).status).toBe(200)
      const names = ['secret_of', 'balance_of', 'secret_of', 'balance_of']
      const answers = await Promise.all(names.map((name, i) => call(name, [`caller ${i}`])))
      expect(answers.map(({ body }, i) => body.rows?.[0]?.[names[i]!])).toEqual(
        names.map((name, i) => `${name.replace('_', ' ')} caller ${i}`),
      )
    }
  })

  test.each([true, false])('A2: in a batch, transaction: %s', async (transaction) => {
    const calls = ['deallocate_all', 'secret_of', 'balance_of', 'secret_of'].map((name, i) => ({
      function: name,
      params: i === 0 ? [] : [`caller ${i}`],
    }))
    const { status, body } = await gateway.post('/batch', { platform, transaction, calls })
    expect(status).toBe(200)
    expect(body.results.map(({ rows }: Json) => rows[0])).toEqual([
      { deallocate_all: 1 },
      { secret_of: 'secret of caller 1' },
      { balance_of: 'balance of caller 2' },
      { secret_of: 'secret of caller 3' },
    ])
  })

  test('A3: a function runs once', async () => {
    const before = await define(`select nextval('s')::int as n`)
    for (let i = 0; i < 8; i++) {
      const { status, body } = await call('add_text', [])
      expect([status, body.sqlstate]).toEqual([500, '42804'])
    }
    const after = await define(`select nextval('s')::int as n`)
    expect(after[0].n - before[0].n).toBe(9)
  })

  test('a function that gives other columns than before is called', async () => {
    await define(
      'create or replace function shape() returns table (a int) language sql as $$ select 1 $$',
    )
    for (let i = 0; i < 8; i++) expect((await call('shape', [])).body.rows).toEqual([{ a: 1 }])
    await define(`
      drop function shape();
      create function shape() returns table (b text) language sql as $$ select 'two' $$;
    `)
    expect((await call('shape', [])).body.rows).toEqual([{ b: 'two' }])
  })
})
