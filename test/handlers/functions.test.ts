import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { clinicFiles, type Files, pack, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

/** A platform whose functions are deployed again and again. */
async function newPlatform(files: Files) {
  const platform = uniqueName('f')
  const deploy = async (next: Files, flags: Record<string, string> = {}) =>
    gateway.register(platform, await pack(next), undefined, flags)
  expect((await deploy(files)).body).toMatchObject({ status: 'ready' })
  const call = async (name: string, params: unknown = []) =>
    (await gateway.call(platform, name, params)).body
  return { platform, database: `${platform}_main`, deploy, call }
}

/** More than half of the functions are gone, and that is meant. */
const ALLOWED = { allow: 'functions_missing' }

const fn = (name: string, text: string): Files => ({ [`functions/${name}.pssql`]: text })

test('the ledger knows which file made which function', async () => {
  const { database } = await newPlatform({
    ...textFunction('alpha', 'a'),
    ...textFunction('beta', 'b'),
    ...fn(
      'gamma',
      `create function gamma_one() returns int language sql as $$ select 1 $$;
       create function gamma_two(a int[], b text) returns int language sql as $$ select 2 $$;`,
    ),
    'migrations/001_x.pssql':
      'create function not_ours() returns int language sql as $$ select 1 $$;',
  })
  const rows = await queryDatabase(
    database,
    `select name as file, jsonb_path_query_array(objects, '$.identity') as functions
     from _db_gateway_files where section = 'functions' order by name`,
  )
  expect(rows.map((row) => [row.file, row.functions.sort()])).toEqual([
    ['alpha.pssql', ['public.alpha()']],
    ['beta.pssql', ['public.beta()']],
    ['gamma.pssql', ['public.gamma_one()', 'public.gamma_two(integer[], text)']],
  ])
})

describe('one function changed among many', () => {
  test('is the only one that is executed', async () => {
    const clinic = await clinicFiles()
    const { database, deploy, call } = await newPlatform(clinic)
    const versions = () =>
      queryDatabase(
        database,
        `select proname, xmin::text from pg_proc where pronamespace = 'public'::regnamespace`,
      )
    const before = new Map((await versions()).map((row) => [row.proname, row.xmin]))
    const { body } = await deploy({
      ...clinic,
      'functions/ping.pssql':
        "create or replace function ping() returns text language sql immutable as $$ select 'pang' $$;",
    })
    expect(body).toMatchObject({ functions_changed: 1, functions_deployed: 40 })
    const changed = (await versions()).filter((row) => before.get(row.proname) !== row.xmin)
    expect(changed.map((row) => row.proname)).toEqual(['ping'])
    expect((await call('ping')).rows).toEqual([{ ping: 'pang' }])
  })

  test('counts as changed when only white space inside a string differs', async () => {
    const { deploy, call } = await newPlatform(textFunction('say', 'a b'))
    expect((await deploy(textFunction('say', 'a  b'))).body.functions_changed).toBe(1)
    expect((await call('say')).rows).toEqual([{ say: 'a  b' }])
  })

  test('does not count as changed when only its line ends differ', async () => {
    const text = 'create or replace function one()\nreturns int\nlanguage sql as $$ select 1 $$;\n'
    const { deploy } = await newPlatform(fn('one', text))
    const { body } = await deploy({
      ...fn('one', text.replaceAll('\n', '\r\n')),
      ...textFunction('two', '2'),
    })
    expect(body).toMatchObject({ functions_changed: 1, functions_deployed: 2 })
  })
})

describe('a function whose', () => {
  test('argument list changes leaves no old overload behind', async () => {
    const { database, deploy, call } = await newPlatform(
      fn('add', 'create function add(a int) returns int language sql as $$ select a $$;'),
    )
    const { body } = await deploy(
      fn(
        'add',
        'create function add(a int, b int) returns int language sql as $$ select a + b $$;',
      ),
    )
    expect(body).toMatchObject({ functions_changed: 1, functions_deployed: 1 })
    expect(body.functions_dropped).toEqual(['public.add(integer)'])
    expect((await call('add', [1, 2])).rows).toEqual([{ add: 3 }])
    expect((await call('add', [1])).error).toBe('function_not_found')
    expect(await queryDatabase(database, `select from pg_proc where proname = 'add'`)).toHaveLength(
      1,
    )
  })

  test('return type changes is replaced', async () => {
    const { deploy, call } = await newPlatform(
      fn('size', 'create or replace function size() returns int language sql as $$ select 1 $$;'),
    )
    const { body } = await deploy(
      fn(
        'size',
        "create or replace function size() returns text language sql as $$ select 'L' $$;",
      ),
    )
    expect(body).toMatchObject({ status: 'ready', functions_changed: 1, functions_dropped: [] })
    expect((await call('size')).rows).toEqual([{ size: 'L' }])
  })

  test('parameter is renamed is replaced', async () => {
    const { deploy, call } = await newPlatform(
      fn(
        'twice',
        'create or replace function twice(n int) returns int language sql as $$ select n * 2 $$;',
      ),
    )
    const { body } = await deploy(
      fn(
        'twice',
        'create or replace function twice(m int) returns int language sql as $$ select m * 2 $$;',
      ),
    )
    expect(body).toMatchObject({ status: 'ready', functions_dropped: [] })
    expect((await call('twice', { m: 4 })).rows).toEqual([{ twice: 8 }])
  })

  test('return type changes under a view: the error names the view', async () => {
    const old = fn(
      'size',
      'create or replace function size() returns int language sql as $$ select 1 $$;',
    )
    const { database, deploy, call } = await newPlatform(old)
    await queryDatabase(database, 'create view sizes as select size()')
    const before = await snapshot(database)
    const { status, body } = await deploy(
      fn(
        'size',
        "create or replace function size() returns text language sql as $$ select 'L' $$;",
      ),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'function_deploy_failed', sqlstate: '2BP01' })
    expect(body.file).toBe('functions/size.pssql')
    expect(body.detail).toContain('view sizes')
    expect(await snapshot(database)).toEqual(before)
    expect((await call('size')).rows).toEqual([{ size: 1 }])
  })

  test('grants and comment were made by hand keeps them when its body changes', async () => {
    const { database, deploy } = await newPlatform(textFunction('say', 'a'))
    await queryDatabase(
      database,
      "revoke execute on function say() from public; comment on function say() is 'mine'",
    )
    await deploy(textFunction('say', 'b'))
    const [row] = await queryDatabase(
      database,
      `select obj_description(oid) as comment, proacl::text as acl from pg_proc where proname = 'say'`,
    )
    expect(row.comment).toBe('mine')
    expect(row.acl).not.toContain('{=X')
  })
})

describe('a file', () => {
  test('that is gone: its functions are dropped and reported', async () => {
    const { deploy, call } = await newPlatform({
      ...textFunction('stays', 's'),
      ...fn(
        'goes',
        `create function goes() returns int language sql as $$ select 1 $$;
         create function goes(a int) returns int language sql as $$ select a $$;`,
      ),
    })
    const { body } = await deploy(textFunction('stays', 's'))
    expect(body.functions_dropped.sort()).toEqual(['public.goes()', 'public.goes(integer)'])
    expect(body.functions_deployed).toBe(1)
    expect((await call('goes')).error).toBe('function_not_found')
    expect((await call('stays')).rows).toEqual([{ stays: 's' }])
  })

  test('that is gone while something depends on its function: the error names it', async () => {
    const { database, deploy } = await newPlatform({
      ...textFunction('stays', 's'),
      ...textFunction('goes', 'g'),
    })
    await queryDatabase(database, 'create view going as select goes()')
    const { status, body } = await deploy(textFunction('stays', 's'))
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'function_deploy_failed', file: 'functions/goes.pssql' })
    expect(body.detail).toContain('view going')
  })

  test('may be renamed: the function stays', async () => {
    const text = textFunction('say', 'a')['functions/say.pssql']!
    const { deploy, call } = await newPlatform(fn('say', text))
    const { body } = await deploy(fn('better_name', text))
    expect(body).toMatchObject({ functions_deployed: 1, functions_dropped: [] })
    expect((await call('say')).rows).toEqual([{ say: 'a' }])
    // It belongs to the new file now, and goes with that.
    const last = await deploy(textFunction('other', 'o'), ALLOWED)
    expect(last.body.functions_dropped).toEqual(['public.say()'])
  })

  test('may hold several functions, in any language', async () => {
    const { deploy } = await newPlatform(
      fn(
        'several',
        `create function a() returns int language sql as $$ select 1 $$;
         create function b() returns int language plpgsql as $$ begin return 2; end $$;
         create procedure c() language plpgsql as $$ begin null; end $$;`,
      ),
    )
    const { body } = await deploy(textFunction('x', 'x'), ALLOWED)
    expect(body.functions_dropped.sort()).toEqual(['public.a()', 'public.b()', 'public.c()'])
  })
})

test('functions that came from no file are never touched', async () => {
  const { database, deploy, call } = await newPlatform({
    'migrations/001_helper.pssql':
      'create function helper() returns int language sql as $$ select 7 $$;',
    ...textFunction('mine', 'm'),
  })
  await queryDatabase(
    database,
    'create function by_hand() returns int language sql as $$ select 8 $$',
  )
  const { body } = await deploy(
    {
      'migrations/001_helper.pssql':
        'create function helper() returns int language sql as $$ select 7 $$;',
    },
    ALLOWED,
  )
  expect(body.functions_dropped).toEqual(['public.mine()'])
  expect((await call('helper')).rows).toEqual([{ helper: 7 }])
  expect((await call('by_hand')).rows).toEqual([{ by_hand: 8 }])
})

describe('the order of the files does not matter', () => {
  test('for SQL bodies, BEGIN ATOMIC bodies and defaults that use later functions', async () => {
    const { call } = await newPlatform({
      ...fn('a_sql', 'create function a_sql() returns int language sql as $$ select z_last() $$;'),
      ...fn(
        'b_atomic',
        'create function b_atomic() returns int language sql begin atomic; select z_last(); end;'.replace(
          'atomic;',
          'atomic',
        ),
      ),
      ...fn(
        'c_default',
        'create function c_default(n int default z_last()) returns int language sql as $$ select n $$;',
      ),
      ...fn(
        'd_plpgsql',
        'create function d_plpgsql() returns int language plpgsql as $$ begin return b_atomic(); end $$;',
      ),
      ...fn('z_last', 'create function z_last() returns int language sql as $$ select 26 $$;'),
    })
    for (const name of ['a_sql', 'b_atomic', 'c_default', 'd_plpgsql']) {
      expect((await call(name)).rows).toEqual([{ [name]: 26 }])
    }
  })

  test('for a chain of BEGIN ATOMIC bodies from the wrong end', async () => {
    const chain = Array.from({ length: 6 }, (_, i) =>
      fn(
        `f${i}`,
        `create function f${i}() returns int language sql begin atomic select ${
          i === 5 ? '1' : `f${i + 1}() + 1`
        }; end;`,
      ),
    )
    const { call } = await newPlatform(Object.assign({}, ...chain))
    expect((await call('f0')).rows).toEqual([{ f0: 6 }])
  })
})

describe('bodies are checked at the end', () => {
  test.each([
    [
      'an unknown table in a SQL body',
      'create function bad() returns bigint\nlanguage sql\nas $$\n  select count(*)\n  from nowhere\n$$;',
      { sqlstate: '42P01', line: 5, source: '  from nowhere' },
    ],
    [
      'a syntax error in a PL/pgSQL body',
      'create function bad() returns int\nlanguage plpgsql as $$\nbegin\n  retrun 1;\nend\n$$;',
      { sqlstate: '42601', line: 4, source: '  retrun 1;' },
    ],
    [
      'a wrong result type of a SQL body',
      "create function bad() returns int language sql as $$ select 'text' $$;",
      { sqlstate: '42P13', line: 1 },
    ],
  ])('%s is an error with the line of the file', async (_what, text, expected) => {
    const platform = uniqueName('f')
    const { status, body } = await gateway.register(
      platform,
      await pack({ ...textFunction('good', 'g'), ...fn('bad', text) }),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({
      error: 'function_deploy_failed',
      file: 'functions/bad.pssql',
      ...expected,
    })
  })
})
