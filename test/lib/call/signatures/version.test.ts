import type { Sql } from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SCHEMA_VERSION } from '../../../../lib/call/signatures/version.ts'
import { parseDatabaseUrl } from '../../../../lib/postgres/hosts/server.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase } from '../../../helpers/gateway.ts'
import { verdictOf } from '../../../helpers/verdicts.ts'

let url: string
let database: string
let sql: Sql

beforeAll(async () => {
  url = await createAdminDatabase()
  database = parseDatabaseUrl(url).database
  sql = connectTo(database)
  await sql.unsafe(`
    create type pair as (a int, b text);
    create domain word as text;
    create type mood as enum ('good');
    create table item (id int primary key, name text, w word);
    create table child (item int references item, at timestamptz default now());
    create table parent (id int, name text);
    create view items as select * from item;
    create function setting() returns text language sql
      as $$ select set_config('app.leak', 'x', false) $$;
    create function good(text) returns boolean immutable language sql
      as $$ select public.setting() is not null $$;
    create function stamp() returns trigger language plpgsql
      as $$ begin perform setting(); return new; end $$;
    create function plus(int, text) returns text language sql as 'select setting()';
    create function paired(pair) returns text language sql as 'select setting()';
    create function lowered(text) returns text immutable language sql as 'select lower($1)';
    create index on item (lowered(name));
    create function f() returns void language sql
      as $f$ insert into item (id, name) values (1, 'a'); update parent set name = 'x'; delete from item $f$;
  `)
})
afterAll(async () => {
  await sql.end()
  await dropAdminDatabase(url)
})

async function version(on = sql): Promise<string> {
  const [row] = await on.unsafe<{ version: string }[]>(SCHEMA_VERSION)
  return row!.version
}

/** What is told after a change that is rolled back. */
async function after(change: string): Promise<{ version: string; afterwards: string }> {
  await sql.unsafe('begin')
  try {
    await sql.unsafe(change)
    return { version: await version(), afterwards: (await verdictOf(sql, 'f')).afterwards }
  } finally {
    await sql.unsafe('rollback')
  }
}

describe('A6: a change by hand is seen, and what comes of it:', () => {
  test.each([
    ['a default', 'alter table item alter name set default setting()'],
    ['a check', 'alter table item add check (good(name))'],
    ['an operator', 'create operator <+> (function = plus, leftarg = int, rightarg = text)'],
    ['a cast', 'create cast (pair as text) with function paired(pair)'],
    ['a domain', 'alter domain word add check (good(value))'],
    ['a default of a domain', 'alter domain word set default setting()'],
    ['an index', 'create index on item (name) where good(name)'],
    [
      'a foreign key',
      `
      create trigger t after delete on child for each row execute function stamp();
      alter table child drop constraint child_item_fkey,
        add foreign key (item) references item on delete cascade`,
    ],
    ['a trigger', 'create trigger t before insert on item for each row execute function stamp()'],
    [
      'a condition of a trigger',
      `
      create function quiet() returns trigger language plpgsql as 'begin return new; end';
      create trigger t before insert on item for each row when (good(new.name)) execute function quiet()`,
    ],
    ['a policy', 'create policy p on item using (good(name))'],
    ['a rule', 'create rule r as on insert to item do also select setting()'],
    [
      'a child',
      `
      create table kid () inherits (parent);
      create trigger t before update on kid for each row execute function stamp()`,
    ],
    [
      'a generated column',
      'alter table item add g boolean generated always as (good(name)) stored',
    ],
    ['a statistics object', 'create statistics s on good(name), lower(name) from item'],
    [
      'a function',
      'create or replace function lowered(text) returns text immutable language sql as $$ select public.setting() $$',
    ],
    [
      'a range',
      `
      create function apart(float8, float8) returns float8 immutable language sql
        as $$ select length(public.setting())::float8 $$;
      create type span as range (subtype = float8, subtype_diff = apart)`,
    ],
    [
      'an aggregate',
      `
      create aggregate lower(text) (sfunc = plus2, stype = text);`.replace(
        /.*/s,
        `
      create function step(text, text) returns text language sql as 'select setting()';
      create aggregate all_of(text) (sfunc = step, stype = text);
      create or replace function f() returns void language sql as 'select all_of(name) from item'`,
      ),
    ],
  ])('%s', async (_, change) => {
    const before = await after('select 1')
    expect(before.afterwards).toBe('keep')
    const found = await after(change)
    expect(found.version).not.toBe(before.version)
    expect(found.afterwards).toBe('reset')
  })
})

describe('the version is another one after', () => {
  test.each([
    ['a view', 'create or replace view items as select * from item where id > 0'],
    ['an attribute of a composite type', 'alter type pair rename attribute a to c'],
    ['another type of one', 'alter type pair alter attribute a type bigint'],
    ['a name of a table', 'alter table item rename to thing'],
    [
      'a trigger that is off',
      'create trigger t before insert on item for each row execute function stamp(); alter table item disable trigger t',
    ],
    ['a schema', 'create schema other'],
    ['a table', 'create table other (id int)'],
    ['volatility', 'alter function setting() stable'],
    ['a setting of a function', "alter function setting() set work_mem = '1MB'"],
    ['a function that is gone', 'drop function paired(pair)'],
  ])('%s', async (_, change) => {
    expect((await after(change)).version).not.toBe(await version())
  })

  test("a search path of the database's own", async () => {
    const before = await version()
    await sql.unsafe(`alter database "${database}" set search_path = other, public`)
    expect(await version()).not.toBe(before)
    await sql.unsafe(`alter database "${database}" reset search_path`)
    expect(await version()).toBe(before)
  })
})

describe('the version stays', () => {
  test.each([
    [
      'rows',
      "insert into parent values (1, 'a'); update parent set name = 'b'; delete from parent",
    ],
    ['TRUNCATE', 'truncate parent'],
    ['ANALYZE', 'analyze parent'],
    ['comments', "comment on table item is 'x'"],
    [
      'temporary tables',
      `
      create temp table t (id serial primary key, name text default setting() check (good(name)));
      create index on t (lowered(name));
      create trigger t before insert on t for each row execute function stamp();
      create temp view v as select * from t`,
    ],
    ['temporary functions', "create function pg_temp.g() returns int language sql as 'select 1'"],
    [
      'temporary types',
      'create type pg_temp.p as (a int); create domain pg_temp.d as int check (value > 0)',
    ],
  ])('after %s', async (_, change) => {
    expect((await after(change)).version).toBe(await version())
  })

  test('after VACUUM', async () => {
    const before = await version()
    await sql.unsafe('vacuum full parent')
    await sql.unsafe('vacuum analyze')
    await sql.unsafe('vacuum freeze pg_proc')
    expect(await version()).toBe(before)
  })

  test('whatever the session has in its search path', async () => {
    const before = await version()
    await sql.unsafe('begin')
    await sql.unsafe(`
      create schema evil;
      create function evil.eq(oid, oid) returns boolean language sql as 'select false';
      create operator evil.= (function = evil.eq, leftarg = oid, rightarg = oid);
      create function evil.bit_xor(bigint) returns bigint language sql as 'select 0::bigint';
    `)
    const inside = await version()
    await sql.unsafe('set local search_path = evil, pg_catalog')
    expect(await version()).toBe(inside)
    expect(inside).not.toBe(before)
    await sql.unsafe('rollback')
  })
})
