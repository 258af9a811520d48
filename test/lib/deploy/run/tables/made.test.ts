import { describe, expect, test } from 'vitest'
import { clinicFiles, type Files } from '../../../../helpers/platforms.ts'
import { snapshot } from '../../../../helpers/snapshot.ts'

import { database, deploy, differences, setUp, sql, tables, watchRounds } from './setup.ts'

setUp()

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
