import { beforeAll, describe, expect, test } from 'vitest'
import { type Json, startTestGateway, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

import { define, failure, gateway, noted, platform, post, rows, seen, setUp } from './setup.ts'

setUp()

describe('its transactions', () => {
  test('are its own: what it has committed stays when it fails, and it does not run again', async () => {
    await define(`
      create procedure commit_and_fail(p_note text) language plpgsql as $$
      begin
        insert into note values (p_note || ' kept');
        commit;
        insert into note values (p_note || ' lost');
        raise exception 'no more' using errcode = 'PT418';
      end $$;
      create procedure commits(p_note text, p_times int, out o_done int) language plpgsql as $$
      begin
        o_done := 0;
        for i in 1..p_times loop
          insert into note values (p_note);
          if i % 2 = 0 then rollback; else commit; o_done := o_done + 1; end if;
        end loop;
      end $$
    `)
    expect(await failure('commit_and_fail', ['half'])).toMatchObject({
      status: 418,
      error: 'query_failed',
      message: 'no more',
      context: expect.stringContaining('commit_and_fail'),
    })
    expect([await noted('half kept'), await noted('half lost')]).toEqual([1, 0])
    expect(await rows('commits', { p_note: 'odd', p_times: 5 })).toEqual([{ o_done: 3 }])
    expect(await noted('odd')).toBe(3)
  })

  test('are not begun again, whatever its errors look like', async () => {
    // Errors of these kinds also come from a statement that is stale, or a call of nothing.
    const statements = {
      wrong_type: 'insert into narrow select * from wide',
      no_function: 'perform no_such_function(1)',
      no_type: `execute 'select 1::no_such_type'`,
      no_setting: `perform current_setting('no.such.setting')`,
      no_procedure: 'call no_such_procedure()',
      not_a_number: `perform 'x'::int`,
      not_a_parameter: `execute 'select $1::int' using 'x'::text`,
    }
    await define('create table narrow (n int); create table wide (n text);')
    for (const [name, statement] of Object.entries(statements)) {
      await define(`
        create procedure ${name}(p_ids int[], p_text text) language plpgsql as $$
        begin
          insert into note values ('${name}');
          commit;
          ${statement};
        end $$
      `)
      for (let calls = 1; calls <= 3; calls++) {
        expect(await failure(name, [[1], 'unnamed portal parameter $1'])).toMatchObject({
          error: 'query_failed',
          context: expect.stringContaining(name),
        })
        expect(await noted(name)).toBe(calls)
      }
    }
  })

  test('end when its time is up', async () => {
    const slow = await startTestGateway({ STATEMENT_TIMEOUT_SECS: '1' })
    try {
      const name = uniqueName('slow')
      const files = {
        'functions/nap.pssql': `
          create procedure nap(inout p_seconds float8) language plpgsql
          as $$ begin commit; perform pg_sleep(p_seconds); end $$;`,
      }
      expect(await slow.register(name, await pack(files))).toMatchObject({ status: 200 })
      expect(await slow.call(name, 'nap', [30])).toMatchObject({
        status: 504,
        body: { error: 'query_timeout' },
      })
      expect((await slow.call(name, 'nap', [0.01])).body.rows).toEqual([{ p_seconds: 0.01 }])
    } finally {
      await slow.stop()
    }
  })
})

describe('an error behind which something may be committed', () => {
  beforeAll(() =>
    define(`
      create procedure commit_first(p_body text, p_seconds float8 default 0, p_error text default null)
      language plpgsql as $$
      begin
        insert into note values (p_body);
        commit;
        perform pg_sleep(p_seconds);
        if p_error is not null then raise exception '%', p_error; end if;
        insert into note values (p_body || ' more');
      end $$;
      create procedure calls_one(p_body text) language plpgsql as $$
      begin call commit_first(p_body, 0, 'no'); end $$;
      create procedure raises(p_body text) language plpgsql as $$
      begin insert into note values (p_body); raise exception 'no'; end $$;
      create procedure sleeps(p_body text) language plpgsql as $$
      begin insert into note values (p_body); perform pg_sleep(5); end $$;
      create table paid (id int primary key,
        of int references paid deferrable initially deferred);
      create procedure pays_nobody() language sql as $$ insert into paid values (1, 7) $$;
      create function writes_much(p_body text) returns text language plpgsql as $$
      begin insert into note values (p_body); return repeat('x', 200000); end $$;
      create function reads_much() returns text language sql as $$ select repeat('x', 200000) $$;
    `),
  )
  test('says so: the procedure is cancelled', async () => {
    const call = { function: 'commit_first', params: ['cancelled', 5] }
    // Known from then on.
    await rows('commit_first', ['warm'])
    const { status, body } = await post({ ...call, timeout_ms: 700 })
    expect({ status, ...body }).toMatchObject({ status: 504, may_have_run: true })
    const batch = await post({ calls: [call], timeout_ms: 700 }, '/batch')
    expect(batch.body.results).toMatchObject([{ status: 504, may_have_run: true }])
    expect(await noted('cancelled')).toBe(2)
  })

  test('says so: the procedure, or one that it calls, raises it', async () => {
    const told = { status: 400, cause: 'no', may_have_run: true }
    expect(await failure('commit_first', ['raised', 0, 'no'])).toMatchObject(told)
    expect(await failure('calls_one', ['raised'])).toMatchObject(told)
    const calls = [{ function: 'commit_first', params: ['raised', 0, 'no'] }]
    expect((await post({ calls }, '/batch')).body.results).toMatchObject([told])
    expect(await noted('raised')).toBe(3)
  })

  test('says so: the rows of a function that has written are too many', async () => {
    const told = { status: 413, error: 'result_too_large', may_have_run: true }
    expect(await failure('writes_much', ['much'])).toMatchObject(told)
    const calls = [{ function: 'writes_much', params: ['much'] }]
    expect((await post({ calls }, '/batch')).body.results).toMatchObject([told])
    expect(await noted('much')).toBe(2)
    expect(await failure('reads_much')).not.toHaveProperty('may_have_run')
  })

  test('is another one where all was rolled back', async () => {
    for (const [name, ...params] of [
      ['raises', 'never'],
      ['commit_first', 'never', 'x'],
      ['pays_nobody'],
    ]) {
      expect(await failure(name!, params)).not.toHaveProperty('may_have_run')
    }
    const slow = await post({ function: 'sleeps', params: ['never'], timeout_ms: 700 })
    expect(slow.body.error).toBe('query_timeout')
    expect(slow.body).not.toHaveProperty('may_have_run')
    const calls = [{ function: 'writes_much', params: ['never'] }]
    const { body } = await post({ calls, transaction: true }, '/batch')
    expect(body).not.toHaveProperty('may_have_run')
    expect(await noted('never')).toBe(0)
  })
})

describe('the settings of a session', () => {
  test('are there in all of its transactions, and gone afterwards', async () => {
    await define(`
      create function user_now() returns text language sql
      as $$ select current_setting('app.user_id', true) $$;
      create procedure who(out o_before text, out o_after text) language plpgsql as $$
      begin
        o_before := user_now();
        commit;
        o_after := user_now();
        if o_after = 'fails' then raise exception 'no'; end if;
      end $$
    `)
    const call = (user: string) =>
      gateway.post('/call', { platform, function: 'who', session: { 'app.user_id': user } })
    expect((await call('7')).body.rows).toEqual([{ o_before: '7', o_after: '7' }])
    expect((await call('fails')).status).toBe(400)
    for (let i = 0; i < 5; i++) expect([null, '']).toContain((await rows('user_now'))[0].user_now)
  })
})

describe('a procedure that has changed', () => {
  const sql = 'language sql as'

  test.each<[string, string, string, unknown, Json[]]>([
    [
      'another type of parameter',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `procedure chameleon(inout p text) ${sql} $$ select p || '!' $$`,
      ['x'],
      [{ p: 'x!' }],
    ],
    [
      'a time zone, which is not lost',
      `procedure chameleon(inout p timestamp) ${sql} $$ select p $$`,
      `procedure chameleon(inout p timestamptz) ${sql} $$ select p $$`,
      ['2024-01-01T00:00:00+02:00'],
      [{ p: '2023-12-31T22:00:00+00:00' }],
    ],
    [
      'other names, of which none is taken for another',
      `procedure chameleon(p_from int, p_to int, out o text) ${sql}
        $$ select p_from || ' to ' || p_to $$`,
      `procedure chameleon(p_to int, p_from int, out o text) ${sql}
        $$ select p_from || ' to ' || p_to $$`,
      { p_from: 1, p_to: 2 },
      [{ o: '1 to 2' }],
    ],
    [
      'other columns',
      `procedure chameleon(p int, out a int) ${sql} $$ select p $$`,
      `procedure chameleon(p int, out b text, out c numeric) ${sql} $$ select 'x', 1.50 $$`,
      [1],
      [{ b: 'x', c: 1.5 }],
    ],
    [
      'columns instead of none',
      `procedure chameleon() ${sql} $$ select 1 $$`,
      `procedure chameleon(out a int[]) ${sql} $$ select '{1,2}'::int[] $$`,
      [],
      [{ a: [1, 2] }],
    ],
    [
      'columns of other types, and nothing that goes in',
      `procedure chameleon(out a int) ${sql} $$ select 1 $$`,
      `procedure chameleon(out a jsonb) ${sql} $$ select '{"a": 1}'::jsonb $$`,
      [],
      [{ a: { a: 1 } }],
    ],
    [
      'one parameter more',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `procedure chameleon(inout p int, q int) ${sql} $$ select p + q $$`,
      [1, 2],
      [{ p: 3 }],
    ],
    [
      'VARIADIC',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `procedure chameleon(variadic p int[]) ${sql} $$ select 1 $$`,
      [1, 2],
      [],
    ],
    [
      'a function instead',
      `procedure chameleon(inout p int) ${sql} $$ select p $$`,
      `function chameleon(p int) returns int ${sql} $$ select -p $$`,
      [1],
      [{ chameleon: -1 }],
    ],
    [
      'a procedure instead of a function',
      `function chameleon(p int) returns int ${sql} $$ select p $$`,
      `procedure chameleon(inout p int) ${sql} $$ select -p $$`,
      [1],
      [{ p: -1 }],
    ],
  ])('behind the back of the gateway: %s', async (_, before, after, params, expected) => {
    await define(`drop routine if exists chameleon; create ${before}`)
    await gateway.call(platform, 'chameleon', params)
    await gateway.call(platform, 'chameleon', [1])
    await gateway.call(platform, 'chameleon', [1, 2])
    await define(`drop routine if exists chameleon; create ${after}`)
    await seen('chameleon', params).toMatchObject({ rows: expected })
  })

  test('a type of its parameters has another name', async () => {
    await define(`
      create type shade as enum ('light');
      create procedure tint(inout p_shade shade) ${sql} $$ select p_shade $$;
      create function tinted(p_shade shade) returns shade ${sql} $$ select p_shade $$
    `)
    expect(await rows('tint', ['light'])).toEqual([{ p_shade: 'light' }])
    expect(await rows('tinted', ['light'])).toEqual([{ tinted: 'light' }])
    await define('alter type shade rename to tone')
    await seen('tint', ['light']).toMatchObject({ rows: [{ p_shade: 'light' }] })
    await seen('tinted', ['light']).toMatchObject({ rows: [{ tinted: 'light' }] })
    await define('create schema paint; alter type tone set schema paint')
    await seen('tint', ['light']).toMatchObject({ rows: [{ p_shade: 'light' }] })
    await seen('tinted', ['light']).toMatchObject({ rows: [{ tinted: 'light' }] })
    await define('alter schema paint rename to colors')
    await seen('tint', ['light']).toMatchObject({ rows: [{ p_shade: 'light' }] })
    await seen('tinted', ['light']).toMatchObject({ rows: [{ tinted: 'light' }] })
  })

  test('again and again while it is called, runs once for each call that succeeds', async () => {
    const versions = [
      `(inout p_n int) language plpgsql as $$
        begin insert into note values ('flicker ' || p_n); commit; end $$`,
      `(p_n bigint, out o_text text) language plpgsql as $$
        begin insert into note values ('flicker ' || p_n); commit; o_text := p_n; end $$`,
    ]
    await define(`create procedure flicker${versions[0]}`)
    let done = false
    let next = 0
    const succeeded: number[] = []
    /** Dropped between its commit and its end, which PL/pgSQL does not survive. */
    const interrupted: number[] = []
    const refused = new Set<string>()
    const callers = Array.from({ length: 4 }, async () => {
      while (!done) {
        const n = next++
        const { status, body } = await gateway.call(platform, 'flicker', [n])
        if (status === 200) {
          expect([[{ p_n: n }], [{ o_text: String(n) }]]).toContainEqual(body.rows)
          succeeded.push(n)
        } else if (/PL\/pgSQL function flicker\(.*return type$/.test(body.context)) {
          interrupted.push(n)
        } else {
          refused.add(
            `${status} ${body.error} ${body.context}${status === 404 ? '' : ` ${body.sqlstate} ${body.message} ${JSON.stringify(body)}`}`,
          )
        }
      }
    })
    for (let i = 1; i <= 90; i++) {
      const version = versions[i % 2]
      await define(`begin; drop procedure flicker; create procedure flicker${version}; commit`)
    }
    done = true
    await Promise.all(callers)
    // Replaced again with each new attempt.
    refused.delete('404 function_not_found undefined')
    expect([...refused]).toEqual([])
    const ran = await define(`select body from note where starts_with(body, 'flicker ')`)
    const ascending = (numbers: number[]) => numbers.sort((a, b) => a - b)
    expect(ascending(ran.map(({ body }) => Number(body.slice(8))))).toEqual(
      ascending([...succeeded, ...interrupted]),
    )
    expect(succeeded.length).toBeGreaterThan(20)
  })
})
