import { ALTERED_MEANWHILE, type Kind, plpgsql, sql } from './kinds.ts'

/** Values of many types, as the contract writes them whatever the session's settings are. */
const TYPES = {
  n: 42,
  exact: 1.5,
  rough: 0.30000000000000004,
  yes: true,
  at: '2026-01-02T03:04:05.678+00:00',
  day: '2026-01-02',
  bytes: '\\x00ff',
  list: [1, 2, null],
  doc: { b: [1], a: null },
  missing: null,
}

const TYPES_SQL = `42::int8 as n, 1.5::numeric as exact, 0.1::float8 + 0.2 as rough, true as yes,
  timestamptz '2026-01-02 03:04:05.678+00' as at, date '2026-01-02' as day,
  '\\x00ff'::bytea as bytes, array[1, 2, null] as list, '{"a": null, "b": [1]}'::jsonb as doc,
  null::text as missing`

const TYPES_TABLE = `table (token text, n int8, exact numeric, rough float8, yes boolean,
  at timestamptz, day date, bytes bytea, list int[], doc jsonb, missing text)`

/** jsonb has its own order of keys. */
export function typesRow(token: string): object {
  return { token, ...TYPES, doc: { a: null, b: [1] } }
}

export { TYPES_SQL, TYPES_TABLE }

/** Functions that only read, with parameters and results of every kind. */
export const READS: Kind[] = [
  {
    name: 'read_text',
    weight: 8,
    sql: sql('read_text', 'select p_token'),
    call: (token) => ({ rows: [{ read_text: token }] }),
  },
  {
    name: 'read_stable',
    weight: 8,
    sql: sql('read_stable', 'select p_token', { volatility: 'stable' }),
    call: (token) => ({ query: { p_token: token }, rows: [{ read_stable: token }] }),
  },
  {
    name: 'read_row',
    weight: 8,
    sql: sql('read_row', 'select p_token, id, name from item where id = p_id', {
      more: ', p_id int',
      returns: 'table (token text, id int, name text)',
    }),
    call: (token, random) => {
      const id = 1 + random.below(500)
      return { params: { p_id: id, p_token: token }, rows: [{ token, id, name: `item ${id}` }] }
    },
  },
  {
    name: 'read_item',
    weight: 3,
    // Deploys add columns to the table.
    sql: plpgsql(
      'read_item',
      `declare r item; begin
         select * into r from item where id = p_id; r.name := p_token; return next r;
       end`,
      { more: ', p_id int', returns: 'setof item' },
    ),
    call: (token, random) => {
      const id = 1 + random.below(500)
      return {
        params: [token, id],
        isRight: ([row]) => row.name === token && row.id === id,
        errors: [{ ...ALTERED_MEANWHILE, duringDeploy: true }],
      }
    },
  },
  {
    name: 'read_types',
    weight: 4,
    sql: sql('read_types', `select p_token, ${TYPES_SQL}`, { returns: TYPES_TABLE }),
    call: (token) => ({ rows: [typesRow(token)] }),
  },
  {
    name: 'read_many',
    weight: 3,
    sql: sql('read_many', 'select p_token, n from generate_series(1, p_count) n', {
      more: ', p_count int',
      returns: 'table (token text, n int)',
      volatility: 'stable',
    }),
    call: (token, random) => {
      const count = random.below(300)
      return {
        params: [token, count],
        query: { p_token: token, p_count: `${count}` },
        rows: Array.from({ length: count }, (_, i) => ({ token, n: i + 1 })),
      }
    },
  },
  {
    name: 'read_big',
    weight: 1,
    sql: sql('read_big', 'select repeat(p_token, 5000)'),
    call: (token) => ({ rows: [{ read_big: token.repeat(5000) }] }),
  },
  {
    name: 'read_jsonb',
    weight: 2,
    sql: 'create or replace function read_jsonb(p jsonb) returns jsonb language sql as $f$ select p $f$;',
    call: (token) => ({
      params: { p: { a: token, b: [1, { c: null }] } },
      rows: [{ read_jsonb: { a: token, b: [1, { c: null }] } }],
    }),
  },
  {
    name: 'read_array',
    weight: 2,
    sql: 'create or replace function read_array(p text[]) returns text[] language sql as $f$ select p $f$;',
    call: (token) => ({
      params: [[token, null, '"{}\\']],
      rows: [{ read_array: [token, null, '"{}\\'] }],
    }),
  },
  {
    name: 'read_bytes',
    weight: 1,
    sql: 'create or replace function read_bytes(p bytea) returns bytea language sql as $f$ select p $f$;',
    call: (token) => {
      const hex = `\\x${Buffer.from(token).toString('hex')}`
      return { params: [hex], rows: [{ read_bytes: hex }] }
    },
  },
  {
    name: 'read_enum',
    weight: 1,
    sql: sql('read_enum', 'select p_token, p_mood', {
      more: ', p_mood mood',
      returns: 'table (token text, mood mood)',
    }),
    call: (token) => ({ params: [token, 'glad'], rows: [{ token, mood: 'glad' }] }),
  },
  {
    name: 'read_pair',
    weight: 2,
    // Deploys change the type of `n`, which is in plans of this function as a constant.
    sql: plpgsql('read_pair', "begin return (p_token, (row('t', 1)::pair).n)::pair; end", {
      returns: 'pair',
    }),
    call: (token) => ({
      rows: [{ t: token, n: 1 }],
      errors: [{ ...ALTERED_MEANWHILE, duringDeploy: true }],
    }),
  },
  {
    name: 'read_changing',
    weight: 3,
    // Each deploy gives it other columns: see `changingSql`.
    sql: '',
    call: (token) => ({
      params: { p_token: token },
      isRight: ([row]) => {
        const names = Object.keys(row).join()
        return row.token === token && (names === 'token,version' || names === 'token,version,more')
      },
    }),
  },
  {
    name: 'read_variadic',
    weight: 1,
    sql: sql('read_variadic', "select p_token || '/' || cardinality(p_rest)", {
      more: ', variadic p_rest int[]',
    }),
    call: (token) => ({ params: [token, 1, 2, 3], rows: [{ read_variadic: `${token}/3` }] }),
  },
  {
    name: 'read_defaults',
    weight: 2,
    sql: sql('read_defaults', 'select concat_ws(chr(47), p_token, p_a, p_b, p_c, p_d)', {
      more: ', p_a int default 1, p_b int default 2, p_c int default 3, p_d int default 4',
    }),
    call: (token, random) => {
      const values = { p_a: 1, p_b: 2, p_c: 3, p_d: 4 }
      const given = Object.fromEntries(
        Object.keys(values).flatMap((name) => (random.chance(0.5) ? [[name, 9]] : [])),
      )
      const text = [token, ...Object.values({ ...values, ...given })].join('/')
      return { params: { ...given, p_token: token }, rows: [{ read_defaults: text }] }
    },
  },
  {
    name: 'read_overload',
    weight: 2,
    sql: `create or replace function read_overload(p int) returns text language sql as $f$ select 'int ' || p $f$;
      create or replace function read_overload(p text) returns text language sql as $f$ select 'text ' || p $f$;
      create or replace function read_overload(p text, p_more int) returns text language sql as $f$ select p || p_more $f$;`,
    call: (token, random) => {
      const number = random.below(1e9)
      return random.chance(0.5)
        ? { params: [number], rows: [{ read_overload: `int ${number}` }] }
        : { params: [token, number], rows: [{ read_overload: `${token}${number}` }] }
    },
  },
  {
    name: 'read_dynamic',
    weight: 2,
    sql: plpgsql(
      'read_dynamic',
      "declare r text; begin execute format('select %L', p_token) into r; return r; end",
    ),
    call: (token) => ({ rows: [{ read_dynamic: token }] }),
  },
  {
    name: 'read_out',
    weight: 1,
    sql: `create or replace function read_out(p_token text, out a text, out b int)
      language plpgsql as $f$ begin a := p_token; b := 7; end $f$;`,
    call: (token) => ({ rows: [{ a: token, b: 7 }] }),
  },
  {
    name: 'read_now_slow',
    weight: 6,
    // Quick, as a rule.
    sql: sql('read_now_slow', 'select p_token from pg_sleep(p_ms / 1000.0)', {
      more: ', p_ms int',
      volatility: 'stable',
    }),
    call: (token, random) => ({
      params: [token, random.chance(0.005) ? 200 + random.below(800) : 0],
      ...(random.chance(0.2) && { timeoutMs: 100 }),
      rows: [{ read_now_slow: token }],
    }),
  },
  {
    name: 'read_session',
    weight: 2,
    sql: `create or replace function read_session() returns text language sql as $f$ select current_setting('storm.token', true) $f$;`,
    call: (token) => ({
      params: [],
      session: { 'storm.token': token },
      rows: [{ read_session: token }],
    }),
  },
]
