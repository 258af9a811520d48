import { beforeAll, describe, expect, test } from 'vitest'
import { type Json, uniqueName } from '../../helpers/gateway.ts'

import {
  batch,
  type Call,
  database,
  define,
  gateway,
  inTransaction,
  kept,
  newId,
  platform,
  post,
  setUp,
} from './setup.ts'

setUp()

describe.each([
  ['each by itself', {}],
  ['in one transaction', { transaction: true }],
  ['each by itself, with a session', { session: { 'app.user_id': 'anna' } }],
  ['in one transaction, with a session', { transaction: true, session: { 'app.user_id': 'anna' } }],
])('the calls of a batch, %s,', (_, more) => {
  test('are answered in their order, as /call answers them', async () => {
    const calls: Call[] = [['echo', 1], ['ping'], ['notes_like', 'none'], ['echo', null]]
    const { headers, ...answer } = await batch(calls, more)
    expect(answer).toEqual({
      status: 200,
      results: [
        { rows: [{ echo: 1 }], row_count: 1 },
        { rows: [{ ping: 'pong' }], row_count: 1 },
        { rows: [], row_count: 0 },
        { rows: [{ echo: null }], row_count: 1 },
      ],
      execution_time_ms: expect.any(Number),
    })
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(headers.get('server-timing')).toMatch(/^wait;dur=[\d.]+, query;dur=[\d.]+, total;dur=/)
    expect(headers.has('x-request-id')).toBe(true)
  })

  test('run in their order: each sees what those before it did', async () => {
    const id = newId()
    const calls: Call[] = [
      ['notes_like', `${id}%`],
      ['add_note', `${id}a`],
      ['notes_like', `${id}%`],
      ['add_note', `${id}b`],
      ['notes_like', `${id}%`],
    ]
    const { results } = await batch(calls, more)
    expect([results[0], results[2], results[4]].map(({ row_count }) => row_count)).toEqual([
      0, 1, 2,
    ])
    expect(await kept([`${id}a`, `${id}b`])).toEqual([`${id}a`, `${id}b`])
  })

  test('may be 100', async () => {
    const ids = Array.from({ length: 100 }, newId)
    const { results } = await batch(
      ids.map((id) => ['add_note', id]),
      more,
    )
    expect(results.map(({ rows }: Json) => rows[0].add_note)).toEqual(ids)
    expect(await kept(ids)).toEqual(ids)
  })

  test('go over one connection', async () => {
    const { results } = await batch(Array(20).fill(['backend']), more)
    expect(new Set(results.map(({ rows }: Json) => rows[0].backend)).size).toBe(1)
  })

  test('take their parameters by name, too, or none', async () => {
    const calls = [{ function: 'echo', params: { p_n: 7 } }, { function: 'ping' }]
    const { results } = await post({ platform, calls, ...more })
    expect(results.map(({ rows }: Json) => rows[0])).toEqual([{ echo: 7 }, { ping: 'pong' }])
  })

  test('keep every digit, both ways', async () => {
    await define(`
      create or replace function exactly(p_n numeric) returns numeric language sql
      as $$ select p_n $$
    `)
    const digits = '12345678901234567890.1230'
    const body = JSON.stringify({
      platform,
      calls: [{ function: 'exactly', params: ['?'] }],
      ...more,
    })
    const response = await fetch(`${gateway.url}/batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: body.replace('"?"', digits),
    })
    expect(await response.text()).toContain(`[{"exactly":${digits}}]`)
  })

  test('that are large are answered in full', async () => {
    const { results } = await batch(
      [
        ['wide', 40_000],
        ['wide', 40_000],
        ['echo', 1],
      ],
      more,
    )
    expect(results.map(({ rows }: Json) => rows[0].text?.length)).toEqual([
      40_000,
      40_000,
      undefined,
    ])
  })

  test('run in the database of the tenant', async () => {
    const { results } = await batch([['ping']], { tenant_id: 'north', ...more })
    expect(results[0].rows).toEqual([{ ping: 'pong of north' }])
  })

  test('whose functions were replaced by a deploy run as they are now', async () => {
    const edition = uniqueName('edition')
    await define(`
      create function ${edition}() returns text language sql as $$ select 'old' $$;
      create function ${edition}(p_n int) returns text language sql as $$ select 'old' || p_n $$;
    `)
    const before: string = newId()
    const calls: Call[] = [[edition], ['add_note', before], [edition, 2], [edition]]
    const texts = ({ results }: Json) => results.map(({ rows }: Json) => rows[0][edition])
    expect(texts(await batch(calls, more))).toEqual(['old', undefined, 'old2', 'old'])
    await define(`
      drop function ${edition}(), ${edition}(int);
      create function ${edition}() returns table (${edition} text) language sql as $$ select 'new' $$;
      create function ${edition}(p_n text) returns text language sql as $$ select 'new' || p_n $$;
      delete from note where id = '${before}';
    `)
    expect(texts(await batch(calls, more))).toEqual(['new', undefined, 'new2', 'new'])
    expect(await kept([before])).toEqual([before])
    await define(`drop function ${edition}(), ${edition}(text)`)
  })

  test('whose functions were read-only and are not any more, write', async () => {
    const turning = uniqueName('turning')
    await define(`
      create function ${turning}(p_id text) returns text language sql stable as $$ select p_id $$
    `)
    const [first, second] = [newId(), newId()]
    expect((await batch([[turning, first]], more)).results[0].row_count).toBe(1)
    await define(`
      create or replace function ${turning}(p_id text) returns text language sql volatile
      as $$ insert into note values (p_id) returning id $$
    `)
    expect((await batch([[turning, second]], more)).results[0].rows).toEqual([
      { [turning]: second },
    ])
    expect(await kept([first, second])).toEqual([second])
    await define(`drop function ${turning}`)
  })

  test('leave nothing open behind them', async () => {
    await batch([['echo', 1], ['fail'], ['backend']], more)
    const open = await define(`
      select state from pg_stat_activity
      where datname = '${database}' and state like 'idle in transaction%'
    `)
    expect(open).toEqual([])
  })
})

describe('session', () => {
  const session = { 'app.user_id': 'anna', 'app.role': 'nurse' }

  test.each([{}, { transaction: true }])('is seen by every call: %j', async (more) => {
    const { results } = await batch([['user_id'], ['echo', 1], ['user_id']], { session, ...more })
    expect([results[0], results[2]].map(({ rows }) => rows[0].user_id)).toEqual(['anna', 'anna'])
  })

  test.each([{}, { transaction: true }])('is gone afterwards: %j', async (more) => {
    await batch([['user_id'], ['fail']], { session, ...more })
    await batch([['user_id']], { session, ...more })
    const answers = await Promise.all(Array.from({ length: 30 }, () => batch([['user_id']])))
    expect(answers.filter(({ results }) => results[0].rows[0].user_id)).toEqual([])
  })

  test('what a call changes of it is for that call alone, where each is by itself', async () => {
    await define(`
      create function become(p_name text, p_locally boolean) returns text language sql
      as $$ select set_config('app.user_id', p_name, p_locally) $$
    `)
    const calls: Call[] = [
      ['become', 'eve', true],
      ['user_id'],
      ['become', 'eve', false],
      ['user_id'],
    ]
    const { results } = await batch(calls, { session })
    expect([results[1], results[3]].map(({ rows }) => rows[0].user_id)).toEqual(['anna', 'anna'])
    await define('drop function become')
  })
})

describe('procedures', () => {
  beforeAll(async () => {
    await define(`
      create procedure two_notes(p_a text, p_b text, inout p_count int default 0)
      language plpgsql as $$
      begin
        insert into note values (p_a, current_setting('app.user_id', true));
        commit;
        insert into note values (p_b, current_setting('app.user_id', true));
        p_count := p_count + 2;
      end $$;
    `)
  })

  test('run in their order, and may commit', async () => {
    const [a, b, c, d] = [newId(), newId(), newId(), newId()]
    const { results } = await batch([
      ['add_note', a],
      ['two_notes', b, c],
      ['add_note', d],
      ['two_notes', a, newId()],
      ['echo', 1],
    ])
    expect(results).toMatchObject([
      { row_count: 1 },
      { rows: [{ p_count: 2 }], row_count: 1 },
      { row_count: 1 },
      { status: 409, sqlstate: '23505' },
      { rows: [{ echo: 1 }] },
    ])
    expect(await kept([a, b, c, d])).toEqual([a, b, c, d])
  })

  test('find the session', async () => {
    const [a, b] = [newId(), newId()]
    const session = { 'app.user_id': 'anna' }
    const { results } = await batch([['user_id'], ['two_notes', a, b], ['user_id']], { session })
    expect(results.map(({ row_count }: Json) => row_count)).toEqual([1, 1, 1])
    const rows = await define(`select by from note where id in ('${a}', '${b}')`)
    expect(rows).toEqual([{ by: 'anna' }, { by: 'anna' }])
  })

  test('are part of the transaction', async () => {
    const [a, b, c] = [newId(), newId(), newId()]
    expect(await inTransaction([['one_note', a], ['fail']])).toMatchObject({ status: 400, call: 1 })
    expect(
      (
        await inTransaction([
          ['one_note', b],
          ['add_note', c],
        ])
      ).status,
    ).toBe(200)
    expect(await kept([a, b, c])).toEqual([b, c])
  })

  test('must not commit in a transaction', async () => {
    const [a, b, c] = [newId(), newId(), newId()]
    const answer = await inTransaction([
      ['add_note', a],
      ['two_notes', b, c],
      ['echo', 1],
    ])
    expect(answer).toMatchObject({ status: 500, error: 'query_failed', sqlstate: '2D000', call: 1 })
    expect(await kept([a, b, c])).toEqual([])
  })
})
