import type { Sql } from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readSchemaWithin } from '../../../../../lib/call/signatures/read-schema.ts'
import { judge } from '../../../../../lib/call/signatures/verdict/judge.ts'
import type { Verdict } from '../../../../../lib/call/signatures/verdict/verdict.ts'
import { parseDatabaseUrl } from '../../../../../lib/postgres/hosts/server.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase } from '../../../../helpers/gateway.ts'
import { verdictOf } from '../../../../helpers/verdicts.ts'

let url: string
let sql: Sql

beforeAll(async () => {
  url = await createAdminDatabase()
  sql = connectTo(parseDatabaseUrl(url).database)
  await sql.unsafe(`
    create type pair as (a int, b text);
    create table item (id serial primary key, name text, at timestamptz, p pair);
    create view items as select * from item where name <> '';
    create function writes() returns int language sql
      as $$ insert into item (name) values ('x') returning id $$;
    create function setting() returns text language sql
      as $$ select set_config('app.leak', 'x', false) $$;
  `)
})
afterAll(async () => {
  await sql.end()
  await dropAdminDatabase(url)
})

/** Runs the definitions, and rolls them back when the verdict of `f` is known. */
async function verdict(definitions: string): Promise<Verdict> {
  await sql.unsafe('begin')
  try {
    await sql.unsafe(definitions)
    return await verdictOf(sql, 'f')
  } finally {
    await sql.unsafe('rollback')
  }
}

const inPlpgsql = (body: string, returns = 'void') =>
  `create function f() returns ${returns} language plpgsql as $f$ ${body} end $f$`
const inSql = (body: string) => `create function f() returns void language sql as $f$ ${body} $f$`

describe('a function only reads that', () => {
  test.each([
    ['selects', inSql("select * from item where name = 'a' order by id")],
    ['selects in PL/pgSQL', inPlpgsql("begin perform 1 from items; raise notice 'x';")],
    [
      'returns rows',
      inPlpgsql('begin return query select id from item; return next 1;', 'setof int'),
    ],
    [
      'loops over rows',
      inPlpgsql(
        'declare r item; begin for r in select * from item loop r.id := r.id + 1; end loop;',
      ),
    ],
    [
      'opens a cursor',
      inPlpgsql(
        'declare c cursor for select id from item; n int; begin open c; fetch c into n; close c;',
      ),
    ],
    [
      'has variables of all kinds',
      inPlpgsql(`declare a item.id%type; b item%rowtype; c pair; d int[] = '{}'; e record; k constant pair := (1, 'a'); f item.p%type;
        begin a := 1; b.name := 'x'; c.a := 2; d[1] := 3; d[a + 1] = 4; select 1 as x into e;
        c := (select p from item limit 1); a = b.id = 3; f.a := 4;`),
    ],
    [
      'takes random numbers and the time',
      inSql('select random(), clock_timestamp(), gen_random_uuid()'),
    ],
    ['waits', inSql('select pg_sleep(0)')],
    [
      'raises and handles what it raises',
      inPlpgsql("begin raise 'x'; exception when raise_exception then null;"),
    ],
    ['has a setting of its own', `${inSql('select 1')} set timezone = 'UTC'`],
    ['reads settings', inSql("select current_setting('app.user', true)")],
    ['has a body without quotes', 'create function f() returns int begin atomic select 1; end'],
    ['speaks of writing', inPlpgsql("begin -- insert into item\n perform 'update item';")],
    [
      'calls one that only reads',
      `create function g(i int default 1) returns int language plpgsql as $$ begin return (select max(id) from item); end $$;
      ${inSql('select g()')}`,
    ],
    [
      'reads a table whose triggers write',
      `create function t() returns trigger language plpgsql as $$ begin perform writes(); return new; end $$;
      create trigger t after insert on item for each row execute function t();
      ${inSql('select 1 from items')}`,
    ],
    ['is declared STABLE', inSql('select 1 from item').replace('language', 'stable language')],
    [
      'uses an extension',
      `create extension citext; create extension hstore; ${inSql("select 'a'::citext = 'b', hstore('a', 'b') -> 'a'")}`,
    ],
    [
      'reads columns with names of functions',
      `create table other (system text, name text, setting text);
      create function name(int, int) returns int language sql as 'select writes()';
      ${inSql('select o.system, o.name, (o).setting, i.id from other o, item i')}`,
    ],
    ['makes json', inSql('select jsonb_agg(to_jsonb(i)) from item i')],
  ])('%s', async (_, definitions) => {
    expect(await verdict(definitions)).toEqual({
      reads: true,
      handles: false,
      afterwards: 'keep',
      altersFormats: false,
      commits: false,
    })
  })
})

describe('a function does not only read that', () => {
  const g = (body: string) =>
    `create function g() returns int language plpgsql as $$ begin ${body} return 1; end $$;`
  test.each([
    ['inserts', inSql("insert into item (name) values ('a')")],
    ['updates', inPlpgsql('begin update item set name = null;')],
    ['deletes', inSql('delete from item')],
    [
      'merges',
      inSql('merge into item i using (select 1 as id) s on i.id = s.id when matched then delete'),
    ],
    ['truncates', inSql('truncate item')],
    [
      'inserts within a query',
      inSql('with w as (insert into item default values returning id) select * from w'),
    ],
    ['locks rows', inSql('select 1 from item for update')],
    ['locks rows within a query', inSql('select 1 from (select 1 from item for share) as x')],
    [
      'locks rows through a view',
      `create view v as select * from item for update; ${inSql('select 1 from v')}`,
    ],
    ['locks a table', inSql('lock table item')],
    ['takes from a sequence', inSql("select nextval('item_id_seq')")],
    ['sets a sequence', inSql("select setval('item_id_seq', 1)")],
    ['locks for its transaction', inSql('select pg_advisory_xact_lock(1)')],
    ['notifies', inSql('notify somebody')],
    ['notifies by a function', inSql("select pg_notify('a', 'b')")],
    ['makes a large object', inSql("select lo_from_bytea(0, 'a')")],
    ['reads a large object', inSql('select lo_get(1)')],
    ['takes a transaction id', inSql('select txid_current()')],
    ['sets for its transaction', inSql("select set_config('app.user', 'x', true)")],
    ['sets locally', inSql("set local app.leak = 'x'")],
    ['creates', inSql('create table x (id int)')],
    ['selects into a table', inSql('select 1 as one into x')],
    ['runs a text', inPlpgsql("begin execute 'select 1';")],
    ['returns what a text gives', inPlpgsql("begin return query execute 'select 1';", 'setof int')],
    [
      'loops over a text',
      inPlpgsql("declare r record; begin for r in execute 'select 1' loop end loop;"),
    ],
    [
      'opens a cursor of a text',
      inPlpgsql("declare c refcursor; begin open c for execute 'select 1';"),
    ],
    ['calls a procedure', `create procedure p() language sql as ''; ${inSql('call p()')}`],
    ['cancels', inSql('select pg_cancel_backend(1)')],
    ['calls one that writes', inSql('select writes()')],
    [
      'calls it as a column',
      `create function touch(item) returns int language sql as 'select writes()'; ${inSql('select i.touch from item i')}`,
    ],
    [
      'calls it as a column of an expression',
      `create function touch(pair) returns int language sql as 'select writes()'; ${inSql('select (row(1, null)::pair).touch')}`,
    ],
    ['calls it in a FROM', inSql('select * from item, lateral writes() as w')],
    ['calls it in a window', inSql('select sum(writes()) over (order by id) from item')],
    [
      'calls it in a default of an argument',
      `create function g(i int default writes()) returns int language sql as 'select i'; ${inSql('select g()')}`,
    ],
    [
      'calls it in a policy',
      `create policy p on item using (writes() > 0); ${inSql('select 1 from item')}`,
    ],
    [
      'calls it in a policy of a partition',
      `create table part (id int) partition by range (id); create table part_1 partition of part default; create policy p on part_1 using (writes() > 0); ${inSql('select 1 from part, part_1')}`,
    ],
    ['calls it in a view', `create view v as select writes(); ${inSql('select 1 from v')}`],
    ['declares with it', inPlpgsql('declare n int := writes(); begin null;')],
    [
      'declares a row with it',
      `create function w() returns pair language sql as $$ select writes(), 'x' $$; ${inPlpgsql('declare p pair := w(); begin null;')}`,
    ],
    [
      'declares a row with a view that does',
      `create view v as select writes() as a, 'x' as b; ${inPlpgsql('declare p constant pair not null default (select (a, b)::pair from v); begin null;')}`,
    ],
    ['opens a cursor of it', inPlpgsql('declare c cursor for select writes(); begin open c;')],
    ['asks it in an IF', inPlpgsql('begin if false then elsif writes() > 0 then end if;')],
    ['asks it in a CASE', inPlpgsql('begin case 1 when writes() then null; end case;')],
    ['counts with it', inPlpgsql('begin for i in 1..writes() loop end loop;')],
    [
      'steps with it',
      inPlpgsql(
        'begin for i in reverse 9..1 by writes() loop continue when writes() > 0; exit when true; end loop;',
      ),
    ],
    ['indexes with it', inPlpgsql('declare a int[]; begin a[writes()] := 1;')],
    ['raises with it', inPlpgsql("begin raise notice '%', writes();")],
    ['raises with it as a hint', inPlpgsql("begin raise notice 'x' using hint = writes();")],
    ['asserts it', inPlpgsql('begin assert writes() > 0;')],
    ['returns it', inPlpgsql('begin return writes();', 'int')],
    [
      'walks it',
      inPlpgsql('declare n int; begin foreach n in array array[writes()] loop end loop;'),
    ],
    [
      'opens a cursor with it',
      inPlpgsql('declare c cursor (n int) for select n; begin open c(n := writes());'),
    ],
    [
      'handles with it',
      inPlpgsql("begin raise 'x'; exception when raise_exception then perform writes();"),
    ],
    ['calls one in PL/pgSQL that writes', `${g('perform writes();')} ${inSql('select g()')}`],
  ])('%s', async (_, definitions) => {
    expect((await verdict(definitions)).reads).toBe(false)
  })

  test('a procedure, whatever it does', async () => {
    const found = await verdict("create procedure f() language sql as 'select 1'")
    expect(found).toMatchObject({ reads: false, afterwards: 'reset' })
  })
})

describe('errors that PostgreSQL tells with are swallowed by', () => {
  const handler = (condition: string) =>
    inPlpgsql(`begin perform 1; exception when ${condition} then null;`)
  test.each([
    ['others', true],
    ['OTHERS', true],
    ['query_canceled', true],
    ['read_only_sql_transaction', true],
    ['operator_intervention', true],
    ['invalid_transaction_state', true],
    ["sqlstate '57014'", true],
    ["sqlstate '25006'", true],
    ["sqlstate '25000'", true],
    ['unique_violation or query_canceled', true],
    ['unique_violation', false],
    ["sqlstate '23505'", false],
    ['no_data_found or too_many_rows', false],
    ['admin_shutdown', false],
  ])('%s: %s', async (condition, handles) => {
    const found = await verdict(handler(condition))
    expect(found).toMatchObject({ handles, reads: true, afterwards: 'keep' })
  })

  test('a function that is called', async () => {
    const { handles } = await verdict(`
      create function g() returns int language plpgsql
        as $$ begin return 1; exception when others then return 2; end $$;
      ${inSql('select g()')}`)
    expect(handles).toBe(true)
  })

  test.each([
    ['a text that is run', inPlpgsql("begin execute 'x';")],
    ['a DO block', inPlpgsql("begin do 'begin end';")],
  ])('%s, perhaps', async (_, definitions) => {
    expect((await verdict(definitions)).handles).toBe(true)
  })
})

describe('what a shared session has a value of its own of is read by', () => {
  test.each([
    ["select current_setting('transaction_read_only')", true],
    ["select current_setting('Default_Transaction_Read_Only', true)", true],
    ["select pg_catalog.current_setting('statement_timeout'::text)", true],
    ['select current_setting(name, true) from item', true],
    ["select current_setting('statement_' || 'timeout')", true],
    ["select ('statement_timeout'::text).current_setting", true],
    ['select setting from pg_settings', true],
    ['select pg_show_all_settings()', true],
    ['show statement_timeout', false],
    ["select current_setting('app.user')", false],
    ["select current_setting('app.statement_timeout', true)", false],
    ["select current_setting('app.user'::text, true)", false],
    ["select current_setting('TimeZone')", false],
  ])('%s: %s', async (statement, handles) => {
    expect((await verdict(inSql(statement))).handles).toBe(handles)
  })

  test.each([
    ['a view', 'create view v as select * from pg_settings;', 'select 1 from v'],
    [
      'a function that is given its name',
      `create function g(text) returns text language sql as 'select current_setting($1)';`,
      "select g('app.user')",
    ],
    [
      'an operator',
      'create operator ### (function = current_setting, rightarg = text);',
      "select ### 'statement_timeout'",
    ],
  ])('%s', async (_, definitions, statement) => {
    expect((await verdict(definitions + inSql(statement))).handles).toBe(true)
  })

  test('not by SHOW, which counts as writing', async () => {
    expect((await verdict(inSql('show statement_timeout'))).reads).toBe(false)
  })
})

describe('how values are written may be changed by', () => {
  test.each([
    ["set local timezone = 'UTC'", true],
    ["set time zone 'UTC'", true],
    ["set local DateStyle = 'German'", true],
    ["set bytea_output = 'escape'", true],
    ['set extra_float_digits = 0', true],
    ["set local lc_monetary = 'C'", true],
    ["set local intervalstyle = 'iso_8601'", true],
    ["set client_encoding = 'LATIN1'", true],
    ["set names 'LATIN1'", true],
    ["select set_config('client_encoding', 'LATIN1', true)", true],
    ['set local quote_all_identifiers = on', true],
    ['reset all', true],
    ['discard all', true],
    ['reset timezone', true],
    ["select set_config('TimeZone', 'UTC', true)", true],
    ["select set_config('TimeZone'::text, 'UTC', true)", true],
    ["select set_config(name, 'x', true) from item", true],
    ["update pg_settings set setting = 'x' where name = 'TimeZone'", true],
    ["set local work_mem = '1MB'", false],
    ["set local app.timezone = 'x'", false],
    // Values are read and made with these, not written.
    ['set xml option document', false],
    ["set local lc_time = 'C'", false],
    ["select set_config('app.user', 'x', true)", false],
    ['select 1', false],
  ])('%s: %s', async (statement, altersFormats) => {
    expect((await verdict(inSql(statement))).altersFormats).toBe(altersFormats)
  })

  test('a text that is run, perhaps', async () => {
    expect((await verdict(inPlpgsql("begin execute 'x';"))).altersFormats).toBe(true)
  })

  test('not a SET clause of the function, which is undone', async () => {
    const found = await verdict(`${inSql('select 1')} set timezone = 'Asia/Tokyo'`)
    expect(found.altersFormats).toBe(false)
  })
})

test('a body that the parser does not survive has no verdict, and others have theirs', async () => {
  await sql.unsafe('begin')
  const { facts } = await readSchemaWithin(sql)
  await sql.unsafe('rollback')
  const [deep] = facts!.functions.filter(({ name }) => name === 'writes')
  const body = `select ${'1 + '.repeat(100_000)}1`
  const definition = `create function deep() returns int language sql as $$ ${body} $$`
  const judgements = Array.from({ length: 3 }, (_, i) =>
    judge(i === 0 ? { ...facts!, functions: [{ ...deep!, name: 'deep', definition }] } : facts!),
  )
  const [broken, ...others] = await Promise.all(judgements)
  expect(broken).toMatchObject([{ reads: false, handles: true, afterwards: 'reset' }])
  for (const verdicts of others)
    expect(verdicts).toContainEqual(expect.objectContaining({ handles: false }))
})

describe('the database as a whole has', () => {
  test('an operator of PostgreSQL that locks', async () => {
    const definition = 'create operator ### (function = pg_advisory_lock, rightarg = bigint)'
    const found = await verdict(`${definition}; ${inSql('select ### 1')}`)
    expect(found).toMatchObject({ reads: false, afterwards: 'reset' })
  })

  test('an aggregate of PostgreSQL that sets', async () => {
    const found = await verdict(`
      create aggregate leak(text, boolean) (sfunc = set_config, stype = text, initcond = 'app.leak');
      ${inSql("select leak('x', false)")}`)
    expect(found).toMatchObject({ reads: false, afterwards: 'reset', altersFormats: true })
  })
})

describe('A5: what words do not show', () => {
  test.each([
    ['into local temp', inSql('select 1 as one into local temp t')],
    ['into local temporary table', inSql('select 1 as one into local temporary table t')],
    [
      'nested comments with an apostrophe',
      inPlpgsql("begin /* a /* it's */ b */ set app.leak = 'x'; perform '';"),
    ],
    ["a custom setting's class called local", inPlpgsql("begin set local.tenant = 'x';")],
    ["a custom setting's class called constraints", inPlpgsql("begin set constraints.x = 'y';")],
    [
      'a variable called function',
      inPlpgsql(`declare function text := 'set app.leak = 1'; begin execute function;`),
    ],
    [
      'a comment with a backslash',
      inSql(String.raw`declare c cursor with /* \ */ hold for select 1`),
    ],
    [
      'an own set_config',
      `create function set_config(text, int, boolean) returns text language sql as $$ select setting() $$;
      ${inSql("select set_config('a', 1, true)")}`,
    ],
    [
      'a comment that a carriage return ends',
      inPlpgsql("begin -- it's\r set app.leak = 'x'; perform '';"),
    ],
    [
      'a text that a backslash ends',
      inPlpgsql(String.raw`begin perform 'a\'; set app.leak = 'x';`),
    ],
    ['a text in pieces', inSql("select set_config('app.'\n'leak', 'x', false)")],
  ])('%s', async (_, definitions) => {
    expect(await verdict(definitions)).toMatchObject({ reads: false, afterwards: 'reset' })
  })
})

test('where texts are read in the old way, one with a backslash has no verdict', async () => {
  const definition = inSql(String.raw`select 'a\\', set_config('app.leak', 'x', true)`)
  const old = await verdict(`${definition} set standard_conforming_strings = off`)
  expect(old).toMatchObject({ reads: false, handles: true, afterwards: 'reset' })
  const now = await verdict(definition)
  expect(now).toMatchObject({ handles: false, afterwards: 'keep' })
})
