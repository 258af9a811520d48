import type { Sql } from 'postgres'
import { describe, expect, test } from 'vitest'
import { type Look, sendLook } from '../../../../lib/call/signatures/look.ts'
import { databaseWith } from '../../../helpers/for-file.ts'
import { connectTo, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'

const OBJECTS = `
  create extension hstore; create extension citext;
  create type pair as (a int, b text);
  create domain word as text check (value <> '');
  create type mood as enum ('good', 'bad');
  create table item (id serial primary key, name text default 'a', w word, p pair, c citext);
  create table child (item int references item, at timestamptz default now());
  create table parent (id int, name text) partition by range (id);
  create table part partition of parent for values from (1) to (10);
  create index on item (c) where name <> '';
  create view items as select * from item;
  create materialized view kept as select name from item;
  create function plus(int, text) returns text language sql as 'select $2';
  create function f(a int, b text default 'x') returns text language sql as 'select b';
  create function whole() returns setof item begin atomic select * from item; end;
  create function stamp() returns trigger language plpgsql as 'begin return new; end';
  create trigger t before insert on item for each row when (new.name <> '') execute function stamp();
  alter table item enable row level security;
  create policy p on item using (name <> '');
  create schema other;
`

const { database, sql } = await databaseWith(OBJECTS)

async function lookAt(on: Sql, change = ''): Promise<Look> {
  await on.unsafe('begin')
  try {
    if (change !== '') await on.unsafe(change)
    return await sendLook(on)
  } finally {
    await on.unsafe('rollback')
  }
}

test('databases with the same objects have one print, whatever their oids and sessions', async () => {
  const other = uniqueName('same')
  await queryDatabase(database, `create database ${other} template template0`, { asGateway: true })
  const there = connectTo(other)
  try {
    await there.unsafe('create table before (id int); drop table before')
    await there.unsafe(OBJECTS)
    await there.unsafe(`
      set search_path = other, pg_catalog; set timezone = 'Asia/Tokyo'; set datestyle = 'German';
      set quote_all_identifiers = on; insert into public.item (name, c) values ('a', 'b');
      analyze public.item; comment on table public.item is 'rows'; create temp table own (id int)`)
    const here = await lookAt(sql)
    const same = await lookAt(there)
    expect(same.print).toBe(here.print)
    expect(same.version).not.toBe(here.version)
    expect((await lookAt(there, 'alter table public.item add n int')).print).not.toBe(here.print)
    // Its settings end with it.
    const [row] = await there.unsafe(
      "select current_setting('search_path') as path, current_setting('timezone') as zone",
    )
    expect(row).toEqual({ path: 'other, pg_catalog', zone: 'Asia/Tokyo' })
  } finally {
    await there.end()
    await queryDatabase(database, `drop database ${other}`, { asGateway: true })
  }
})

describe('the print is another one after', () => {
  test.each([
    [
      'a body',
      `create or replace function plus(int, text) returns text language sql as 'select $2 || 1'`,
    ],
    [
      'a default of an argument',
      `create or replace function f(a int, b text default 'y') returns text language sql as 'select b'`,
    ],
    ['a setting of a function', `alter function plus set work_mem = '1MB'`],
    ['volatility', 'alter function plus stable'],
    [
      'a function that belongs to an extension',
      'alter extension citext add function plus(int, text)',
    ],
    ['an aggregate', `create aggregate all_of(text) (sfunc = textcat, stype = text)`],
    ['a name of a table', 'alter table child rename to kid'],
    ['a name of a column', 'alter table child rename at to moment'],
    ['a name of a column that a view shows', 'alter table item rename name to title'],
    ['a type of a column', 'alter table child alter at type date'],
    ['a length', 'alter table child add x varchar(3); alter table child alter x type varchar(4)'],
    ['a column that is gone', 'alter table child drop at'],
    ['a default', `alter table item alter name set default 'b'`],
    ['NOT NULL', 'alter table child alter at set not null'],
    ['a check', `alter table item add check (name <> 'z')`],
    [
      'a foreign key',
      'alter table child drop constraint child_item_fkey, add foreign key (item) references item on delete cascade',
    ],
    ['a primary key that is gone', 'alter table item drop constraint item_pkey cascade'],
    ['an index', 'create index on item (name)'],
    [
      'a condition of an index',
      `drop index item_c_idx; create index item_c_idx on item (c) where name <> 'b'`,
    ],
    [
      'an operator class of an index',
      "drop index item_c_idx; create index item_c_idx on item (c citext_pattern_ops) where name <> ''",
    ],
    ['an attribute', 'alter type pair rename attribute a to c'],
    ['a value of an enum', `alter type mood rename value 'bad' to 'worse'`],
    ['a check of a domain', `alter domain word add check (value <> 'z')`],
    ['a domain that is not null', 'alter domain word set not null'],
    ['a range', 'create type span as range (subtype = float8)'],
    ['a view', 'create or replace view items as select * from item where id > 0'],
    [
      'a materialized view',
      'drop materialized view kept; create materialized view kept as select w as name from item',
    ],
    ['a trigger', 'create trigger u before insert on item for each row execute function stamp()'],
    ['a trigger that is off', 'alter table item disable trigger t'],
    ['a rule', 'create rule r as on insert to child do also notify x'],
    ['a policy', `alter policy p on item using (name <> 'b')`],
    ['row security', 'alter table item disable row level security'],
    [
      'bounds of a partition',
      'alter table parent detach partition part; alter table parent attach partition part for values from (1) to (20)',
    ],
    ['a statistics object', 'create statistics s on lower(name), upper(name) from item'],
    ['an operator', 'create operator <+> (function = plus, leftarg = int, rightarg = text)'],
    ['a cast', 'create cast (mood as pair) with inout'],
    ['a collation', `create collation mine from "C"`],
    ['a text search configuration', 'create text search configuration mine (copy = simple)'],
    ['a schema', 'create schema another'],
    ['privileges on a schema', 'revoke all on schema other from current_user'],
    ['a search path', 'alter role current_user set search_path = other, public'],
    ['an extension', 'drop extension hstore'],
    ['an unlogged table', 'alter table child set unlogged'],
  ])('%s', async (_, change) => {
    const { print } = await lookAt(sql)
    expect((await lookAt(sql, change)).print).not.toBe(print)
    expect((await lookAt(sql)).print).toBe(print)
  })
})
