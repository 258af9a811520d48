import { expect, test } from 'vitest'
import { SCHEMA_VERSION } from '../../../../lib/call/signatures/version.ts'
import { CATALOG_DIGEST } from '../../../../lib/deploy/objects/digest.ts'
import { lookAgain, lookAtState } from '../../../../lib/deploy/replay/look.ts'
import { STATE, STATE_AND_VERSIONS } from '../../../../lib/deploy/replay/state-sql.ts'
import { databaseWith } from '../../../helpers/for-file.ts'

const { sql } = await databaseWith(`
  create schema _db_gateway;
  create function _db_gateway.state() returns int language sql as 'select 1';
  create table _db_gateway.key (id int primary key);
  create type mood as enum ('good', 'bad');
  create type pair as (a int, b mood);
  create domain positive as int check (value > 0);
  create domain tags as text[];
  create type span as range (subtype = float8);
  create table item (id serial primary key, name text default 'x' check (name <> ''), of int references item);
  create index on item (lower(name)) where id > 1;
  create index by_name on item (name);
  create table part (id int, at date) partition by range (at);
  create table part_1 partition of part for values from ('2020-01-01') to ('2021-01-01');
  create view names as select name from item;
  create materialized view kept as select name from item;
  create function touch() returns trigger language plpgsql as 'begin return new; end';
  create trigger touch before insert on part for each row execute function touch();
  create policy own on item using (id > 0);
  create function plus(a pair, b pair) returns int language sql as 'select 1';
  create operator + (leftarg = pair, rightarg = pair, function = plus);
  create function as_int(mood) returns int language sql immutable as 'select 1';
  create cast (mood as int) with function as_int(mood);
  create statistics stat on id, name from item;
  create rule nothing as on delete to names do instead nothing;
  comment on table item is 'items';
`)

async function read<T extends object>(query: string): Promise<T> {
  await sql.unsafe('begin; set local search_path to pg_catalog')
  const [row] = await sql.unsafe<T[]>(query)
  await sql`commit`
  return row!
}

test('one query has the state, the version of the schema and the digest of the catalogs', async () => {
  const state = await read<object>(STATE)
  const [version] = await sql.unsafe<{ version: string }[]>(SCHEMA_VERSION)
  const [digest] = await sql.unsafe(`select ${CATALOG_DIGEST} as catalog_digest`)
  expect(await read(STATE_AND_VERSIONS)).toEqual({ ...state, ...version, ...digest })
})

const CHANGES = {
  'a function': `create or replace function touch() returns trigger language plpgsql as 'begin return null; end'`,
  'a column': 'alter table item add column more int',
  'a default': `alter table item alter column name set default 'y'`,
  'a constraint': 'alter table item add unique (name)',
  'a view': 'create or replace view names as select name || name as name from item',
  'an enum value': `alter type mood add value 'new'`,
  'a policy': 'alter policy own on item using (id > 1)',
  'a policy that is renamed': 'alter policy own on item rename to theirs',
  'a domain over an array': 'alter domain tags set not null',
  'an operator': 'alter operator + (pair, pair) set (restrict = none, join = none)',
  'row level security': 'alter table item enable row level security',
  'a trigger that is switched off': 'alter table part disable trigger touch',
  'rights on a schema': 'grant create on schema public to public',
  'an index that is gone': 'drop index by_name',
  'a collation': `create collation german (locale = 'C')`,
}

test.each(Object.entries(CHANGES))('%s changes the digest of the state', async (_, text) => {
  const before = await read<{ digest: string }>(STATE)
  await sql.unsafe(text)
  const after = await read<{ digest: string }>(STATE)
  expect(after.digest).not.toBe(before.digest)
})

test('what changes no object leaves the state as it is', async () => {
  const before = await read(STATE)
  await sql.unsafe('truncate item')
  await sql.unsafe('insert into item (name) values (1)')
  await sql.unsafe('vacuum analyze item')
  await sql.unsafe('refresh materialized view kept')
  expect(await read(STATE)).toEqual(before)
  await sql.unsafe('create temporary table temp (id int)')
  expect(await read(STATE)).toMatchObject({ digest: null })
  await sql.unsafe('discard temp')
  expect(await read(STATE)).toEqual(before)
})

test('a look counts until something in the catalogs changes', async () => {
  await sql.unsafe('begin')
  const look = await lookAtState(sql)
  await sql.unsafe(`insert into item (name) values ('more')`)
  expect(await lookAgain(sql, look)).toBe(look)
  await sql.unsafe('create table another (id int)')
  const again = await lookAgain(sql, look)
  expect(again.print).not.toBe(look.print)
  expect(again).toEqual(await lookAtState(sql))
  await sql.unsafe(`alter role current_user set search_path to public`)
  expect((await lookAgain(sql, again)).version).not.toBe(again.version)
  await sql.unsafe('rollback')
})
