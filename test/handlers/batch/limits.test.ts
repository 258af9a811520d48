import { describe, expect, test } from 'vitest'
import type { Json } from '../../helpers/gateway.ts'
import { until } from '../../helpers/process.ts'

import {
  abandon,
  batch,
  type Call,
  define,
  inTransaction,
  kept,
  newId,
  running,
  setUp,
} from './setup.ts'

setUp()

describe('timeout_ms', () => {
  test.each([{}, { session: { 'app.user_id': 'anna' } }])(
    'is for all calls together: those that were cancelled say query_timeout: %j',
    async (more) => {
      const startedAt = Date.now()
      const { status, results } = await batch(
        [['echo', 1], ['slow', 0.05], ...Array(98).fill(['slow', 3])],
        { timeout_ms: 1500, ...more },
      )
      expect(status).toBe(200)
      expect(results.slice(0, 2)).toMatchObject([{ row_count: 1 }, { row_count: 1 }])
      for (const result of results.slice(2)) {
        expect(result).toMatchObject({ status: 504, error: 'query_timeout' })
      }
      expect(Date.now() - startedAt).toBeLessThan(6000)
      expect(await running('slow')).toBe(0)
    },
  )

  test.each([
    ['as it ran', 'pg_sleep(0.02)', 40, 50],
    ['at any moment', 'null', 100, 3],
  ])(
    'what was cancelled %s has left nothing, and nothing ran without the session',
    async (_, pause, size, leastMs) => {
      await define(`
      create or replace function note_by_user(p_id text) returns text language sql as $$
        insert into note values (p_id, current_setting('app.user_id', true));
        select ${pause};
        select p_id;
      $$
    `)
      const user = newId()
      const session = { 'app.user_id': user }
      for (let round = 0; round < 20; round++) {
        const ids = Array.from({ length: size }, newId)
        const { error, results = ids.map(() => ({ error })) } = await batch(
          ids.map((id) => ['note_by_user', id]),
          { session, timeout_ms: leastMs + round },
        )
        const done = ids.filter((_, i) => results[i].rows)
        const errors = results.filter(({ rows }: Json) => !rows).map(({ error }: Json) => error)
        expect(errors).toEqual(Array(size - done.length).fill('query_timeout'))
        expect(await kept(ids)).toEqual(done)
        const byOthers = `by is distinct from '${user}'`
        const others = `select from note where id in ('${ids.join("','")}') and ${byOthers}`
        expect(await define(others)).toEqual([])
      }
    },
  )

  test('in a transaction: 504, and nothing is left', async () => {
    const id = newId()
    const answer = await inTransaction(
      [
        ['add_note', id],
        ['slow', 3],
        ['echo', 1],
      ],
      {
        timeout_ms: 200,
      },
    )
    expect(answer).toMatchObject({ status: 504, error: 'query_timeout', call: 1 })
    expect(await kept([id])).toEqual([])
  })

  test('procedures that did not start say so', async () => {
    const id = newId()
    const { results } = await batch(
      [
        ['slow', 3],
        ['one_note', id],
      ],
      { timeout_ms: 200 },
    )
    expect(results).toMatchObject([
      { error: 'query_timeout', message: expect.stringContaining('200 ms') },
      { error: 'query_timeout', message: expect.stringContaining('has not run') },
    ])
    expect(await kept([id])).toEqual([])
  })
})

describe('a client that goes away', () => {
  test.each([{}, { transaction: true }, { session: { 'app.user_id': 'anna' } }])(
    'has its batch cancelled: %j',
    async (more) => {
      await abandon(Array(50).fill(['slow', 5]), 'slow', more)
      await until(async () => (await running('slow')) === 0)
      expect((await batch([['echo', 1]])).status).toBe(200)
    },
  )

  test('leaves nothing of its transaction', async () => {
    const id = newId()
    await abandon(
      [
        ['add_note', id],
        ['slow', 5],
      ],
      'slow',
      { transaction: true },
    )
    await until(async () => (await running('slow')) === 0)
    expect(await kept([id])).toEqual([])
  })
})

test('functions that nobody has called yet are read once each, however often they are called', async () => {
  await define(`
    create function fresh_a() returns text language sql as $$ select 'a' $$;
    create function fresh_b(p_n int) returns int language sql as $$ select p_n $$;
  `)
  const calls: Call[] = [['fresh_a'], ['fresh_b', 1], ['fresh_a'], ['fresh_b', 2]]
  expect((await inTransaction(calls)).results.map(({ rows }: Json) => rows[0])).toEqual([
    { fresh_a: 'a' },
    { fresh_b: 1 },
    { fresh_a: 'a' },
    { fresh_b: 2 },
  ])
})
