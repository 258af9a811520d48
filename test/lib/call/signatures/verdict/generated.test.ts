import type { Sql } from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Verdict } from '../../../../../lib/call/signatures/verdict/verdict.ts'
import { parseDatabaseUrl } from '../../../../../lib/postgres/hosts/server.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase } from '../../../../helpers/gateway.ts'
import { verdictsOf } from '../../../../helpers/verdicts.ts'

/** What a function can run, alone and within others. `$n` is a number of its own. */
const STATEMENTS = `
  select 1
  select count(*) from item
  select * from items
  select name from item where id = 1 for update
  select i.name from item i for key share of i
  select 1 as one into temp made_$n
  select 1 as one into made_$n
  select random(), clock_timestamp(), gen_random_uuid()
  select nextval('item_id_seq')
  select setval('item_id_seq', 100)
  select lastval()
  select setseed(0.5)
  select pg_advisory_lock($n)
  select pg_advisory_lock_shared($n)
  select pg_try_advisory_lock($n)
  select pg_advisory_xact_lock($n)
  select pg_advisory_unlock_all()
  select pg_notify('somebody', 'x')
  select set_config('app.leak', 'x', false)
  select set_config('app.leak', 'x', true)
  select set_config('app.' || 'leak', 'x', 1 = 1)
  select set_config('work_mem', '1MB', false)
  select set_config('TimeZone', 'Asia/Tokyo', true)
  select pg_export_snapshot()
  select lo_from_bytea(0, 'x')
  select lo_creat(-1)
  select txid_current()
  select query_to_xml('select 1', true, false, '')
  select query_to_xml('select set_config(''app.leak'', ''x'', false)', true, false, '')
  select touch(name) from item
  select i.touched from item i
  select one <+> 2 from (values (1)) as v (one)
  select array_agg(distinct name order by name) from item
  select sum(id) over (partition by name) from item
  select * from generate_series(1, 3) with ordinality
  select current_setting('TimeZone'), now()
  select xmlelement(name a, 1), to_json(now()), row_to_json(i) from item i
  with w as (insert into item (name) values ('w') returning id) select * from w
  with recursive r as (select 1 as n union all select n + 1 from r where n < 3) select * from r
  insert into item (name) values ('a')
  insert into item (id, name) values (1, 'a') on conflict (id) do update set name = 'b'
  insert into items (id, name) values (default, 'a')
  insert into watched values (1)
  insert into checked values (1)
  insert into defaulted default values
  insert into parent values (1)
  update item set name = name
  update pg_settings set setting = '2MB' where name = 'work_mem'
  delete from item where id < 0
  merge into item i using (values (1)) as s (id) on i.id = s.id when matched then update set name = 'm'
  truncate scratch
  lock table scratch
  notify somebody
  listen somebody
  unlisten *
  set app.leak = 'x'
  set local app.leak = 'x'
  set local work_mem = '1MB'
  set work_mem = '1MB'
  set session work_mem = '1MB'
  set local.tenant = 'x'
  set constraints.x = 'y'
  set constraints all deferred
  set local timezone = 'Asia/Tokyo'
  set time zone 'Asia/Tokyo'
  set local bytea_output = 'escape'
  set local search_path = pg_catalog
  set role none
  set local role none
  set session authorization default
  set transaction isolation level read committed
  set session characteristics as transaction isolation level serializable
  reset work_mem
  reset all
  show work_mem
  discard plans
  discard sequences
  discard temp
  create temp table made_$n (id int)
  create temp view made_$n as select 1 as one
  create table made_$n (id int)
  create table made_$n as select 1 as one
  create temp table made_$n as select 1 as one
  create function pg_temp.made_$n() returns int language sql as 'select 1'
  create temp sequence made_$n
  create index on scratch (id)
  create schema made_$n
  alter table scratch add column if not exists c_$n int
  drop table if exists made_$n
  comment on table scratch is 'x'
  grant select on scratch to public
  analyze scratch
  explain select 1
  refresh materialized view matview
  prepare made_$n as select 1
  deallocate all
  declare made_$n cursor for select 1
  declare made_$n cursor with hold for select 1
  declare made_$n cursor with /* \\ */ hold for select 1
  declare made_$n scroll cursor without hold for select 1
  close all
  do 'begin perform 1; end'
  do 'begin set app.leak = 1; end'
  copy item to '/dev/null'
  call proc()
  values (1), (2)
  table item
  select 1 where false /* it's /* nested */ */ union select 2
  select 'set app.leak = 1', $a$listen somebody$a$, e'it\\'s'
`
  .trim()
  .split('\n')
  .map((line) => line.trim())

/** Dynamic SQL, and what only PL/pgSQL has. */
const PLPGSQL = [
  ...STATEMENTS.filter(
    (one) => !/^(declare|prepare|values|table|with|select|show|explain)/.test(one),
  ),
  ...STATEMENTS.filter((one) => one.startsWith('select') && !/\binto\b/.test(one)).map((one) =>
    one.replace('select', 'perform'),
  ),
  "execute 'select 1'",
  "execute 'set app.leak = 1'",
  "execute format('create temp table made_%s (id int)', $n)",
  "execute 'listen ' || 'somebody'",
  'for r in select * from item limit 2 loop null; end loop',
  "for r in execute 'select 1' loop null; end loop",
  'r := (select i from item i limit 1)',
  'n := touched(null)',
  "begin raise 'x'; exception when raise_exception then null; end",
  'begin perform 1 / 0; exception when others then set app.leak = 1; end',
  "text := 'set app.leak = 1'; execute text",
]

const WRAPPERS: ((body: string) => string)[] = [
  (body) => body,
  (body) => `if n is null then ${body}; end if`,
  (body) => `for k in 1..2 loop ${body}; exit; end loop`,
  (body) => `begin ${body}; exception when unique_violation then null; end`,
  (body) => `case when true then ${body}; else null; end case`,
  (body) => `<<inner>> declare m int := 1; begin ${body}; end`,
]

let seed = 12
/** From 0 to below `below`: the same in each run. */
function pick(below: number): number {
  seed = (seed * 1103515245 + 12345) % 2147483648
  return Math.floor((seed / 2147483648) * below)
}
const one = <T>(of: T[]): T => of[pick(of.length)]!

function definitionOf(name: string, i: number): string {
  const numbered = (text: string) => text.replaceAll('$n', String(i))
  const option = one(['', '', 'stable', "set work_mem = '3MB'"])
  if (i <= STATEMENTS.length) {
    const body = numbered(STATEMENTS[i - 1]!)
    return `create function ${name}() returns void language sql ${option} as $f$ ${body} $f$`
  }
  const bodies = Array.from({ length: 1 + pick(2) }, () => one(WRAPPERS)(numbered(one(PLPGSQL))))
  const hides = one(['', '', "-- it's\r", "/* a /* b */ ' */"])
  return `create function ${name}() returns void language plpgsql ${option} as $f$
    declare n int; r record; text text; begin ${hides} ${bodies.join(';\n')}; end $f$`
}

const COUNT = 260

let url: string
let database: string
let sql: Sql
const made = new Map<string, string>()
let verdicts: Map<string, Verdict>

beforeAll(async () => {
  url = await createAdminDatabase()
  database = parseDatabaseUrl(url).database
  sql = connectTo(database)
  await sql.unsafe(`
    create table item (id serial primary key, name text);
    insert into item (name) values ('x'), ('y');
    create view items as select id, name from item;
    create table scratch (id int);
    create materialized view matview as select 1 as one;
    create function touch(text) returns text language sql as $$ insert into scratch values (1) returning $1 $$;
    create function touched(item) returns int language plpgsql as $$ begin perform touch('x'); return 1; end $$;
    create function leak() returns boolean language plpgsql
      as $$ begin perform set_config('app.leak', 'x', false); return true; end $$;
    create function stamp() returns trigger language plpgsql as $$ begin perform leak(); return new; end $$;
    create table watched (id int);
    create trigger t before insert on watched for each row execute function stamp();
    create table checked (id int check (leak()));
    create table defaulted (id boolean default leak());
    create table parent (id int) partition by range (id);
    create table part partition of parent default;
    create trigger t before insert on part for each row execute function stamp();
    create function plus(int, int) returns int language sql as 'select $1 + $2';
    create operator <+> (function = plus, leftarg = int, rightarg = int);
    create procedure proc() language plpgsql as 'begin null; end';
  `)
  for (let i = 1; i <= COUNT; i++) {
    const name = `f_${i}`
    const definition = definitionOf(name, i)
    // What cannot be made cannot be called.
    await sql.unsafe(definition).then(
      () => made.set(name, definition),
      () => {},
    )
  }
  await sql.unsafe('begin')
  verdicts = await verdictsOf(sql)
  await sql.unsafe('commit')
})
afterAll(async () => {
  await sql.end()
  await dropAdminDatabase(url)
})

const FORMATS = `
  select string_agg(setting, ',' order by name) as formats
  from pg_catalog.pg_settings
  where name in ('TimeZone', 'DateStyle', 'IntervalStyle', 'bytea_output', 'extra_float_digits',
    'lc_monetary', 'quote_all_identifiers', 'client_encoding')
`

/** What is left in the session, but for the last values of sequences, which are discarded. */
const LEFT = `
  select pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
    'settings', (
      select jsonb_object_agg(name, setting) from pg_catalog.pg_settings where source = 'session'
    ),
    'leak', nullif(current_setting('app.leak', true), ''),
    'local', nullif(current_setting('local.tenant', true), ''),
    'constraints', nullif(current_setting('constraints.x', true), ''),
    'role', nullif(current_setting('role'), 'none'),
    'user', nullif(session_user, current_user),
    'temporary', (
      select jsonb_agg(relname) from pg_catalog.pg_class where relnamespace = pg_my_temp_schema()
    ),
    'functions', (
      select jsonb_agg(proname) from pg_catalog.pg_proc where pronamespace = pg_my_temp_schema()
    ),
    'listens', (select jsonb_agg(channel) from pg_catalog.pg_listening_channels() as channel),
    'locks', (
      select jsonb_agg(objid) from pg_catalog.pg_locks
      where locktype = 'advisory' and classid <> 1684170615 and pid = pg_backend_pid()
    ),
    'prepared', (select jsonb_agg(name) from pg_catalog.pg_prepared_statements where from_sql),
    'cursors', (select jsonb_agg(name) from pg_catalog.pg_cursors where is_holdable)
  ))::text as left
`

interface Outcome {
  left: string
  error: string | undefined
  altersFormats: boolean
}

/** Calls a function in a session of its own, and looks at what it leaves. */
async function outcomeOf(name: string, begin: string): Promise<Outcome> {
  const session = connectTo(database)
  try {
    const [before] = await session.unsafe(FORMATS)
    await session.unsafe(begin)
    let error: string | undefined
    let altersFormats = false
    try {
      await session.unsafe(`select * from public.${name}()`)
      const [after] = await session.unsafe(FORMATS)
      altersFormats = after!.formats !== before!.formats
      await session.unsafe('commit')
    } catch (failure) {
      error = (failure as { code: string }).code
      await session.unsafe('rollback')
    }
    const [row] = await session.unsafe<{ left: string }[]>(LEFT)
    return { left: row!.left, error, altersFormats }
  } finally {
    await session.end()
  }
}

test('"keep" leaves nothing, "reads" runs where nothing can be written, formats are as they were', {
  timeout: 180_000,
}, async () => {
  const counts = { keep: 0, reads: 0, left: 0, ran: 0 }
  for (const [name, definition] of made) {
    const verdict = verdicts.get(name)!
    const outcome = await outcomeOf(name, 'begin')
    if (!outcome.error) counts.ran++
    if (outcome.left !== '{}') counts.left++
    if (verdict.afterwards === 'keep') {
      counts.keep++
      expect(outcome.left, definition).toBe('{}')
    }
    if (!verdict.altersFormats) expect(outcome.altersFormats, definition).toBe(false)
    if (verdict.reads) {
      counts.reads++
      const reading = await outcomeOf(name, 'begin read only')
      expect(reading.left, definition).toBe('{}')
      expect(reading.error, definition).not.toBe('25006')
    }
  }
  expect(made.size).toBeGreaterThan(200)
  // The test itself sees something.
  expect(counts.keep).toBeGreaterThan(60)
  expect(counts.reads).toBeGreaterThan(25)
  expect(counts.left).toBeGreaterThan(40)
  expect(counts.ran).toBeGreaterThan(120)
})

test('what only reads is not missed where it is plain', () => {
  const missed = STATEMENTS.flatMap((statement, i) => {
    const verdict = verdicts.get(`f_${i + 1}`)
    const isPlain = /^(select|table|values|with recursive)/.test(statement)
    return verdict && isPlain && !verdict.reads ? [statement] : []
  })
  expect(missed).toEqual(
    STATEMENTS.filter((statement) =>
      /^select.*(for update|for key|into|nextval|setval|lastval|setseed|advisory|notify|set_config|snapshot|lo_|txid|_to_xml|touch)/.test(
        statement,
      ),
    ).filter((statement) => verdicts.has(`f_${STATEMENTS.indexOf(statement) + 1}`)),
  )
})
