import { afterEach, beforeEach, describe, expect, inject, test, vi } from 'vitest'
import type { SchemaFile } from '../../../../lib/archive/archive.ts'
import { deployTables } from '../../../../lib/deploy/run/tables.ts'
import { GatewayError } from '../../../../lib/errors.ts'
import { parseDatabaseUrl } from '../../../../lib/postgres/hosts/server.ts'
import { Connection, type Sql } from '../../../../lib/postgres/pools/connection.ts'
import { connectTo, type Json, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'
import { clinicFiles, type Files } from '../../../helpers/platforms.ts'
import { snapshot } from '../../../helpers/snapshot.ts'

let database: string
let connection: Connection
let sql: Sql

beforeEach(async () => {
  const server = parseDatabaseUrl(inject('databaseUrl'))
  database = uniqueName('tables')
  await queryDatabase(server.database, `create database ${database}`)
  const options = { database, connectTimeoutMs: 10_000, statementTimeoutMs: 0 }
  connection = new Connection(server, options, () => {})
  sql = connection.sql
  await sql.unsafe('begin')
})
afterEach(async () => {
  await connection.close()
  const { database: home } = parseDatabaseUrl(inject('databaseUrl'))
  await queryDatabase(home, `drop database ${database} with (force)`)
})

const deploy = (files: Files) => deployTables(sql, database, schemaFiles(files))

const differences = async (...texts: string[]) => {
  const result = await deploy(Object.fromEntries(texts.map((text, i) => [`${i}.pssql`, text])))
  expect(result.created).toEqual([])
  return result.differences
}

/** What the client would be told. */
const failure = async (files: Files): Promise<Json> => {
  const error = await deploy(files).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(GatewayError)
  const { code, status, message, details } = error as GatewayError
  return { code, status, message, ...details }
}

const tables = async (): Promise<string[]> => {
  const rows = await sql.unsafe<{ name: string }[]>(
    `select oid::regclass::text as name from pg_class
     where relkind in ('r', 'p') and relnamespace::regnamespace::text !~ '^(pg_|information)'
     order by 1`,
  )
  return rows.map((row) => row.name)
}

/** Sees whether files are run one statement at a time: their order was not good enough. */
const watchRounds = () => {
  const unsafe = vi.spyOn(sql, 'unsafe')
  return () => unsafe.mock.calls.filter(([text]) => text === 'savepoint one_statement').length
}

function schemaFiles(files: Files): SchemaFile[] {
  return Object.entries(files).map(([name, text]) => ({
    path: `tables/${name}`,
    name,
    text,
    checksum: text,
    rawChecksum: '',
  }))
}

describe('the example platform', () => {
  const section = async (name: string): Promise<Files> => {
    const files = Object.entries(await clinicFiles()).filter(([path]) => path.startsWith(name))
    return Object.fromEntries(
      files.sort().map(([path, text]) => [path.slice(name.length + 1), text]),
    )
  }
  const clinicTables = [
    'appointments',
    'audit_log',
    'doctors',
    'invoice_lines',
    'invoices',
    'medicines',
    'patient_documents',
    'patients',
    'payments',
    'prescriptions',
    'rooms',
    'settings',
    'visits',
  ]

  test('declares what its migrations make', async () => {
    for (const text of Object.values(await section('migrations'))) await sql.unsafe(text)
    await sql.unsafe('commit')
    const before = await snapshot(database)
    await sql.unsafe('begin')
    const files = await section('tables')
    expect(Object.keys(files)).toHaveLength(13)
    const rounds = watchRounds()
    expect(await deploy(files)).toEqual({ created: [], differences: [], warnings: [] })
    expect(rounds()).toBe(0)
    await sql.unsafe('commit')
    expect(await snapshot(database)).toEqual(before)
  })

  test.each(['as they are', 'backwards'])('is made from its tables alone: %s', async (order) => {
    const migrations = Object.values(await section('migrations')).join('\n')
    const needed = [
      ...migrations.matchAll(/^create (?:type|domain) [\s\S]*?;$/gm),
      ...migrations.matchAll(/^create function [\s\S]*?^\$\$;$/gm),
    ]
    await sql.unsafe(`${needed.join('\n')} alter type appointment_status add value 'no_show'`)
    const files = Object.entries(await section('tables'))
    const rounds = watchRounds()
    const result = await deploy(Object.fromEntries(order === 'backwards' ? files.reverse() : files))
    expect(rounds()).toBe(0)
    expect(result.created.sort()).toEqual(clinicTables)
    expect(result).toMatchObject({ differences: [], warnings: [] })
    expect(await tables()).toEqual(clinicTables)
    const [row] = await sql`select count(*)::int as triggers from pg_trigger where not tgisinternal`
    expect(row).toEqual({ triggers: 5 })
    expect(await deploy(Object.fromEntries(files))).toEqual({
      created: [],
      differences: [],
      warnings: [],
    })
  })
})

describe('a declared table that does not exist', () => {
  test('is created with all that its file has', async () => {
    const result = await deploy({
      'patients.pssql': `
        create type mood as enum ('good');
        create table patients (id serial primary key, name text, mood mood);
        create index patients_name on patients (name);
        comment on table patients is 'people';
        alter table patients add constraint named check (name <> '');
        insert into patients (name) values ('Ada');`,
    })
    expect(result).toEqual({ created: ['patients'], differences: [], warnings: [] })
    const [row] = await sql`
      select
        (select name from patients) as name,
        to_regclass('patients_name') is not null as "hasIndex",
        obj_description('patients'::regclass) as comment
    `
    expect(row).toEqual({ name: 'Ada', hasIndex: true, comment: 'people' })
  })

  test('may refer to one of a later file, both to each other, or to itself', async () => {
    const rounds = watchRounds()
    const result = await deploy({
      'a.pssql': `create table a (id int primary key, a_id int references a, b_id int);
                  alter table a add foreign key (b_id) references b;`,
      'b.pssql': 'create table b (id int primary key, a_id int references a);',
      'c.pssql': 'create table c (n int default next());',
      'd.pssql': `create table d (id int primary key, e_id int references public.e);
                  create function next() returns int language sql as $$ select 1 $$;`,
      'e.pssql': 'create table e (id int primary key);',
    })
    expect(rounds()).toBeGreaterThan(0)
    expect(result.created).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await tables()).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(await deploy({ 'a.pssql': 'create table a (id int, a_id int, b_id int)' })).toEqual({
      created: [],
      differences: [
        { table: 'a', column: 'id', kind: 'nullability', declared: 'null', actual: 'not null' },
      ],
      warnings: [],
    })
  })

  test('may stand beside one that exists', async () => {
    await sql.unsafe(`
      create type size as enum ('s'); create sequence numbers;
      create table old (id int primary key, size size); insert into old values (1, 's')`)
    const { created, warnings } = await deploy({
      'both.pssql': `
        drop table if exists old cascade;
        create type size as enum ('s');
        create sequence numbers;
        create table old (id int primary key, size size);
        create index old_size on old (size);
        create table new (id int default nextval('numbers'), old_id int references old);
        create index new_id on public.new (id);`,
    })
    expect(created).toEqual(['new'])
    expect(warnings).toEqual(['tables/both.pssql, line 2: a DROP was passed over'])
    const [row] = await sql`
      select
        (select count(*)::int from old) as rows,
        to_regclass('old_size') is null as untouched,
        to_regclass('new_id') is not null as indexed
    `
    expect(row).toEqual({ rows: 1, untouched: true, indexed: true })
  })

  test('may be of another schema and need quotes', async () => {
    await sql.unsafe('create schema "My app"')
    const files = { 'a.pssql': 'create table "My app"."Größe" ("Ä" text)' }
    expect((await deploy(files)).created).toEqual(['"My app"."Größe"'])
    expect(await deploy(files)).toEqual({ created: [], differences: [], warnings: [] })
  })
})

describe('a declared table that exists', () => {
  test('differs in every way', async () => {
    await sql.unsafe(`
      create table t (
        same text not null default 'x', extra integer not null default 1, type varchar(10),
        nullable text, value text default 'a', valueless text default 'b', id int
      )`)
    expect(
      await differences(`
        create table t (
          id int generated always as identity, value text default 'b', valueless text,
          nullable text not null, type varchar(20), missing numeric(8, 2) not null default 0,
          same text not null default 'x'
        )`),
    ).toEqual(
      [
        ['id', 'nullability', 'not null', 'null'],
        ['id', 'default', 'generated always as identity', null],
        ['value', 'default', `'b'::text`, `'a'::text`],
        ['valueless', 'default', null, `'b'::text`],
        ['nullable', 'nullability', 'not null', 'null'],
        ['type', 'type', 'character varying(20)', 'character varying(10)'],
        ['missing', 'missing_column', 'numeric(8,2) not null default 0', null],
        ['extra', 'extra_column', null, 'integer not null default 1'],
      ].map(([column, kind, declared, actual]) => ({ table: 't', column, kind, declared, actual })),
    )
  })

  test.each([
    [
      'generated',
      'b int generated always as (a + 1) stored',
      'b int generated always as (a + 2) stored',
      'default',
    ],
    ['virtual', 'b int generated always as (a + 1) stored', 'b int', 'default'],
    [
      'identity',
      'b int generated by default as identity',
      'b int generated always as identity',
      'default',
    ],
    ['collation', 'b text', 'b text collate "C"', 'type'],
    ['array', 'b text[]', 'b text', 'type'],
    ['precision', 'b timestamptz(3)', 'b timestamptz', 'type'],
    ['domain', 'b big', 'b int', 'type'],
    [
      'expression',
      'b date default current_date + 30',
      'b date default current_date + 31',
      'default',
    ],
    ['sequence', `b int default nextval('s')`, `b int default nextval('s2')`, 'default'],
  ])('differs in its %s', async (_, actual, declared, kind) => {
    await sql.unsafe(`
      create domain big as int check (value > 9); create sequence s; create sequence s2;
      create table t (a int, ${actual})`)
    expect(await differences(`create table t (a int, ${actual})`)).toEqual([])
    expect(await differences(`create table t (a int, ${declared})`)).toMatchObject([
      { table: 't', column: 'b', kind },
    ])
  })

  test('keeps its own sequences, whatever their names', async () => {
    await sql.unsafe(`
      create table people (id bigserial, no int generated always as identity, n serial);
      alter table people rename to patients;
      alter sequence people_n_seq rename to numbers`)
    expect(
      await differences(
        'create table patients (id bigserial, no int generated always as identity, n serial)',
      ),
    ).toEqual([])
    expect(
      await differences('create table patients (id bigint, no int, n int not null)'),
    ).toMatchObject([
      { column: 'id', kind: 'nullability' },
      {
        column: 'id',
        kind: 'default',
        declared: null,
        actual: `nextval('people_id_seq'::regclass)`,
      },
      { column: 'no', kind: 'nullability' },
      { column: 'no', kind: 'default', actual: 'generated always as identity' },
      { column: 'n', kind: 'default', declared: null },
    ])
  })

  test('is compared as its file leaves it', async () => {
    await sql.unsafe('create table t (id int primary key, a int, b text)')
    expect(
      await differences(`
        create table t (id int, b varchar(9));
        alter table t add primary key (id), add column a int;
        alter table only public.t alter column b type text, alter column b set default 'x';
        alter table t enable row level security, disable trigger all;
        create index on t (b);
        create trigger no_such before update on t for each row execute function no_such();
        insert into t values (1);
        do $$ begin raise 'no' ; end $$;`),
    ).toEqual([{ table: 't', column: 'b', kind: 'default', declared: `'x'::text`, actual: null }])
  })

  test('may be declared as pg_dump writes it', async () => {
    await sql.unsafe(`
      create type public.status as enum ('open');
      create table doctors (id int generated always as identity primary key);
      create table patients (
        id serial primary key, status status[], doctor_id int references doctors, note text
      )`)
    expect(
      await differences(
        `SET statement_timeout = 0;
         SELECT pg_catalog.set_config('search_path', '', false);
         CREATE TABLE public.patients (
             id integer NOT NULL, status public.status[], doctor_id integer
         );
         ALTER TABLE public.patients OWNER TO nobody_of_that_name;
         CREATE SEQUENCE public.patients_id_seq AS integer START WITH 1;
         ALTER SEQUENCE public.patients_id_seq OWNED BY public.patients.id;
         ALTER TABLE ONLY public.patients
             ALTER COLUMN id SET DEFAULT nextval('public.patients_id_seq'::regclass);
         ALTER TABLE ONLY public.patients ADD CONSTRAINT patients_pkey PRIMARY KEY (id);
         ALTER TABLE ONLY public.patients
             ADD CONSTRAINT doctor_fk FOREIGN KEY (doctor_id) REFERENCES public.doctors(id);
         COMMENT ON COLUMN public.patients.id IS 'x';`,
        `CREATE TABLE public.doctors (id integer NOT NULL);
         ALTER TABLE public.doctors ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
             SEQUENCE NAME public.doctors_id_seq START WITH 1
         );`,
      ),
    ).toEqual([
      { table: 'patients', column: 'note', kind: 'extra_column', declared: null, actual: 'text' },
    ])
    const [row] = await sql`
      select col_description('patients'::regclass, 1) as comment, current_schemas(false)::text as path
    `
    expect(row).toEqual({ comment: null, path: '{public}' })
  })

  test('may use types of its own file that do not exist yet', async () => {
    await sql.unsafe(`create table t (id int); create table u (id int)`)
    const status = (type: string) => ({
      table: expect.any(String),
      column: 'status',
      kind: 'missing_column',
      declared: type,
      actual: null,
    })
    expect(
      await differences(
        'create table t (id int, status public.status[]);',
        `create type public.status as enum ('a'); create table u (id int, status status);
         create domain code as text; create table if not exists u (c code)`,
      ),
    ).toEqual([status('status[]'), status('status')])
  })

  test('may use sequences of its own file that do not exist yet', async () => {
    await sql.unsafe('create table t (id int)')
    expect(
      await differences(`
        create table t (id int);
        create sequence t_numbers owned by t.id;
        create sequence public.t_codes owned by public.t.id;
        alter table t alter id set default nextval('t_numbers');`),
    ).toMatchObject([{ column: 'id', kind: 'default', declared: `nextval('t_numbers'::regclass)` }])
  })

  test('may refer to tables and columns that are declared alone', async () => {
    await sql.unsafe('create table a (id int primary key, b_code text); create table b (id int)')
    expect(
      await differences(
        'create table a (id int primary key, b_code text references b (code))',
        `create table b (id int, code text);
         create unique index on b (code)`,
      ),
    ).toMatchObject([{ table: 'b', column: 'code', kind: 'missing_column', declared: 'text' }])
  })

  test('of one name in several schemas', async () => {
    await sql.unsafe(
      'create schema x; create schema y; create table x.t (a int); create table y.t (b int)',
    )
    expect(
      await differences('create table x.t (a int)', 'create table y.t (b int, c y.t, d x.t[])'),
    ).toEqual([
      { table: 'y.t', column: 'c', kind: 'missing_column', declared: 'y.t', actual: null },
      { table: 'y.t', column: 'd', kind: 'missing_column', declared: 'x.t[]', actual: null },
    ])
  })

  test('is found where PostgreSQL would create it', async () => {
    await sql.unsafe(
      'create schema app; create table public.t (a int); set local search_path = app, public',
    )
    expect((await deploy({ 't.pssql': 'create table t (b int)' })).created).toEqual(['app.t'])
    expect(await differences('create table t (b int)', 'create table public.t (a int)')).toEqual([])
  })

  test('whose name a view has is reported', async () => {
    await sql.unsafe('create view t as select 1 as a')
    expect(await differences('create table t (a int); create index on t (a)')).toEqual([
      { table: 't', column: null, kind: 'missing_table', declared: 'table', actual: 'view' },
    ])
  })

  test('is not locked against those who write, nor what it refers to', async () => {
    await sql.unsafe(
      `create table a (id int primary key); create table b (a_id int references a); commit`,
    )
    const writer = connectTo(database)
    try {
      await writer.unsafe('begin; insert into a values (1); insert into b values (1)')
      await sql.unsafe(`begin; set local lock_timeout = '1s'`)
      const declared = [
        'create table b (a_id int references a, x int)',
        'create table a (id int primary key)',
      ]
      expect(await differences(...declared)).toMatchObject([{ column: 'x' }])
      const locks = await sql`
        select from pg_locks
        where pid = pg_backend_pid() and relation in ('a'::regclass, 'b'::regclass)
          and mode not in ('AccessShareLock')
      `
      expect(locks).toHaveLength(0)
    } finally {
      await writer.end()
    }
  })
})

describe('partitions, children and likenesses', () => {
  const files = {
    'log.pssql': `
      create table log (at date not null, id int, primary key (at, id)) partition by range (at);
      create table log_2025 partition of log for values from ('2025-01-01') to ('2026-01-01');`,
    'log_2026.pssql': `
      create table log_2026 partition of log for values from ('2026-01-01') to ('2027-01-01')
        partition by hash (id);
      create table log_2026_0 partition of log_2026 for values with (modulus 1, remainder 0);`,
    'child.pssql': 'create table child (more text) inherits (parent);',
    'parent.pssql': 'create table parent (id int);',
    'alike.pssql': 'create table alike (like parent including all);',
    'old.pssql': `create table old (at date not null, id int, primary key (at, id));
                  alter table log attach partition old for values from ('2000-01-01') to ('2001-01-01');`,
  }

  test('are created and compared', async () => {
    const { created } = await deploy(files)
    expect(created.sort()).toEqual([
      'alike',
      'child',
      'log',
      'log_2025',
      'log_2026',
      'log_2026_0',
      'old',
      'parent',
    ])
    expect(await deploy(files)).toEqual({ created: [], differences: [], warnings: [] })
    await sql.unsafe('alter table log add column x int; alter table child add column y int')
    const { differences } = await deploy(files)
    expect(differences.map(({ table, column }) => `${table}.${column}`).sort()).toEqual([
      'child.y',
      'log.x',
      'log_2025.x',
      'log_2026.x',
      'log_2026_0.x',
      'old.x',
    ])
  })

  test('whose parent no file declares are not compared', async () => {
    await deploy(files)
    const { warnings, differences } = await deploy({ 'log_2026.pssql': files['log_2026.pssql'] })
    expect(differences).toEqual([])
    expect(warnings).toEqual(
      ['log_2026', 'log_2026_0'].map(
        (name) => `${name} was not compared: it is a partition of a table that no file declares`,
      ),
    )
  })
})

describe('a file', () => {
  test('that declares no table is not run', async () => {
    const { created, warnings } = await deploy({
      'empty.pssql': '-- nothing\n',
      'grants.pssql': 'create view v as select 1; select no_such();',
      'temporary.pssql': 'create temp table t (a int); create table pg_temp.u (a int);',
    })
    expect({ created, warnings }).toEqual({
      created: [],
      warnings: [
        'tables/grants.pssql declares no table, so it was not run',
        'tables/temporary.pssql declares no table, so it was not run',
      ],
    })
    expect(await sql`select from pg_class where relname in ('v', 't', 'u')`).toHaveLength(0)
  })

  test('with a temporary table beside others', async () => {
    const files = {
      't.pssql': 'create temp table s on commit drop as select 1 as a; create table t (a int);',
      'u.pssql': 'create temp table t (x int); create table u (a int);',
    }
    expect((await deploy(files)).created).toEqual(['t', 'u'])
    expect(await deploy(files)).toEqual({ created: [], differences: [], warnings: [] })
  })
})

describe('an error of PostgreSQL’s has its file, line and place', () => {
  const unknownType = {
    code: 'table_deploy_failed',
    status: 422,
    message: 'Table file t.pssql failed',
    sqlstate: '42704',
    cause: 'type "textt" does not exist',
    file: 'tables/t.pssql',
    line: 3,
    source: '  "Ä" /* 😀 */ int references public.u, b textt',
    caret: '                                          ^',
  }
  const files = {
    't.pssql': `-- °C\ncreate /* ${'°'.repeat(30)} */ table public . t (\n${unknownType.source}\n)`,
    'u.pssql': 'create table public.u (id int primary key)',
  }

  test('in a table that does not exist', async () => {
    expect(await failure(files)).toMatchObject(unknownType)
  })

  test('in a table that exists', async () => {
    await sql.unsafe('create table u (id int primary key); create table t ("Ä" int)')
    expect(await failure(files)).toMatchObject(unknownType)
  })

  test('in a table that exists, at its name', async () => {
    await sql.unsafe('create table u (); create table t ()')
    expect(
      await failure({ 't.pssql': 'create table public.t (a int references t (b), c int)' }),
    ).toMatchObject({
      sqlstate: '42703',
      cause: 'column "b" referenced in foreign key constraint does not exist',
      line: 1,
    })
    await sql.unsafe('rollback; begin; create table t ()')
    expect(
      await failure({ 't.pssql': 'create table t () inherits (\n  no_such.parent\n)' }),
    ).toMatchObject({ sqlstate: '3F000', cause: 'schema "no_such" does not exist' })
  })

  test('in a text that does not parse, before what comes of it elsewhere', async () => {
    expect(
      await failure({
        'a.pssql': 'create table a (b_id int references b)',
        'b.pssql': 'create table b (\n  id int primary key,\n)',
      }),
    ).toMatchObject({
      code: 'table_deploy_failed',
      sqlstate: '42601',
      file: 'tables/b.pssql',
      line: 3,
      caret: '^',
    })
  })

  test('where a table is declared twice, new or not', async () => {
    const twice = {
      'a.pssql': 'create table t (a int)',
      'b.pssql': 'create table public.t (a int)',
    }
    const error = {
      sqlstate: '42P07',
      cause: 'relation "t" already exists',
      file: 'tables/b.pssql',
    }
    expect(await failure(twice)).toMatchObject(error)
    await sql.unsafe('rollback; begin; create table t (a int)')
    expect(await failure(twice)).toMatchObject(error)
  })

  test('where a foreign key lacks its table', async () => {
    expect(
      await failure({ 't.pssql': 'create table t (\n  a int references nowhere\n)' }),
    ).toMatchObject({ sqlstate: '42P01', cause: 'relation "nowhere" does not exist', line: 1 })
  })

  test('where a file ends the transaction', async () => {
    expect(await failure({ 't.pssql': 'create table t ();\nrollback' })).toMatchObject({
      code: 'table_deploy_failed',
      line: 2,
    })
  })
})

test('leaves the session and the schemas as they were', async () => {
  const settings = async () => [
    ...(await sql`select name, setting from pg_settings order by name`),
    ...(await sql`select nspname from pg_namespace order by 1`),
    ...(await sql`select relname from pg_class order by 1`),
  ]
  await sql.unsafe('create schema app; create table app.t (a int); set search_path = "$user", app')
  const before = await settings()
  expect(await differences('create table t (a text)')).toHaveLength(1)
  expect(await settings()).toEqual(before)
})
