import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ TEMPLATES: 'on' })
})
afterAll(() => gateway.stop())

describe('A13: tenants do not share what a function has made which is gone by the end', () => {
  const FILL = `
    create table k (id int, t uuid);
    create function tok() returns uuid language sql as $$ select gen_random_uuid() $$;
    insert into k values (1, tok());
  `
  const TRIGGER = `
    create table k (id int, t uuid);
    create function tg() returns trigger language plpgsql
      as $$ begin new.t := gen_random_uuid(); return new; end $$;
    create trigger x before insert on k for each row execute function tg();
    insert into k values (1);
  `
  test.each<[string, string, string, string | RegExp | null]>([
    ['dropped', FILL, 'drop function tok();', 'migrations/001.sql: tok()'],
    [
      'replaced',
      FILL,
      `create or replace function tok() returns uuid language sql immutable
       as $$ select '00000000-0000-0000-0000-000000000000'::uuid $$;`,
      'migrations/001.sql: tok()',
    ],
    ['dropped with its trigger', TRIGGER, 'drop trigger x on k; drop function tg();', /: tg\(\)$/],
    [
      'dropped with its operator',
      `create table k (id int, t uuid);
       create function rnd(int, int) returns uuid language sql as $$ select gen_random_uuid() $$;
       create operator ||| (leftarg = int, rightarg = int, function = rnd);
       insert into k values (1, 1 ||| 1);`,
      'drop function rnd cascade;',
      'migrations/001.sql: rnd()',
    ],
    [
      'dropped with the schema of an extension',
      `create schema ex; create extension "uuid-ossp" schema ex;
       create table k (id int, t uuid); insert into k values (1, ex.uuid_generate_v4());`,
      'drop schema ex cascade;',
      'migrations/001.sql: uuid_generate_v4()',
    ],
    [
      'not there: words before brackets in a block are none',
      `create table k (id int, t uuid);
       do $$ declare n int; begin
         if (select count(*) from k) = 0 then insert into k (id) values (1); end if;
         perform (select 1); n := coalesce(1, (2));
         create index k_id on k (id);
       end $$;`,
      'select lower(id::text) from k;',
      null,
    ],
  ])('%s', async (_, first, second, why) => {
    const platform = uniqueName('made')
    const files: Files = {
      'migrations/001.sql': first,
      'migrations/002.sql': second,
      ...textFunction('motto', 'first'),
    }
    const { body } = await gateway.register(platform, await pack(files), undefined, {
      allow: 'data_loss',
    })
    expect(body).toMatchObject({ status: 'ready' })
    let generates: unknown
    await until(async () => {
      const [row] = await queryDatabase(
        gateway.server.database,
        `select state, generates from _db_gateway_templates where platform = '${platform}'`,
        { asGateway: true },
      )
      generates = row?.generates
      return row?.state === 'ready'
    })
    if (why instanceof RegExp) expect(generates).toMatch(why)
    else expect(generates).toBe(why)
  })
})

describe('A15: what a seeder drops of what files make', () => {
  test('is an error that names both, and nothing is changed; what comes back is none', async () => {
    const platform = uniqueName('drops')
    const deploy = async (files: Files) => gateway.register(platform, await pack(files))
    const files: Files = { ...textFunction('a', 'a'), ...textFunction('b', 'b') }
    const [first, second] = Object.keys(files)
    expect((await deploy(files)).body).toMatchObject({ status: 'ready', functions_deployed: 2 })
    for (const text of ['drop function b();', 'do $$ begin drop function b(); end $$;']) {
      const refused = await deploy({ ...files, 'seeders/s.sql': text })
      expect(refused.status).toBe(422)
      expect(refused.body).toMatchObject({
        error: 'seeder_failed',
        file: 'seeders/s.sql',
        cause: `function public.b(), which ${second} creates, is gone after the seeders ran`,
      })
    }
    expect(first).not.toBe(second)
    expect((await gateway.call(platform, 'b')).body.rows).toEqual([{ b: 'b' }])
    const again = `drop function b(); ${files[second!]}`
    expect((await deploy({ ...files, 'seeders/s.sql': again })).body).toMatchObject({
      status: 'ready',
      seeders_applied: 1,
    })
  })
})

test('A15: what a file drops of one that runs in the same deploy is made again', async () => {
  const platform = uniqueName('drops')
  const deploy = async (files: Files) => (await gateway.register(platform, await pack(files))).body
  const files: Files = {
    'functions/b.sql': `create or replace function b() returns text language sql as $$ select 'b' $$;`,
    'functions/z.sql': `drop function if exists b();
      create function helper() returns int language sql as $$ select 1 $$; drop function helper();
      create or replace function z() returns text language sql as $$ select 'z' $$;`,
  }
  expect(await deploy(files)).toMatchObject({
    status: 'ready',
    functions_deployed: 2,
    warnings: ['functions/b.sql: another file dropped what it makes; it has been made again'],
  })
  expect((await gateway.call(platform, 'b')).body.rows).toEqual([{ b: 'b' }])
  expect(await deploy(files)).toMatchObject({ functions_deployed: 2, warnings: [] })
})

test('A15: files that drop what each other make are refused', async () => {
  const create = (name: string, other: string) =>
    `drop function if exists ${other}();
     create or replace function ${name}() returns text language sql as $$ select 'x' $$;`
  const files: Files = {
    'functions/a.sql': create('a', 'b'),
    'functions/b.sql': create('b', 'a'),
  }
  expect((await gateway.register(uniqueName('drops'), await pack(files))).body).toMatchObject({
    error: 'function_deploy_failed',
    cause: 'another file drops it each time it is created',
  })
})
