import { type Kind, plpgsql, sql } from './kinds.ts'

const INSERT = 'insert into writes values (p_token);'

/** Functions that write their token, once unless they say otherwise. */
export const WRITES: Kind[] = [
  {
    name: 'write',
    weight: 8,
    sql: sql('write', 'insert into writes values (p_token) returning token'),
    call: (token) => ({ writes: 1, rows: [{ write: token }] }),
  },
  {
    name: 'write_twice',
    weight: 2,
    sql: plpgsql('write_twice', `begin ${INSERT} ${INSERT} return p_token; end`),
    call: (token) => ({ writes: 2, rows: [{ write_twice: token }] }),
  },
  {
    name: 'write_void',
    weight: 2,
    sql: plpgsql('write_void', `begin ${INSERT} end`, { returns: 'void' }),
    call: () => ({ writes: 1, rows: [{ write_void: '' }] }),
  },
  {
    name: 'write_set',
    weight: 2,
    sql: sql(
      'write_set',
      'insert into writes select p_token from generate_series(1, p_count) returning token',
      { more: ', p_count int', returns: 'setof text' },
    ),
    call: (token, random) => {
      const count = 1 + random.below(5)
      const rows = Array.from({ length: count }, () => ({ write_set: token }))
      return { params: [token, count], writes: count, rows }
    },
  },
  {
    name: 'write_by_trigger',
    weight: 2,
    sql: sql('write_by_trigger', 'insert into watched values (p_token) returning token'),
    call: (token) => ({ writes: 1, rows: [{ write_by_trigger: token }] }),
  },
  {
    name: 'write_dynamic',
    weight: 2,
    sql: plpgsql(
      'write_dynamic',
      "begin execute 'insert into writes values ($1)' using p_token; return p_token; end",
    ),
    call: (token) => ({ writes: 1, rows: [{ write_dynamic: token }] }),
  },
  {
    name: 'write_slow',
    weight: 4,
    isSlow: true,
    sql: plpgsql(
      'write_slow',
      `begin ${INSERT} perform pg_sleep(p_ms / 1000.0); return p_token; end`,
      { more: ', p_ms int' },
    ),
    call: (token, random) => ({
      params: [token, random.chance(0.1) ? random.below(2000) : 1 + random.below(20)],
      ...(random.chance(0.3) && { timeoutMs: 20 + random.below(500) }),
      writes: 1,
      rows: [{ write_slow: token }],
    }),
  },
  {
    name: 'swallow',
    weight: 3,
    isSlow: true,
    // It takes a cancel for an answer, whoever sent it.
    sql: plpgsql(
      'swallow',
      `declare how text := 'slept';
       begin
         begin
           perform pg_sleep(p_ms / 1000.0);
         exception when query_canceled then
           how := 'cancelled';
         end;
         ${INSERT}
         return p_token || ' ' || how;
       end`,
      { more: ', p_ms int' },
    ),
    call: (token, random) => {
      const isCancelled = random.chance(0.1)
      return {
        params: [token, isCancelled ? 500 : random.below(20)],
        ...(isCancelled && { timeoutMs: 50 }),
        writes: 1,
        isRight: ([row]) =>
          row.swallow === `${token} slept` || (isCancelled && row.swallow === `${token} cancelled`),
      }
    },
  },
  {
    name: 'write_and_commit',
    weight: 2,
    isProcedure: true,
    sql: `create or replace procedure write_and_commit(inout p_token text) language plpgsql as $f$
      begin ${INSERT} commit; end $f$;`,
    call: (token) => ({ writes: 1, rows: [{ p_token: token }] }),
  },
  {
    name: 'write_commit_write',
    weight: 1,
    isProcedure: true,
    sql: `create or replace procedure write_commit_write(inout p_token text) language plpgsql as $f$
      begin ${INSERT} commit; perform pg_sleep(0.01); ${INSERT} end $f$;`,
    call: (token) => ({ writes: 2, rows: [{ p_token: token }] }),
  },
  {
    name: 'write_status',
    weight: 4,
    // The column's type is changed by hand, from text to an enum and back.
    sql: plpgsql(
      'write_status',
      `begin ${INSERT} update orders set status = p_status where id = p_id; return p_token; end`,
      { more: ', p_id int, p_status text' },
    ),
    call: (token, random) => ({
      params: [token, 1 + random.below(200), 'paid'],
      writes: 1,
      rows: [{ write_status: token }],
      errors: [{ status: 500, sqlstate: '42804' }],
    }),
  },
]
