import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  type Answer,
  type Json,
  queryDatabase,
  sessionsRunning,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// A deploy that gives a type or a column another type, while two gateways call functions whose plans
// have a constant of that type. PostgreSQL goes on with such plans: what they give is wrong, or the
// backend crashes.

const platform = uniqueName('retyped')
const database = `${platform}_main`
const FILES: Files = {
  'migrations/001_types.pssql': `
    create type pair as (k text, n int);
    create table part (id int primary key, n int);
    insert into part values (1, 1);
    create table log (token text);
    create sequence runs;
    create type state as enum ('new', 'old');
    create type item as (id int, s state);`,
  'functions/pairs.pssql': `
    create function mkcn() returns text language plpgsql as $$
      begin return (row('t', 1)::pair).n::text || (row('t', 1)::pair)::text; end $$;
    create function read_part() returns text language plpgsql stable as $$
      begin
        return (select n::text from part where id = 1) || (row(1, 1)::part)::text;
      end $$;
    create function note_part(p_token text) returns text language plpgsql as $$
      begin
        insert into log values (p_token);
        perform from part where id = 1;
        return (row(1, 1)::part)::text;
      end $$;
    create function make_item() returns text language plpgsql as $$
      begin return (row(1, 'new')::item).s::text || (row(1, 'new')::item)::text; end $$;
    create function give_up_locks() returns int language plpgsql as $$
      begin perform pg_advisory_unlock_all(); return pg_backend_pid(); end $$;
    create function sleep_dynamically(p_token text, p_seconds float8) returns void
      language plpgsql as $$
      begin
        execute 'insert into log values ($1)' using p_token;
        execute 'select pg_sleep($1)' using p_seconds;
      end $$;
    create function sleep_and_note(p_token text, p_seconds float8) returns text language plpgsql as $$
      begin
        perform nextval('runs');
        insert into log values (p_token);
        perform pg_sleep(p_seconds);
        return 'done';
      end $$;
    create procedure note_twice(p_token text, p_seconds float8) language plpgsql as $$
      begin
        insert into log values (p_token);
        commit;
        perform pg_sleep(p_seconds);
      end $$;`,
}

const { gateway, other } = await startTwoGateways()
const gateways = [gateway, other]
let releases = 1

beforeAll(async () => {
  expect(await gateway.register(platform, await pack(FILES))).toMatchObject({ status: 200 })
})

/** Deploys one more migration. */
async function release(sql: string): Promise<Answer> {
  releases++
  const number = String(releases).padStart(3, '0')
  FILES[`migrations/${number}_release.pssql`] = `-- gateway: allow-data-loss\n${sql}`
  return gateways[0]!.migrate(platform, await pack(FILES))
}

/** Calls all the time, on both gateways, until `stop` gives the answers. */
function callMeanwhile(name: string, params: (n: number) => unknown, clients = 8) {
  const answers: { params: Json; answer: Answer }[] = []
  let isOver = false
  let n = 0
  const loops = Array.from({ length: clients }, async (_, i) => {
    const gateway = gateways[i % gateways.length]!
    while (!isOver) {
      const sent = params(n++)
      answers.push({ params: sent, answer: await gateway.call(platform, name, sent) })
      await sleep(20)
    }
  })
  return {
    stop: async () => {
      isOver = true
      await Promise.all(loops)
      return answers
    },
  }
}

/** How often each answer came: its rows, or its error. */
function tally(answers: { answer: Answer }[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { answer } of answers) {
    const { status, body } = answer
    const text = status === 200 ? Object.values(body.rows[0]).join() : JSON.stringify(body)
    counts[text] = (counts[text] ?? 0) + 1
  }
  return counts
}

/** How often each write is in the table. */
async function written(): Promise<Record<string, number>> {
  const rows = await queryDatabase(database, 'select token, count(*)::int as n from log group by 1')
  return Object.fromEntries(rows.map(({ token, n }) => [token, n]))
}

/** How often `sleep_and_note` began: what a sequence gives is not rolled back. */
async function runs(): Promise<number> {
  const [row] = await queryDatabase(
    database,
    'select case when is_called then last_value::int else 0 end as n from runs',
  )
  return row.n
}

const running = (name: string) =>
  until(async () => (await sessionsRunning(database, `/* ${name} */`)) > 0)

describe('A7: calls while a deploy gives another type', () => {
  test('to an attribute: they wait, and have the right values', async () => {
    const calls = callMeanwhile('mkcn', () => [])
    try {
      await sleep(300)
      for (const type of ['text', 'int', 'text', 'int', 'text', 'int']) {
        const answer = await release(`alter type pair alter attribute n type ${type} cascade;`)
        expect(answer).toMatchObject({ status: 200 })
        await sleep(200)
      }
    } finally {
      expect(Object.keys(tally(await calls.stop()))).toEqual(['1(t,1)'])
    }
  })

  test('to an attribute, by dynamic SQL', async () => {
    const calls = callMeanwhile('mkcn', () => [])
    try {
      await sleep(300)
      for (const type of ['text', 'int']) {
        const sql = `alter type pair alter attribute n type ${type} cascade`
        expect(await release(`do $$ begin execute '${sql}'; end $$;`)).toMatchObject({
          status: 200,
        })
        await sleep(200)
      }
    } finally {
      expect(Object.keys(tally(await calls.stop()))).toEqual(['1(t,1)'])
    }
  })

  test('to a column: reads and writes of its table wait, and each write is there once', async () => {
    const reads = callMeanwhile('read_part', () => [], 4)
    const writes = callMeanwhile('note_part', (n) => [`column ${n}`], 4)
    try {
      await sleep(300)
      for (const type of ['text', 'int', 'text', 'int']) {
        const answer = await release(`
          alter table part alter n type ${type} using n::${type};
          select pg_sleep(0.3);`)
        expect(answer).toMatchObject({ status: 200 })
        await sleep(200)
      }
    } finally {
      expect(Object.keys(tally(await reads.stop()))).toEqual(['1(1,1)'])
      const answers = await writes.stop()
      const counts = await written()
      for (const { params, answer } of answers) {
        const { status, body } = answer
        // On a gateway that had not heard of it yet, a call that was cut does not run again.
        if (status === 503) expect(body).toMatchObject({ may_have_run: false, sqlstate: '57P01' })
        else expect([status, body.rows]).toEqual([200, [{ note_part: '(1,1)' }]])
        expect(counts[params[0]]).toBe(status === 503 ? undefined : 1)
      }
    }
  })

  test('of the same name to an attribute', async () => {
    const swap = (values: string) => `
      alter type state rename to state_before;
      create type state as enum (${values});
      alter type item alter attribute s type state cascade;
      drop type state_before;`
    const calls = callMeanwhile('make_item', () => [])
    try {
      await sleep(300)
      for (const values of ["'other', 'new'", "'new'"]) {
        expect(await release(swap(values))).toMatchObject({ status: 200 })
        await sleep(200)
      }
    } finally {
      expect(Object.keys(tally(await calls.stop()))).toEqual(['new(1,new)'])
    }
  })
})

describe('A call that runs while a deploy changes a type', () => {
  let type = 'text'
  const change = () => {
    type = type === 'text' ? 'varchar' : 'text'
    return release(`alter type pair alter attribute k type ${type} cascade;`)
  }

  test('for a moment: ends before the deploy commits', async () => {
    const call = gateways[1]!.call(platform, 'sleep_and_note', ['a moment', 0.5])
    await running('sleep_and_note')
    expect(await change()).toMatchObject({ status: 200 })
    expect(await call).toMatchObject({ status: 200, body: { rows: [{ sleep_and_note: 'done' }] } })
    expect((await written())['a moment']).toBe(1)
  })

  test('for longer than 2 s: is rolled back and runs again, once', async () => {
    const before = await runs()
    const call = gateways[1]!.call(platform, 'sleep_and_note', ['long', 4])
    await running('sleep_and_note')
    expect(await change()).toMatchObject({ status: 200 })
    expect(await call).toMatchObject({ status: 200, body: { rows: [{ sleep_and_note: 'done' }] } })
    expect(await runs()).toBe(before + 2)
    expect((await written()).long).toBe(1)
  })

  test('for long, and nobody knows what it does: 503, and nothing of it is left', async () => {
    const call = gateways[1]!.call(platform, 'sleep_dynamically', ['dynamic', 8])
    await running('sleep_dynamically')
    expect(await change()).toMatchObject({ status: 200 })
    const answer = await call
    expect(answer).toMatchObject({
      status: 503,
      body: { error: 'connection_failed', may_have_run: false, sqlstate: '57P01' },
    })
    expect(answer.body.message).toContain('rolled back')
    expect(answer.headers.get('retry-after')).toBe('1')
    expect((await written()).dynamic).toBeUndefined()
  })

  test('for long, and is a procedure, which may have committed: 503 that says so', async () => {
    const call = gateways[1]!.call(platform, 'note_twice', ['procedure', 8])
    await running('note_twice')
    expect(await change()).toMatchObject({ status: 200 })
    expect(await call).toMatchObject({ status: 503, body: { may_have_run: true } })
    expect((await written()).procedure).toBe(1)
  })

  test('in a batch: those that ran stay, the one that runs runs again', async () => {
    const batch = gateways[1]!.post('/batch', {
      platform,
      transaction: false,
      calls: [
        { function: 'note_part', params: ['first of a batch'] },
        { function: 'sleep_and_note', params: ['second of a batch', 4] },
        { function: 'note_part', params: ['third of a batch'] },
      ],
    })
    await running('sleep_and_note')
    expect(await change()).toMatchObject({ status: 200 })
    const { status, body } = await batch
    expect([status, body.results.map(({ row_count }: Json) => row_count)]).toEqual([200, [1, 1, 1]])
    const counts = await written()
    const tokens = ['first', 'second', 'third'].map((which) => `${which} of a batch`)
    expect(tokens.map((token) => counts[token])).toEqual([1, 1, 1])
  })

  test('goes on where the deploy changes functions alone, or adds a column', async () => {
    const before = await runs()
    const call = gateways[1]!.call(platform, 'sleep_and_note', ['plain', 6])
    await running('sleep_and_note')
    FILES['functions/new.pssql'] = "create function new() returns int language sql as 'select 1'"
    expect(await gateways[0]!.migrate(platform, await pack(FILES))).toMatchObject({ status: 200 })
    expect(await release('alter table part add remark text;')).toMatchObject({ status: 200 })
    expect(await call).toMatchObject({ status: 200 })
    expect(await runs()).toBe(before + 1)
    expect((await written()).plain).toBe(1)
  })
})

test('Sessions that a function has had give up their locks are closed, and others opened', async () => {
  const pids = new Set<number>()
  for (let i = 0; i < 4; i++) {
    const { body } = await gateways[0]!.call(platform, 'give_up_locks')
    pids.add(body.rows[0].give_up_locks)
  }
  expect(pids.size).toBe(4)
  const present = await queryDatabase(
    database,
    `select 1 from pg_locks where pid in (${[...pids].join()})`,
    { asGateway: true },
  )
  expect(present).toEqual([])
})
