import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  databaseUrlOf,
  queryDatabase,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const platform = 'digits'
const database = `${platform}_main`
let gateway: TestGateway

const BIG = '9223372036854775807'
const LONG = '12345678901234567890.1234567890123456789000'

beforeAll(async () => {
  gateway = await startTestGateway()
  await gateway.register(platform, await pack(textFunction('ping', 'pong')))
  await define(`
    create domain amount as numeric(44, 22);
    create domain amounts as numeric[];
    create type mood as enum ('fine');
    create type entry as (item text, price amount, counts bigint[], n int, mood mood);
    create domain good_line as entry;
    create type invoice as (id bigint, lines entry[], total amounts, best good_line);
    create table accounts (id bigint, small int, ratio float8, balance amount, note text);
    insert into accounts values (${BIG}, 7, 1.5, ${LONG}, '12'), (null, null, null, null, null);
    create function accounts_all() returns setof accounts language sql stable
      as $$ select * from accounts order by id nulls last $$;
    create function scalar() returns bigint language sql stable as $$ select ${BIG} $$;
    create function special() returns setof numeric language sql stable
      as $$ values ('NaN'::numeric), (0), (-1.50), (1e30), (null) $$;
    create function arrays() returns table (b bigint[], two numeric[], d amounts, i int[], empty bigint[])
      language sql stable as $$ select array[1, ${BIG}, null], array[[1.0, 2.50], [3, 4]],
        '{5.5}'::amounts, array[1, 2], '{}'::bigint[] $$;
    create function invoices() returns table (text text, invoice invoice, more invoice[]) language sql stable as $$
      select '5, "6": 7', i, array[i, null] from (select row(1, array[row('a', 2.50, array[3], 4, 'fine')::entry, null],
        '{6.10}', row('b', null, null, 5, 'fine'))::invoice as i) x $$;
    create function untouched() returns table (j jsonb, k json, r record, m money, f real) language sql stable
      as $$ select '{"n": 12.50}'::jsonb, '{"n":  12.50}'::json, row(1::bigint), 5::money, 1.5 $$;
    create function same(p anyelement) returns table (same anyelement) language sql stable as $$ select p $$;
    create function nothing() returns void language sql as $$ select $$;
    create function no_rows() returns setof bigint language sql stable as $$ select 1 where false $$;
    create function odd_name() returns table (rows bigint, row_count numeric, given bigint, described int)
      language sql stable as $$ values (1::bigint, 2.0, 3::bigint, 4) $$;
    create table writes (id bigint generated always as identity, n numeric);
    create function write(p_n numeric) returns setof writes language plpgsql
      as $$ begin return query insert into writes (n) values (p_n) returning *; end $$;
    create function style() returns table (n numeric, t timestamptz) language plpgsql as $$ begin
      set timezone = 'Asia/Tokyo'; return query select 1.50, '2026-01-01 00:00Z'::timestamptz; end $$;
    create procedure proceed(inout p_n numeric, out o_line entry) language plpgsql
      as $$ begin p_n := p_n + 1; o_line := row('a', 2.5, null, 4, null); end $$;
    create function fails() returns int language sql stable as $$ select 1 / (select 0) $$;
    create function many(p_count int) returns table (id bigint, text text) language sql stable
      as $$ select i, 'n: ' || i from generate_series(1, p_count) i $$;
  `)
})
afterAll(() => gateway.stop())

const define = (sql: string) => queryDatabase(database, sql)

/** The rows as the client reads them whose numbers are doubles. */
async function rowsOf(name: string, params: unknown = []) {
  const { body } = await gateway.post('/call', {
    platform,
    function: name,
    params,
    numeric: 'string',
  })
  return body.rows ?? body
}

describe('numeric: "string" in /call', () => {
  test('writes bigint and numeric as strings with every digit, and nothing else', async () => {
    expect(await rowsOf('accounts_all')).toEqual([
      { id: BIG, small: 7, ratio: 1.5, balance: LONG, note: '12' },
      { id: null, small: null, ratio: null, balance: null, note: null },
    ])
    expect(await rowsOf('scalar')).toEqual([{ scalar: BIG }])
    expect(await rowsOf('special')).toEqual(
      ['NaN', '0', '-1.50', `1${'0'.repeat(30)}`, null].map((special) => ({ special })),
    )
  })

  test('those of arrays of any dimension, and of domains over them', async () => {
    expect(await rowsOf('arrays')).toEqual([
      {
        b: ['1', BIG, null],
        two: [
          ['1.0', '2.50'],
          ['3', '4'],
        ],
        d: ['5.5'],
        i: [1, 2],
        empty: [],
      },
    ])
  })

  test('those within composite types, and arrays and domains of these', async () => {
    const price = '2.5000000000000000000000'
    const invoice = {
      id: '1',
      lines: [{ item: 'a', price, counts: ['3'], n: 4, mood: 'fine' }, null],
      total: ['6.10'],
      best: { item: 'b', price: null, counts: null, n: 5, mood: 'fine' },
    }
    const expected = [{ text: '5, "6": 7', invoice, more: [invoice, null] }]
    // Twice: the session knows the types by then.
    expect(await rowsOf('invoices')).toEqual(expected)
    expect(await rowsOf('invoices')).toEqual(expected)
  })

  test('leaves what is within json, jsonb and anonymous records', async () => {
    expect(await rowsOf('untouched')).toEqual([
      { j: { n: 12.5 }, k: { n: 12.5 }, r: { f1: 1 }, m: expect.any(String), f: 1.5 },
    ])
  })

  test('those of polymorphic results, as the call has them', async () => {
    expect(await rowsOf('same', [5])).toEqual([{ same: 5 }])
    expect(await rowsOf('same', [3_000_000_000])).toEqual([{ same: '3000000000' }])
    expect(await rowsOf('same', [1.5])).toEqual([{ same: '1.5' }])
    expect(await rowsOf('same', ['1.5'])).toEqual([{ same: '1.5' }])
  })

  test('knows rows without numbers, no rows, and columns named as the statement’s own', async () => {
    expect(await rowsOf('ping')).toEqual([{ ping: 'pong' }])
    expect(await rowsOf('nothing')).toEqual([{ nothing: '' }])
    expect(await rowsOf('no_rows')).toEqual([])
    expect(await rowsOf('odd_name')).toEqual([
      { rows: '1', row_count: '2.0', given: '3', described: 4 },
    ])
  })

  test('runs a function that writes once, and keeps the formats of values', async () => {
    expect(await rowsOf('write', ['1.10'])).toEqual([{ id: '1', n: '1.10' }])
    expect(await define('select count(*)::int as n from writes')).toEqual([{ n: 1 }])
    expect(await rowsOf('style')).toEqual([{ n: '1.50', t: '2026-01-01T00:00:00+00:00' }])
  })

  test('those of a procedure', async () => {
    const o_line = {
      item: 'a',
      price: '2.5000000000000000000000',
      counts: null,
      n: 4,
      mood: null,
    }
    expect(await rowsOf('proceed', ['1.50'])).toEqual([{ p_n: '2.50', o_line }])
  })

  test('those of answers that are written in slices', async () => {
    const rows = await rowsOf('many', [20_000])
    expect(rows).toHaveLength(20_000)
    expect(rows[12_344]).toEqual({ id: '12345', text: 'n: 12345' })
    expect(rows.at(-1)).toEqual({ id: '20000', text: 'n: 20000' })
  })

  test('finds a type that was changed meanwhile', async () => {
    await define(`create type pair as (a text, b int);
      create function a_pair() returns table (n int, pair pair) language sql stable
      as $$ select 1, row('5', 6)::pair $$`)
    expect(await rowsOf('a_pair')).toEqual([{ n: 1, pair: { a: '5', b: 6 } }])
    await define(`drop function a_pair(); drop type pair;
      create type pair as (a bigint, b int);
      create function a_pair() returns table (n int, pair pair) language sql stable
      as $$ select 1, row(5, 6)::pair $$`)
    expect(await rowsOf('a_pair')).toEqual([{ n: 1, pair: { a: '5', b: 6 } }])
  })

  test('number is what there is without it; other values are refused', async () => {
    const call = { platform, function: 'many', params: [1] }
    for (const numeric of ['number', null, undefined]) {
      const { body } = await gateway.post('/call', { ...call, numeric })
      expect(body.rows).toEqual([{ id: 1, text: 'n: 1' }])
    }
    for (const numeric of ['text', true, 5, {}]) {
      const { status, body } = await gateway.post('/call', { ...call, numeric })
      expect([status, body.message]).toEqual([400, 'numeric must be "number" or "string"'])
    }
  })
})

describe('elsewhere', () => {
  const calls = [{ function: 'many', params: [1] }, { function: 'invoices' }, { function: 'ping' }]

  test.each([true, false])('in /batch for all calls (transaction: %s)', async (transaction) => {
    const body = { platform, calls, transaction, numeric: 'string' }
    const { results } = (await gateway.post('/batch', body)).body
    expect(results[0].rows).toEqual([{ id: '1', text: 'n: 1' }])
    expect(results[1].rows[0].invoice).toMatchObject({ id: '1', lines: [{ n: 4 }, null] })
    expect(results[2].rows).toEqual([{ ping: 'pong' }])
  })

  test('in a batch that fails, its own error is the answer', async () => {
    const failing = [{ function: 'invoices' }, { function: 'fails' }]
    const body = { platform, calls: failing, transaction: true, numeric: 'string' }
    const plain = await gateway.post('/batch', { ...body, numeric: 'number' })
    const asText = await gateway.post('/batch', body)
    expect([asText.status, asText.body.cause]).toEqual([plain.status, plain.body.cause])
    expect(asText.body.call).toBe(1)
  })

  test('not for one call of a batch', async () => {
    const { status, body } = await gateway.post('/batch', {
      platform,
      calls: [{ function: 'ping', numeric: 'string' }],
    })
    expect([status, body.message]).toEqual([
      400,
      'calls[0].numeric applies to the whole batch: put it beside calls',
    ])
  })

  test('in QUERY', async () => {
    const response = await fetch(`${gateway.url}/call`, {
      method: 'QUERY',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ platform, function: 'scalar', numeric: 'string' }),
    })
    expect(JSON.parse(await response.text()).rows).toEqual([{ scalar: BIG }])
  })

  test('in streams of JSON lines; CSV is text in any case', async () => {
    const stream = async (accept: string, name: string) => {
      const body = { platform, function: name, numeric: 'string' }
      return (await gateway.post('/call', body, { accept })).body as string
    }
    const lines = (await stream('application/x-ndjson', 'accounts_all')).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual(await rowsOf('accounts_all'))
    const [invoice] = (await stream('application/x-ndjson', 'invoices')).trim().split('\n')
    expect(JSON.parse(invoice!)).toEqual((await rowsOf('invoices'))[0])
    expect(await stream('text/csv', 'scalar')).toBe(`scalar\n${BIG}\n`)
  })

  test('in GET by Prefer: numeric=string, which the answer tells', async () => {
    const path = `/call/${platform}/many?p_count=1`
    const asked = await gateway.get(path, { prefer: 'wait=5, Numeric="string"; x=y' })
    expect(asked.body.rows).toEqual([{ id: '1', text: 'n: 1' }])
    expect(asked.headers.get('preference-applied')).toBe('numeric=string')
    expect(asked.headers.get('vary')).toContain('prefer')
    const plain = await gateway.get(path, { prefer: 'numeric=words' })
    expect(plain.body.rows).toEqual([{ id: 1, text: 'n: 1' }])
    expect(plain.headers.get('preference-applied')).toBeNull()
    expect(plain.headers.get('etag')).not.toBe(asked.headers.get('etag'))
    const headers = { accept: 'application/x-ndjson', prefer: 'numeric=string' }
    const streamed = await gateway.get(path, headers)
    expect(streamed.body).toBe('{"id":"1","text":"n: 1"}\n')
    expect(streamed.headers.get('preference-applied')).toBe('numeric=string')
    expect(streamed.headers.get('vary')).toContain('prefer')
  })
})

test('NUMERIC_FORMAT=string is for all that do not say otherwise', async () => {
  const other = await startTestGateway({
    DATABASE_URL: databaseUrlOf(gateway.server.database),
    NUMERIC_FORMAT: 'string',
  })
  try {
    const call = { platform, function: 'scalar' }
    expect((await other.post('/call', call)).body.rows).toEqual([{ scalar: BIG }])
    expect((await other.get(`/call/${platform}/scalar`)).body.rows).toEqual([{ scalar: BIG }])
    const { results } = (await other.post('/batch', { platform, calls: [{ function: 'scalar' }] }))
      .body
    expect(results[0].rows).toEqual([{ scalar: BIG }])
    const text = await fetch(`${other.url}/call/${platform}/scalar`, {
      headers: { prefer: 'numeric=number' },
    })
    expect(await text.text()).toContain(`{"scalar":${BIG}}`)
  } finally {
    await other.stop()
  }
})
