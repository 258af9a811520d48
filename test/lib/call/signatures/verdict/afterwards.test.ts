import type { Sql } from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../../../../lib/postgres/hosts/server.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase } from '../../../../helpers/gateway.ts'
import { verdictOf } from '../../../../helpers/verdicts.ts'

let url: string
let sql: Sql

beforeAll(async () => {
  url = await createAdminDatabase()
  sql = connectTo(parseDatabaseUrl(url).database)
  await sql.unsafe(`
    create table item (id serial primary key, name text, "group" int);
    create function setting() returns text language sql
      as $$ select set_config('app.leak', 'x', false) $$;
  `)
})
afterAll(async () => {
  await sql.end()
  await dropAdminDatabase(url)
})

/** Runs the definitions, and rolls them back when what becomes of a call of `f` is known. */
async function afterwardsOf(definitions: string, name = 'f') {
  await sql.unsafe('begin')
  try {
    await sql.unsafe(definitions)
    return (await verdictOf(sql, name)).afterwards
  } finally {
    await sql.unsafe('rollback')
  }
}

const inPlpgsql = (body: string) =>
  `create function f() returns void language plpgsql as $f$ begin ${body} end $f$`
const inSql = (body: string) => `create function f() returns void language sql as $f$ ${body} $f$`

/** As one that calls `setting` without being asked for it. */
const calling = (more: string) => `${more}; ${inSql('insert into item (name) values (null)')}`

describe('the connection is kept after a function that', () => {
  test.each([
    ['reads', inSql("select * from item where name = 'a'")],
    ['writes', inPlpgsql("insert into item (name) values ('a'); update item set name = 'b';")],
    [
      'sets columns in case of a conflict',
      inPlpgsql(
        "insert into item (id) values (1) on conflict (id) do update set name = 'b'; insert into item values (1) on conflict do nothing;",
      ),
    ],
    ['updates an alias on a line of its own', inPlpgsql('update item as i\n set name = null;')],
    [
      'speaks of more than it does',
      inPlpgsql("-- create, then execute\n raise 'do listen: %', 1;"),
    ],
    [
      'says it in a comment of several lines',
      inPlpgsql(
        '/* execute * it /** listen\n */ */ perform 1; update item /* so */ set name = null;',
      ),
    ],
    ['has a setting for itself', `${inPlpgsql('perform 1;')} set work_mem = '1MB'`],
    [
      'has settings for its transaction',
      inPlpgsql(
        "perform set_config('app.user', 1::text, true); perform set_config('app.user', 'a, b', is_local => true); set local work_mem = '1MB';",
      ),
    ],
    ['locks for its transaction', inPlpgsql('perform pg_advisory_xact_lock(1), pg_sleep(0);')],
    [
      'takes the time, and a number',
      inSql('select clock_timestamp(), random(), gen_random_uuid()'),
    ],
    ['has columns with names of statements', inSql('select name as reset, id as hold from item')],
    [
      'fires a trigger that leaves nothing',
      calling(`
        create function stamp() returns trigger language plpgsql
          as $$ begin new.name := 'x'; return new; end $$;
        create trigger stamp before insert on item for each row execute function stamp()
      `),
    ],
    [
      'writes into a table beside one that has such a trigger',
      calling(`
        create function stamp() returns trigger language plpgsql
          as $$ begin perform setting(); return new; end $$;
        create table other (id int);
        create trigger stamp before insert on other for each row execute function stamp()
      `),
    ],
    [
      'truncates a table with a trigger',
      calling(`
        create table other (id int primary key);
        create table child (id int references other);
        create function stamp() returns trigger language plpgsql
          as $$ begin perform setting(); return null; end $$;
        create trigger stamp before truncate on child for each statement execute function stamp()
      `).replace(
        'insert into item (name) values (null)',
        'truncate item cascade; delete from other',
      ),
    ],
    [
      'names columns like functions of two arguments',
      `create function name(int, int) returns text language sql as 'select setting()';
      ${inSql('select i.id, i.name, (i).id from item i')}`,
    ],
    [
      'writes through a view',
      `create view v as select * from item; ${inSql("update v set name = 'a'")}`,
    ],
    [
      'sets for its transaction in a way that PostgreSQL writes itself',
      `create view v as select set_config('app.user', 'a', true) as a; ${inSql('select 1 from v')}`,
    ],
    [
      'computes with rests in variables like keywords',
      inPlpgsql(`declare rowtype int := 3; type int := 4; a int[]; begin
        a[5 % type] := 7 % rowtype; a[1 % rowtype] := a[2 % type]; end;`),
    ],
    ['looks at what a table has', inPlpgsql('analyze item;')],
    ['takes a salt', `create extension pgcrypto; ${inSql("select gen_salt('bf')")}`],
    [
      'compares with its operators',
      `create extension citext; ${inSql("select 'a'::citext = 'A'")}`,
    ],
    ['stands beside others that are not kept', `create extension isn; ${inSql('select 1')}`],
  ])('%s', async (_, definitions) => {
    expect(await afterwardsOf(definitions)).toBe('keep')
  })
})

describe('the session is reset after a function that', () => {
  test.each([
    ['sets', inPlpgsql("set app.leak = 'x';")],
    ['sets first', inSql("set app.leak = 'x'")],
    ['sets behind a comment', inPlpgsql('/* a */ set role none;')],
    ['sets behind a comment to the end of the line', inPlpgsql('-- a\n set role none;')],
    [
      'sets behind a text like a comment',
      inPlpgsql("perform '--', '/*', \"group\" from item; set role none;"),
    ],
    [
      'sets behind a text with a backslash',
      inPlpgsql("perform e'\\'--'; set role none; perform 'a';"),
    ],
    ['sets behind a text in dollars', inPlpgsql('perform $$--$$; set role none;')],
    ['sets in a branch', inPlpgsql('if true then set role none; else set role none; end if;')],
    ['sets in a loop', inPlpgsql('for i in 1..2 loop set role none; end loop;')],
    ['sets after an error', inPlpgsql("raise 'x'; exception when others then set role none;")],
    ['sets at a label', inPlpgsql('null; <<here>> begin set role none; end;')],
    ['sets for its session', inPlpgsql('SET SESSION app.leak = 1;')],
    ['sets by a function', inSql("select set_config('app.leak', 'x', false)")],
    ['sets as the parameter says', inSql("select set_config('app.leak', 'x', 1 = 1)")],
    ['sets by a name in quotes', inSql(`select pg_catalog."set_config"('app.leak', 'x', false)`)],
    [
      'sets by a name in code points',
      inSql(String.raw`select U&"\0073et_config"('app.leak', 'x', false)`),
    ],
    ['sets in capitals', inSql("SELECT SET_CONFIG('app.leak', 'x', false)")],
    ['updates the settings', inSql("update pg_settings set setting = 'x' where name = 'app.leak'")],
    ['creates', inPlpgsql('create temp table t (id int);')],
    ['selects into a temporary table', inSql('select 1 as one into temp t')],
    ['drops', inPlpgsql('drop table item;')],
    ['listens', inSql('listen somebody')],
    ['locks for its session', inSql('select pg_advisory_lock(1)')],
    ['prepares', inSql('prepare p as select 1')],
    ['lets statements go', inSql('deallocate all')],
    ['seeds random numbers for its transaction', inPlpgsql('set local seed to 0.25;')],
    [
      'seeds random numbers for its transaction by a function',
      inSql("select set_config('Seed', '0.25', true)"),
    ],
    [
      'sets for its transaction what is not known',
      inSql("select set_config(name, '0.25', true) from item"),
    ],
    [
      'sets as a type of its own says that is called like the one for it',
      `create schema own; create type own.bool as enum ('true');
      create function own.no(own.bool) returns boolean language sql immutable as 'select false';
      create cast (own.bool as boolean) with function own.no(own.bool) as implicit;
      ${inSql("select set_config('app.leak', 'x', 'true'::own.bool)")}`,
    ],
    [
      'sets what a type of its own makes of a name',
      `create schema own; create type own.text as enum ('app.user');
      create function own.seed(own.text) returns text language sql immutable as $$ select 'seed' $$;
      create cast (own.text as text) with function own.seed(own.text) as implicit;
      ${inSql("select set_config('app.user'::own.text, '0.25', true)")}`,
    ],
    ['holds a cursor', inSql('declare c cursor with hold for select 1')],
    ['asks for the last value', inSql('select lastval()')],
    ["asks for a sequence's value", inSql("select currval('item_id_seq')")],
    ['seeds random numbers', inSql('select setseed(0)')],
    ['runs a text', inPlpgsql("execute 'select 1';")],
    [
      'returns what a text gives',
      inPlpgsql("return query execute 'select 1';").replace('void', 'setof int'),
    ],
    ['runs a block', inPlpgsql("do 'begin perform 1; end';")],
    ['runs a text as XML', inSql("select query_to_xml('select 1', true, false, '')")],
    ['runs what a view hides as XML', inSql("select table_to_xml('item', true, false, '')")],
    [
      'has it in a body without quotes',
      'create function f() returns text begin atomic select set_config($$a.b$$, $$c$$, false); end',
    ],
    [
      'has it in a default of an argument',
      "create function f(a text default set_config('a.b', 'c', false)) returns text language sql as 'select a'",
    ],
    ['calls one that does', inPlpgsql('perform setting();')],
    [
      'calls one that calls one that does',
      `create function middle() returns text language plpgsql as $$ begin return Setting(); end $$;
      ${inSql('select middle()')}`,
    ],
    [
      'calls one with a name like no other',
      `create function "Does It"() returns text language sql as 'select setting()';
      ${inSql('select "Does It"()')}`,
    ],
    [
      'calls one with a name in capitals',
      `create function "DoesIt"() returns text language sql as 'select setting()';
      ${inSql('select "DoesIt"()')}`,
    ],
    [
      'calls one with a name beyond ASCII',
      `create function müßig() returns text language sql as 'select setting()';
      ${inSql('select müßig()')}`,
    ],
    [
      'aggregates with one that does',
      `create function step(a text, b text) returns text language sql as 'select setting()';
      create aggregate all_of(text) (sfunc = step, stype = text);
      ${inSql('select all_of(name) from item')}`,
    ],
    [
      'fires a trigger',
      calling(`
        create function stamp() returns trigger language plpgsql
          as $$ begin perform setting(); return new; end $$;
        create trigger stamp before insert on item for each row execute function stamp()
      `),
    ],
    [
      'fires a trigger of a partition',
      `create table part (id int) partition by range (id);
      create table part_1 partition of part for values from (0) to (10);
      create function stamp() returns trigger language plpgsql
        as $$ begin perform setting(); return new; end $$;
      create trigger stamp before insert on part_1 for each row execute function stamp();
      ${inSql('insert into part values (1)')}`,
    ],
    [
      'fires a trigger of what it deletes along',
      `create table child (item int references item on delete cascade);
      create function stamp() returns trigger language plpgsql
        as $$ begin perform setting(); return old; end $$;
      create trigger stamp before delete on child for each row execute function stamp();
      ${inSql('delete from item')}`,
    ],
    ['takes a default', calling('alter table item alter name set default setting()')],
    ['meets a check', calling('alter table item add check (setting() is not null)')],
    ['meets a policy', calling('create policy p on item using (setting() is not null)')],
    ['meets a rule', calling('create rule r as on insert to item do also select setting()')],
    [
      'fills an index',
      calling(`
        create function key(text) returns text immutable language sql as 'select public.setting()';
        create index on item (key(name))
      `),
    ],
    [
      'calls one as a column of a domain over a row',
      `create type pair as (a int); create domain good_pair as pair;
      create function peek(good_pair) returns text language sql as 'select setting()';
      ${inSql('select (t).peek from (select row(1)::pair as t) as s')}`,
    ],
    [
      'calls one as a column that takes any number of rows',
      `create type pair as (a int);
      create function peek(variadic pair[]) returns text language sql as 'select setting()';
      ${inSql('select (t).peek from (select row(1)::pair as t) as s')}`,
    ],
    [
      'calls one as a column of what a row is cast to',
      `create type pair as (a int);
      create function number(pair) returns bigint language sql immutable as 'select ($1).a';
      create cast (pair as bigint) with function number(pair) as implicit;
      create function peek(bigint) returns text language sql as 'select setting()';
      ${inSql('select (t).peek from (select row(1)::pair as t) as s')}`,
    ],
    [
      'calls one as a column of a number',
      `create function peek(int) returns text language sql as 'select setting()';
      ${inSql('select n.peek from generate_series(1, 2) as n')}`,
    ],
    ["calls PostgreSQL's own as a column", inSql('select (7::bigint).pg_advisory_lock')],
    [
      'truncates along a table with a trigger',
      `create table child (item int references item);
      create table grandchild (id int);
      alter table child add unique (item);
      alter table grandchild add foreign key (id) references child (item);
      create function stamp() returns trigger language plpgsql
        as $$ begin perform setting(); return null; end $$;
      create trigger stamp before truncate on grandchild execute function stamp();
      ${inSql('truncate item cascade')}`,
    ],
    [
      'updates the settings through views',
      `create view v as select * from pg_settings; create view w as select * from v;
      ${inSql("update w set setting = 'x' where name = 'app.leak'")}`,
    ],
    [
      'assigns to a variable like a keyword behind a comment with a percent sign',
      inPlpgsql(`declare rowtype text; begin
        -- the discount is in %
        rowtype := set_config('app.leak', 'x', false);
        end;`),
    ],
    [
      'calls one as a column of a rest',
      `create type pair as (a int);
      create function peek(pair) returns int language sql as 'select length(setting())';
      ${inPlpgsql(`declare p pair; type int := 2; begin p.a := 1;
        perform p.peek % type from (select p) as p; end;`)}`,
    ],
    ...[
      ['an index', 'reindex index item_key'],
      ['a table', 'analyze item'],
      ['all tables', 'analyze'],
    ].map(([what, statement]) => [
      `computes the key of ${what}`,
      `create function key(text) returns text immutable language sql as 'select public.setting()';
      create index item_key on item (key(name)); ${inPlpgsql(`${statement};`)}`,
    ]),
    ['reads a view', `create view v as select setting(); ${inSql('select 1 from v')}`],
    [
      'reads a view of a view',
      `create view v as select setting(); create view w as select * from v;
      ${inSql('select 1 from public."w"')}`,
    ],
    [
      'uses an operator',
      `create function plus(int, text) returns text language sql as 'select setting()';
      create operator <+> (function = plus, leftarg = int, rightarg = text);
      ${inSql("select 1 <+> 'a'")}`,
    ],
    [
      'takes a range',
      `create function distance(float8, float8) returns float8 immutable language sql
        as $$ select length(public.setting())::float8 $$;
      create type span as range (subtype = float8, subtype_diff = distance);
      ${inSql("select '[1,2]'::span")}`,
    ],
    [
      'casts',
      `create type pair as (a int, b int);
      create function paired(pair) returns text language sql as 'select setting()';
      create cast (pair as text) with function paired(pair);
      ${inSql('select row(1, 2)::pair::text')}`,
    ],
    [
      'takes a domain',
      `create function good(text) returns boolean language sql as 'select setting() is not null';
      create domain word as text check (good(value));
      create function f(word) returns void language sql as ''`,
    ],
  ])('%s', async (_, definitions) => {
    expect(await afterwardsOf(definitions)).toBe('reset')
  })
})

describe('the connection is closed after a function that', () => {
  test.each([
    // It is a variable of the C code up to PostgreSQL 17.
    ['changes what no reset reaches', `create extension isn; ${inSql('select isn_weak(true)')}`],
    ['runs a text, where such a thing is', `create extension isn; ${inPlpgsql("execute 'x';")}`],
  ])('%s', async (_, definitions) => {
    expect(await afterwardsOf(definitions)).toBe('close')
  })

  test('runs a text, but not for a setting of an extension', async () => {
    const definitions = `create extension pg_trgm; ${inPlpgsql("execute 'x'; perform set_limit(0);")}`
    expect(await afterwardsOf(definitions)).toBe('reset')
  })
})
