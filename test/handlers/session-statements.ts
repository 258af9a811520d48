/**
 * Statements that PostgreSQL's grammar lets a function run and that may leave something in the
 * session (PostgreSQL manual, "SQL Commands"; what DISCARD ALL undoes).
 */
export const STATEMENTS: readonly string[] = [
  // SET and RESET, in all their forms.
  "set app.leak = 'x'",
  "set session app.leak to 'x'",
  "set app.leak to 'x', 'y'",
  "set local app.leak = 'x'",
  "set local.leak = 'x'",
  "set constraints.leak = 'x'",
  "set session.leak = 'x'",
  'set timezone to local',
  "set time zone 'Asia/Tokyo'",
  "set time zone interval '+09:00' hour to minute",
  'set timezone to default',
  "set schema 'pg_catalog'",
  "set names 'LATIN1'",
  'set seed to 0.5',
  'set xml option document',
  'set search_path = pg_temp, public',
  'set search_path from current',
  'set work_mem from current',
  "set work_mem = '1MB'",
  'set enable_seqscan = off',
  'set statement_timeout = 77777',
  'set default_transaction_read_only = on',
  'set default_transaction_isolation = serializable',
  'set session characteristics as transaction isolation level repeatable read',
  'set session characteristics as transaction read only, deferrable',
  'set transaction_timeout = 77777',
  'set bytea_output = escape',
  'set extra_float_digits = 0',
  'set datestyle = german',
  'set intervalstyle = iso_8601',
  'set application_name = leaked',
  'set client_encoding = LATIN1',
  'set client_min_messages = error',
  'set row_security = off',
  'set check_function_bodies = off',
  'set plpgsql.extra_warnings = all',
  'set plan_cache_mode = force_generic_plan',
  'set session_replication_role = replica',
  'reset timezone',
  'reset time zone',
  'reset all',
  'reset session authorization',
  'reset transaction isolation level',
  "select set_config('app.leak', 'x', false)",
  "select pg_catalog.set_config('app.leak', 'x', false)",
  "select set_config('app.leak', 7, false)",
  "select set_config('app.leak', 'x', 1 = 2)",
  "select set_config(name, '1234', false) from pg_settings where name = 'work_mem'",
  "update pg_settings set setting = '1234' where name = 'work_mem'",
  // Roles.
  'set role none',
  'set local role none',
  "select set_config('role', current_user, false)",
  'set session authorization default',
  // Temporary objects.
  'create temp table leaked (id int)',
  'create temporary table leaked (id int) on commit preserve rows',
  'create temp table leaked (id int) on commit drop',
  'create local temp table leaked (id int)',
  'create global temporary table leaked (id int)',
  'create temp table leaked as select 1 as id',
  'create table pg_temp.leaked (id int)',
  'select 1 as id into temp leaked',
  'select 1 as id into local temp leaked',
  'select 1 as id into pg_temp.leaked',
  'create temp view leaked as select 1 as id',
  'create or replace temp view leaked as select 1 as id',
  'create recursive view pg_temp.leaked (id) as select 1',
  'create temp sequence leaked',
  'create table pg_temp.leaked (id serial)',
  'create type pg_temp.leaked as (id int)',
  "create type pg_temp.leaked as enum ('x')",
  'create domain pg_temp.leaked as int',
  "create function pg_temp.leaked() returns int language sql as 'select 1'",
  "create procedure pg_temp.leaked() language sql as 'select 1'",
  'create aggregate pg_temp.leaked (int) (sfunc = int4pl, stype = int)',
  // Prepared statements.
  'prepare leaked as select 1',
  'prepare leaked (int) as select $1',
  'prepare "Leaked ""it" as select 1',
  'deallocate all',
  'deallocate prepare all',
  'discard plans',
  'discard sequences',
  'discard temp',
  'discard temporary',
  'discard all',
  // Cursors.
  'declare leaked cursor with hold for select 1',
  'declare leaked binary insensitive scroll cursor with hold for select 1',
  'declare leaked cursor for select 1',
  'declare leaked no scroll cursor with /* \\ */ hold for select 1',
  'declare leaked cursor with -- not\r hold for select 1',
  'close all',
  // LISTEN.
  'listen leaked',
  'listen "Leaked it"',
  'unlisten *',
  "notify leaked, 'x'",
  // Locks.
  'select pg_advisory_lock(42)',
  'select pg_advisory_lock(4, 2)',
  'select pg_try_advisory_lock(42)',
  'select pg_advisory_lock_shared(42)',
  'select pg_try_advisory_lock_shared(4, 2)',
  'select pg_advisory_xact_lock(42)',
  'select pg_advisory_unlock_all()',
  'lock table item in share mode',
  // Sequences.
  "select nextval('numbers')",
  "select setval('numbers', 7)",
  "insert into item (name) values ('x')",
  "insert into item (name) values ('x') returning id",
  'alter sequence numbers restart',
  // Others.
  'select setseed(0.5)',
  'select lo_create(0)',
  'select lo_open(lo_create(0), 131072)',
  "select lo_from_bytea(0, 'x')",
  'set constraints all deferred',
  'set constraints child_parent deferred',
  'insert into child values (null)',
  "load 'plpgsql'",
  'do $d$ begin set app.leak = 1; end $d$',
  "do language plpgsql 'begin perform pg_advisory_lock(42); end'",
  'checkpoint',
  'analyze item',
  'explain analyze select pg_advisory_lock(42)',
  "explain (analyze) create temp table leaked as select nextval('numbers')",
  "with x as (select set_config('app.leak', 'x', false)) select * from x",
  "values (set_config('app.leak', 'x', false))",
  "copy (select set_config('app.leak', 'x', false)) to stdout",
  "comment on table item is 'x'",
  'grant select on item to public',
  "security label on table item is 'x'",
]

/** What a few ways are tried with: one statement for each kind of thing that is left. */
const SOME = STATEMENTS.filter((_, i) => i % 9 === 0)

/** A way in which a function runs a statement: the function's definition. */
export interface Way {
  name: string
  statements: readonly string[]
  define(name: string, statement: string): string
}

function plpgsql(name: string, body: string): string {
  return `create or replace function ${name}() returns void language plpgsql as $f$ ${body} $f$`
}

/** A literal that holds the text. */
function literal(text: string): string {
  return `$q$${text}$q$`
}

export const WAYS: Way[] = [
  {
    name: 'as it stands in PL/pgSQL, behind comments and quotes',
    // Those that are statements of PL/pgSQL itself, or give rows.
    statements: STATEMENTS.filter(
      (text) =>
        !/^(select|with|values|copy|prepare|deallocate|declare|close|do|explain)\b/.test(text),
    ),
    define: (name, statement) =>
      plpgsql(
        name,
        `declare "set" text := 'it''s /* no comment'; e text := e'\\'; --';
         begin
           /* a comment /* within one */ isn't over */
           ${statement}; -- ' $q$
         end`,
      ),
  },
  {
    name: 'as it stands in SQL',
    statements: STATEMENTS.filter((text) =>
      /^(select(?!.*into)|insert|with|set|create)\b/.test(text),
    ),
    define: (name, statement) =>
      `create or replace function ${name}() returns void language sql as $f$
         /* ' */ ${statement}; select $f$`,
  },
  {
    name: 'in dynamic SQL',
    statements: STATEMENTS,
    define: (name, statement) => plpgsql(name, `begin execute ${literal(statement)}; end`),
  },
  {
    name: 'in dynamic SQL from a variable with the name of a keyword',
    statements: SOME,
    define: (name, statement) =>
      plpgsql(
        name,
        `declare function text := ${literal(statement.slice(0, 5))} || ${literal(statement.slice(5))};
         begin execute function; end`,
      ),
  },
  {
    name: 'after an error that was handled',
    statements: SOME,
    define: (name, statement) =>
      plpgsql(
        name,
        `begin
           raise 'x';
         exception when others then
           execute ${literal(statement)};
         end`,
      ),
  },
  {
    name: 'two functions deep',
    statements: SOME,
    define: (name, statement) => `
      ${plpgsql(`${name}_deep`, `begin execute ${literal(statement)}; end`)};
      create or replace function ${name}() returns void language sql
        as $f$ select ${name}_deep() $f$`,
  },
]
