import type { Files } from '../helpers/platforms.ts'

/** What a database of the platform holds, as far as it tells which versions it has had. */
export interface PlatformState {
  /** The migrations that the ledger names. */
  migrations: string[]
  /** The versions whose migration wrote its two rows, once for each row. */
  journal: number[]
  /** How often a migration counted one up. */
  steps: number
  /** The columns and tables that migrations made. */
  columns: string[]
  tables: string[]
  /** Each function with the version that its body carries. */
  functions: Record<string, number>
  /** The functions that the ledger names. */
  ledgerFunctions: string[]
  /** The version of which the view is. */
  view: number
  /** The values of an enum. */
  stages: string[]
  /** The rows that the seeders wrote. */
  people: string[]
  seeders: string[]
}

const PLAIN_FUNCTIONS = ['fee', 'tax', 'total', 'discount', 'balance', 'label', 'summary']

/** The platform at a version: each one adds a migration and has other function bodies. */
export function filesOf(version: number): Files {
  return {
    'types/stage.pssql': `create type stage as enum (${stages(version).map(quoted).join(', ')});`,
    'tables/people.pssql': `
      create table people (
        id integer primary key,
        name text not null,
        constraint people_name_check check (name <> '')
      );`,
    ...Object.fromEntries(versions(version).map((one) => [pathOf(one), migration(one)])),
    ...functionFiles(version),
    'views/version.pssql': `create or replace view version as select ${version} as version;`,
    'seeders/01_people.pssql': `
      insert into people values (1, 'Ada');
      select pg_sleep(0.02);
      insert into people values (2, 'Grace');`,
    'seeders/02_more_people.pssql': `
      insert into people values (3, 'Edsger');
      select pg_sleep(0.02);
      insert into people values (4, 'Barbara');`,
  }
}

/** What a database has to hold that has had all versions up to this one. */
export function stateOf(version: number): PlatformState {
  return {
    migrations: versions(version).map((one) => pathOf(one).replace('migrations/', '')),
    journal: versions(version).flatMap((one) => [one, one]),
    steps: version,
    columns: versions(version)
      .map((one) => `v${one}`)
      .sort(),
    tables: versions(version)
      .map((one) => `step_${one}`)
      .sort(),
    functions: Object.fromEntries(functionNames(version).map((name) => [name, version])),
    ledgerFunctions: functionNames(version),
    view: version,
    stages: stages(version),
    people: ['Ada', 'Grace', 'Edsger', 'Barbara'],
    seeders: ['01_people.pssql', '02_more_people.pssql'],
  }
}

const MADE_BY_MIGRATIONS = `
    array(select migration_file from _db_gateway_migrations order by 1) as migrations,
    array(select version from journal order by version) as journal,
    (select steps from counter) as steps,
    array(
      select attname::text from pg_attribute
      where attrelid = 'wide'::regclass and attnum > 1 and not attisdropped order by 1
    ) as columns,
    array(select relname::text from pg_class where relname ~ '^step_\\d+$' order by 1) as tables
`

/** Reads what migrations have made, one at least. */
export const BEGUN_STATE = `select ${MADE_BY_MIGRATIONS}`

/** Reads a `PlatformState` from a database that has had any version. */
export const READ_STATE = `
  select
    ${MADE_BY_MIGRATIONS},
    (
      select json_object_agg(proname, substring(prosrc from 'version (\\d+)')::integer)
      from pg_proc where pronamespace = 'public'::regnamespace
    ) as functions,
    array(
      select regexp_replace(o ->> 'identity', '^public\\.(\\w+)\\(.*$', '\\1')
      from _db_gateway_files, jsonb_array_elements(objects) as o
      where section = 'functions' order by 1
    ) as "ledgerFunctions",
    (select version from version) as view,
    enum_range(null::stage)::text[] as stages,
    array(select name from people order by id) as people,
    array(select name from _db_gateway_files where section = 'seeders' order by 1) as seeders
`

function versions(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1)
}

function stages(version: number): string[] {
  return versions(version).map((one) => `stage ${one}`)
}

function pathOf(version: number): string {
  return `migrations/${String(version).padStart(4, '0')}_step.pssql`
}

/** It sleeps between its statements, so that it can be hit between them. */
function migration(version: number): string {
  const sleep = (statement: number) =>
    `select pg_sleep(${(20 + ((version * 7 + statement * 13) % 40)) / 1000});`
  const start = `
    create table journal (version integer not null, half integer not null);
    create table counter (steps integer not null);
    insert into counter values (0);
    create table wide (id integer);`
  return `
    ${version === 1 ? start : ''}
    alter table wide add column v${version} integer not null default ${version};
    insert into journal values (${version}, 1);
    ${sleep(1)}
    create table step_${version} (id integer primary key, note text not null default 'new');
    insert into step_${version} select generate_series(1, 20);
    ${sleep(2)}
    update counter set steps = steps + 1;
    create index wide_v${version} on wide (v${version});
    ${sleep(3)}
    insert into journal values (${version}, 2);`
}

function functionFiles(version: number): Files {
  // PostgreSQL does not replace a function whose result has another type.
  const type = version % 3 === 0 ? 'bigint' : 'integer'
  const texts: Files = {
    ...Object.fromEntries(PLAIN_FUNCTIONS.map((name) => [name, functionText(name, version)])),
    pair: functionText('left_one', version) + functionText('right_one', version),
    echo: functionText('echo', version, 'text', 'value text'),
    changing: functionText('changing', version, type),
    ...(hasEven(version) && { even: functionText('even', version) }),
  }
  return Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [`functions/${name}.pssql`, text]),
  )
}

function functionNames(version: number): string[] {
  const names = [...PLAIN_FUNCTIONS, 'left_one', 'right_one', 'echo', 'changing']
  return [...names, ...(hasEven(version) ? ['even'] : [])].sort()
}

/** A function that comes and goes. */
function hasEven(version: number): boolean {
  return version % 2 === 0
}

/** Without a parameter it returns the version, with one the parameter. */
function functionText(name: string, version: number, type = 'integer', parameter = ''): string {
  return `
    create or replace function ${name}(${parameter}) returns ${type} language plpgsql as $$
    begin
      return ${parameter.split(' ')[0] || version}; -- version ${version}
    end $$;`
}

function quoted(text: string): string {
  return `'${text}'`
}
