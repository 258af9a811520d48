import { beforeAll, describe, expect, test } from 'vitest'

import {
  database,
  define,
  defineNew,
  failure,
  gateway,
  other,
  platform,
  post,
  rows,
  setUp,
} from './setup.ts'

setUp()

describe('what is not a function to be called', () => {
  beforeAll(async () => {
    await define(`
      create aggregate my_sum(int) (sfunc = int4pl, stype = int);
      create function my_trigger() returns trigger language plpgsql
      as $$ begin return new; end $$;
      create function my_event_trigger() returns event_trigger language plpgsql
      as $$ begin end $$;
      create extension hstore;
      create schema private;
      create function private.elsewhere() returns int language sql as $$ select 1 $$
    `)
  })

  test.each([
    ['unknown', 'no_such_function'],
    ['of PostgreSQL', 'pg_sleep'],
    ['of PostgreSQL', 'version'],
    ['of PostgreSQL', 'current_setting'],
    ['of PostgreSQL', 'pg_terminate_backend'],
    ['of the information schema', '_pg_truetypid'],
    ['an aggregate', 'my_sum'],
    ["a trigger's", 'my_trigger'],
    ["an event trigger's", 'my_event_trigger'],
    ["an extension's", 'hstore_to_json'],
    ['in another schema', 'elsewhere'],
  ])('%s: %s', async (_, name) => {
    for (const params of [[], [1]]) {
      expect(await failure(name, params)).toEqual({
        status: 404,
        error: 'function_not_found',
        message: `There is no function ${name}`,
      })
    }
  })

  describe('that is nearly right', () => {
    beforeAll(async () => {
      await defineNew(`
        create function get_patient_by_id(int) returns int language sql as 'select 1';
        create function get_patients_by_ids(int[]) returns int language sql as 'select 1';
        create function book_appointment() returns int language sql as 'select 1';
        create procedure close_days() language sql as 'select 1'
      `)
    })

    test.each([
      ['get_patient_by_idd', ['get_patient_by_id', 'get_patients_by_ids']],
      ['get_patient_by_ids', ['get_patient_by_id', 'get_patients_by_ids']],
      ['getpatientbyid', ['get_patient_by_id', 'get_patients_by_ids']],
      ['book_apointment', ['book_appointment']],
      ['appointment_bok', []],
      ['close_day', ['close_days']],
      ['hstore_to_jsn', []],
      ['pg_slep', []],
    ])('%s: 404 with the names that may be meant', async (name, suggestions) => {
      const said = suggestions.length > 0 ? `; did you mean ${suggestions.join(' or ')}?` : ''
      expect(await failure(name)).toEqual({
        status: 404,
        error: 'function_not_found',
        message: `There is no function ${name}${said}`,
        ...(suggestions.length > 0 && { suggestions }),
      })
    })
  })

  test('one of the platform with the name of one of PostgreSQL is its own', async () => {
    await defineNew(`
      create function pg_backend_pid() returns text language sql as $$ select 'mine' $$;
      create function lower(p_text text) returns text language sql as $$ select 'mine' $$
    `)
    expect(await rows('pg_backend_pid')).toEqual([{ pg_backend_pid: 'mine' }])
    expect(await rows('lower', ['X'])).toEqual([{ lower: 'mine' }])
  })

  test.each([
    'Ping',
    'ping()',
    'public.ping',
    'ping; select 1',
    '"ping"',
    '1ping',
    'pi-ng',
    'pi ng',
    'ping\n',
    'pïng',
    'p'.repeat(64),
    ' ',
  ])('%j is not a name', async (name) => {
    expect(await post({ platform, function: name })).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringMatching(/^function must match \^\[a-z_\]/),
    })
  })

  test.each([5, true, ['ping'], { name: 'ping' }])('%j is no string', async (name) => {
    expect(await post({ platform, function: name })).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: `function must be a string; got ${JSON.stringify(name)}`,
    })
  })

  test('a name of 63 characters is one, and so is one that begins with _', async () => {
    const names = ['f'.repeat(63), '_f', 'select']
    const definition = (name: string) =>
      `create function "${name}"() returns int language sql as $$ select 1 $$`
    await defineNew(names.map(definition).join(';'))
    for (const name of names) {
      expect(await rows(name)).toEqual([{ [name]: 1 }])
    }
  })
})

describe('what a function raises', () => {
  beforeAll(async () => {
    await define(`
      create function raise_as(p_state text, p_ids int[] default null) returns int
      language plpgsql as $$
      begin
        raise exception using
          errcode = p_state, message = 'It failed', detail = 'In detail', hint = 'Try again';
      end $$
    `)
  })

  test.each([
    ['P0001', 400],
    ['22000', 400],
    ['22003', 400],
    ['22012', 400],
    ['22023', 400],
    ['22P02', 400],
    ['22P05', 400],
    ['2200G', 400],
    ['23502', 400],
    ['23514', 400],
    ['23505', 409],
    ['23503', 409],
    ['23P01', 409],
    ['42501', 403],
    ['40001', 409],
    ['40P01', 409],
    ['53000', 503],
    ['53100', 503],
    ['53200', 503],
    ['53300', 503],
    ['53400', 503],
    ['PT400', 400],
    ['PT402', 402],
    ['PT404', 404],
    ['PT418', 418],
    ['PT500', 500],
    ['PT503', 503],
    ['PT599', 599],
    ['PT600', 500],
    ['PT000', 500],
    ['PTABC', 500],
    ['P0002', 500],
    ['P0004', 500],
    ['23000', 500],
    ['23001', 500],
    ['40002', 500],
    ['42P01', 500],
    ['42601', 500],
    ['42804', 500],
    ['42883', 500],
    ['0A000', 500],
    ['08006', 500],
    ['28000', 500],
    ['28P01', 500],
    ['3D000', 500],
    ['57P01', 500],
    ['57P03', 500],
    ['XX000', 500],
    ['ABCDE', 500],
  ])('%s is a %i', async (sqlstate, status) => {
    const expected = {
      status,
      error: 'query_failed',
      message: 'It failed',
      cause: 'It failed | DETAIL: In detail | HINT: Try again',
      sqlstate,
      detail: 'In detail',
      hint: 'Try again',
      context: 'PL/pgSQL function raise_as(text,integer[]) line 3 at RAISE',
      database,
    }
    expect(await failure('raise_as', [sqlstate])).toEqual(expected)
    expect(await failure('raise_as', { p_state: sqlstate, p_ids: [1] })).toEqual(expected)
  })

  test('57014, a query that was cancelled, is a 504', async () => {
    expect(await failure('raise_as', ['57014'])).toMatchObject({
      status: 504,
      error: 'query_timeout',
      sqlstate: '57014',
    })
  })

  test('a message alone has no detail and no hint', async () => {
    await define(`
      create function just_no() returns int language plpgsql
      as $$ begin raise exception 'No: 100%%, "quoted", é 😀'; end $$
    `)
    expect(await failure('just_no')).toEqual({
      status: 400,
      error: 'query_failed',
      message: 'No: 100%, "quoted", é 😀',
      cause: 'No: 100%, "quoted", é 😀',
      sqlstate: 'P0001',
      context: 'PL/pgSQL function just_no() line 1 at RAISE',
      database,
    })
  })

  test('constraints, arithmetic and privileges', async () => {
    await define(`
      create table parent (id int primary key, name text not null check (name <> ''));
      create table child (parent_id int references parent);
      insert into parent values (1, 'one');
      create function add_parent(p_id int, p_name text) returns void language sql
      as $$ insert into parent values (p_id, p_name) $$;
      create function add_child(p_id int) returns void language sql
      as $$ insert into child values (p_id) $$;
      create function divide(p_a int, p_b int) returns int language sql as $$ select p_a / p_b $$;
      create function read_passwords() returns setof text language plpgsql
      as $$ begin return query select rolpassword from pg_authid; end $$;
      create function read_nothing() returns int language plpgsql
      as $$ begin perform 1 from no_such_table; return 1; end $$
    `)
    const failures: [string, unknown[], number, string][] = [
      ['add_parent', [1, 'again'], 409, '23505'],
      ['add_parent', [2, null], 400, '23502'],
      ['add_parent', [2, ''], 400, '23514'],
      ['add_child', [99], 409, '23503'],
      ['divide', [1, 0], 400, '22012'],
      ['read_passwords', [], 403, '42501'],
      ['read_nothing', [], 500, '42P01'],
    ]
    for (const [name, params, status, sqlstate] of failures) {
      expect(await failure(name, params)).toMatchObject({
        status,
        sqlstate,
        error: 'query_failed',
        database,
      })
    }
  })

  // C8: it was rolled back, and the client has to see that.
  test('a status that has no body, or says that all went well, is 500 with a body', async () => {
    for (const status of [200, 204, 205, 304]) {
      const sqlstate = `PT${status}`
      const { status: answered, ...error } = await failure('raise_as', [sqlstate])
      expect([answered, error]).toMatchObject([500, { error: 'query_failed', sqlstate }])
    }
    expect(await rows('ping')).toEqual([{ ping: 'pong' }])
  })

  test('is not an error of the gateway: nothing of it is logged as one', async () => {
    await failure('raise_as', ['XX000'])
    expect(gateway.logged.filter((line) => line.level === 'error')).toEqual([])
  })
})

describe('a statement that takes too long', () => {
  beforeAll(async () => {
    await define(`
      create function nap(p_seconds float) returns text language plpgsql
      as $$ begin perform pg_sleep(p_seconds); return 'rested'; end $$
    `)
  })

  test('is a 504, and the connection serves the next call', async () => {
    const started = performance.now()
    const { status, body } = await other.call(platform, 'nap', [30])
    expect(performance.now() - started).toBeLessThan(10_000)
    expect([status, body]).toEqual([
      504,
      {
        error: 'query_timeout',
        message: 'canceling statement due to statement timeout',
        cause: 'canceling statement due to statement timeout',
        sqlstate: '57014',
        context: expect.stringContaining('PL/pgSQL function nap(double precision)'),
        database,
      },
    ])
    expect((await other.call(platform, 'nap', [0.01])).body.rows).toEqual([{ nap: 'rested' }])
  })

  test('is not one that a function has stopped by itself', async () => {
    expect((await gateway.call(platform, 'nap', [1.2])).body.rows).toEqual([{ nap: 'rested' }])
  })
})
