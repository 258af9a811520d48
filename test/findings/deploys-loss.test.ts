import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectTo,
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { lossesOf, newPlatform as newPlatformOf, next, type Platform } from '../helpers/loss.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

// Data and functions that deploys of the first design lost.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '5' })
})
afterAll(() => gateway.stop())

/** Until a deploy has come to a statement. */
const SOON = { timeout: 20_000 }

const BASE: Files = {
  'migrations/001_base.pssql': `
    create table item (
      id int primary key, name varchar(20), price numeric(8,2), note text, kinds int[],
      constraint price_is_positive check (price >= 0)
    );
    insert into item values (1, 'one', 1.50, 'n', '{1}');
    create table part (item_id int references item);
    insert into part values (1), (1);
    create table spare (id int);
    create sequence numbers;
    select nextval('numbers');
    create sequence unused;
    create sequence runs;

    create type address as (street text, city text);
    create type unstored as (a int, b int);
    create table person (id int, homes address[]);
    insert into person values (1, array[('s', 'c')::address]);

    create table log (at date, note text, state text) partition by range (at);
    create table log_2020 (state text, note text, at date);
    alter table log attach partition log_2020 for values from ('2020-01-01') to ('2021-01-01');
    create table event (at date) partition by range (at);
    create table event_2020 partition of event for values from ('2020-01-01') to ('2021-01-01');
    create table event_2021 partition of event for values from ('2021-01-01') to ('2022-01-01');
    insert into event values ('2020-05-05');

    create materialized view totals as select count(*) as n from item;
    create schema old;
    create table old.thing (x int);
    insert into old.thing values (1), (2);
    create domain email as text;
    create table letter (id int, sender email);
    insert into letter values (1, 'a@b');
    create type status as enum ('new', 'done');
    create table task (status status);
    insert into task values ('new');

    create table secret (id int);
    insert into secret values (1);
    alter table secret enable row level security;
    alter table secret force row level security;
    create policy nothing on secret using (false);
    create table guarded (id int);
    alter table guarded enable row level security;
    create policy everything on guarded using (true);
  `,
  ...textFunction('motto', 'first'),
}

const newPlatform = (base: Files = BASE) => newPlatformOf(gateway, base)

const outside = (text: string) => next(`-- gateway: no-transaction\n${text}`)

describe('A1: outside of a transaction', () => {
  test('what would lose rows is refused before anything of the file runs', async () => {
    const { database, deploy } = await newPlatform()
    const before = await snapshot(database)
    const file = outside(
      "insert into spare values (1);\nselect nextval('runs');\ndrop table letter;",
    )
    const answer = await deploy(file)
    expect(lossesOf(answer)).toEqual([['table_dropped', 'letter', null, 1]])
    expect(answer.body).toMatchObject({ file: 'migrations/002_next.pssql', line: 4 })
    expect(lossesOf(await deploy(file, { dry_run: 'true' }))).toHaveLength(1)
    expect(await snapshot(database)).toEqual(before)
    expect((await deploy(file, { allow: 'data_loss' })).body).toMatchObject({ status: 'ready' })
  })

  test('rows that come meanwhile are found, and both ways out are named', async () => {
    const { database, deploy } = await newPlatform()
    const deploying = deploy(outside('select pg_sleep(3);\ndrop table spare;'))
    await expect.poll(() => sessionsRunning(database, 'pg_sleep(3)'), SOON).toBe(1)
    await queryDatabase(database, 'insert into spare values (1)')
    const answer = await deploying
    expect(lossesOf(answer)).toEqual([['table_dropped', 'spare', null, 1]])
    expect(answer.body.hint).toContain('repair=true')
    expect(answer.body.hint).toContain('allow=data_loss')
    expect(await queryDatabase(database, 'select id from spare')).toEqual([{ id: 1 }])
  })

  test('an empty table goes, and a concurrent detach of a partition without rows', async () => {
    const { deploy } = await newPlatform()
    const text = 'drop table spare; alter table event detach partition event_2021 concurrently;'
    expect((await deploy(outside(text))).body).toMatchObject({ status: 'ready' })
    const { deploy: again } = await newPlatform()
    expect(
      lossesOf(await again(outside('alter table event detach partition event_2020 concurrently;'))),
    ).toEqual([['partition_detached', 'event_2020', null, 1]])
  })

  test('what dynamic SQL takes away is asked about', async () => {
    const { deploy } = await newPlatform()
    const answer = await deploy(outside("do $$ begin execute 'drop table part'; end $$;"))
    expect(lossesOf(answer)).toEqual([['table_dropped', 'part', null, 2]])
  })
})

test('A2: rows that forced row level security hides are seen, and it is put back', async () => {
  const { database, deploy } = await newPlatform()
  const before = await snapshot(database)
  expect(lossesOf(await deploy(next('drop table secret;')))).toEqual([
    ['table_dropped', 'secret', null, 1],
  ])
  expect(await snapshot(database)).toEqual(before)
  await queryDatabase(
    database,
    'delete from secret; alter table secret no force row level security',
  )
  await queryDatabase(
    database,
    `alter table secret no force row level security; delete from secret;
     alter table secret force row level security`,
  )
  const { body } = await deploy(next('alter table secret drop column id;'))
  expect(body).toMatchObject({ status: 'ready', warnings: [] })
  const [row] = await queryDatabase(
    database,
    `select relforcerowsecurity as forced from pg_class where relname = 'secret'`,
  )
  expect(row.forced).toBe(true)
})

describe('A3: rows that are written during the deploy', () => {
  test('before the statement are found', async () => {
    const { database, deploy } = await newPlatform()
    const deploying = deploy(next('select pg_sleep(3); drop table spare;'))
    await expect.poll(() => sessionsRunning(database, 'pg_sleep(3)'), SOON).toBe(1)
    await queryDatabase(database, 'insert into spare values (1)')
    expect(lossesOf(await deploying)).toEqual([['table_dropped', 'spare', null, 1]])
  })

  test('after the first look at them are not lost: nothing runs again behind it', async () => {
    const { database, deploy } = await newPlatform()
    const deploying = deploy(next('select pg_sleep(3); drop table spare;'))
    await expect.poll(() => sessionsRunning(database, 'pg_sleep(3)'), SOON).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 3300))
    const isWritten = await queryDatabase(database, 'insert into spare values (1)').then(
      () => true,
      () => false,
    )
    const isDropped = (await deploying).status === 200
    expect(isWritten && isDropped).toBe(false)
  })

  test('behind the statement wait for the end of the deploy', async () => {
    const { database, deploy } = await newPlatform()
    const deploying = deploy(
      next('alter table spare drop column id, add column other int; select pg_sleep(3);'),
    )
    await expect.poll(() => sessionsRunning(database, 'pg_sleep(3)'), SOON).toBe(1)
    await expect(queryDatabase(database, 'insert into spare (id) values (1)')).rejects.toThrow(
      'column "id" of relation "spare" does not exist',
    )
    expect((await deploying).body).toMatchObject({ status: 'ready' })
  })
})

describe('A7: an archive without', () => {
  test.each<[string, Record<string, string | undefined>, string]>([
    ['its functions', { 'functions/motto.pssql': undefined }, 'functions'],
    [
      'a folder that is misspelt',
      { 'functions/motto.pssql': undefined, 'function/motto.pssql': '' },
      'functions',
    ],
    ['its migrations', { 'migrations/001_base.pssql': undefined }, 'migrations'],
  ])('%s is refused', async (_what, change, section) => {
    const { name, deploy } = await newPlatform()
    const answer = await deploy(change)
    expect([answer.status, answer.body.error]).toEqual([409, 'functions_missing'])
    expect(answer.body.sections).toEqual([section])
    expect((await gateway.call(name, 'motto')).body.rows).toEqual([{ motto: 'first' }])
  })

  test('more than half of its functions is refused, unless that is allowed', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    const all = Object.assign({}, ...names.map((one) => textFunction(one, one)))
    const { name } = await newPlatform(all)
    const half = Object.assign({}, ...['a', 'b'].map((one) => textFunction(one, one)))
    const answer = await gateway.register(name, await pack(half))
    expect([answer.status, answer.body.error]).toEqual([409, 'functions_missing'])
    expect(answer.body.functions).toEqual(['c', 'd', 'e'])
    const moved = { 'functions/all.pssql': Object.values(all).slice(0, 3).join('\n') }
    const some = await gateway.register(name, await pack(moved))
    expect(some.body).toMatchObject({ status: 'ready' })
    expect(some.body.functions_dropped.sort()).toEqual(['public.d()', 'public.e()'])
    const allowed = await gateway.register(
      name,
      await pack({ 'functions/all.pssql': textFunction('a', 'a')['functions/a.pssql']! }),
      undefined,
      { allow: 'functions_missing' },
    )
    expect(allowed.body).toMatchObject({ status: 'ready', functions_deployed: 1 })
  })
})

describe('A9: what would lose rows', () => {
  let platform: Platform
  let before: Json
  beforeAll(async () => {
    platform = await newPlatform()
    before = await snapshot(platform.database)
  })

  test.each<[string, Json[]]>([
    [
      'truncate item cascade',
      [
        ['table_truncated', 'item', null, 1],
        ['table_truncated', 'part', null, 2],
      ],
    ],
    ['truncate only part', [['table_truncated', 'part', null, 2]]],
    ['delete from part', [['rows_deleted', 'part', null, 2]]],
    ['with d as (delete from part returning *) select from d', [['rows_deleted', 'part', null, 2]]],
    [
      'alter table item alter note type text using left(note, 1)',
      [['type_changed', 'item', 'note', 1]],
    ],
    ['alter table item alter id type bigint using 7', [['type_changed', 'item', 'id', 1]]],
    ['alter table item alter price type numeric(8,1)', [['type_changed', 'item', 'price', 1]]],
    ['alter table item alter note type int using note::int', [['type_changed', 'item', 'note', 1]]],
    [
      'alter table event detach partition event_2020',
      [['partition_detached', 'event_2020', null, 1]],
    ],
    ['alter table part set unlogged', [['table_unlogged', 'part', null, 2]]],
    ['drop table event', [['table_dropped', 'event', null, 1]]],
    [
      'drop table item cascade',
      [
        ['table_dropped', 'item', null, 1],
        ['materialized_view_dropped', 'totals', null, 1],
      ],
    ],
    ['drop materialized view totals', [['materialized_view_dropped', 'totals', null, 1]]],
    ['drop sequence numbers', [['sequence_dropped', 'numbers', null, null]]],
    ['drop schema old cascade', [['table_dropped', 'old.thing', null, 2]]],
    ['drop domain email cascade', [['column_dropped', 'letter', 'sender', 1]]],
    ['alter type address drop attribute city', [['attribute_dropped', 'person', 'homes', 1]]],
    [
      'alter table if exists only item drop column if exists note',
      [['column_dropped', 'item', 'note', 1]],
    ],
  ])('is refused at its line: %s', async (text, losses) => {
    const answer = await platform.deploy(next(`select 1;\n\n  ${text};`))
    expect(lossesOf(answer)).toEqual(losses)
    expect(answer.body).toMatchObject({ file: 'migrations/002_next.pssql', line: 3 })
    expect(answer.body.message).toContain('migrations/002_next.pssql, line 3, would lose data')
    expect(answer.body.hint).toContain('allow=data_loss')
  })

  test('is refused where it owns everything: drop owned', async () => {
    const answer = await platform.deploy(next('drop owned by current_user cascade;'))
    const tables = lossesOf(answer).map(([, table]) => table)
    expect(tables).toEqual(
      expect.arrayContaining(['item', 'part', 'old.thing', 'secret', 'numbers']),
    )
  })

  test('is rolled back where dynamic SQL or a cascade from a function does it', async () => {
    const dynamic = await platform.deploy(
      next("do $$ begin execute 'alter table item drop note'; end $$;"),
    )
    expect(lossesOf(dynamic)).toEqual([['column_dropped', 'item', 'note', 1]])
    expect(dynamic.body.cause).toContain('Dynamic SQL')
    const attribute = await platform.deploy(
      next("do $$ begin execute 'alter type address drop attribute city'; end $$;"),
    )
    expect(lossesOf(attribute)).toEqual([['attribute_dropped', 'address', 'city', null]])
  })

  test('has left everything as it was', async () => {
    expect(await snapshot(platform.database)).toEqual(before)
  })

  test.each([
    'truncate spare',
    'delete from spare',
    'delete from part where item_id = 5',
    'drop sequence unused',
    'alter table spare set unlogged',
    'alter type unstored drop attribute b',
    "do $$ begin execute 'alter type unstored drop attribute b'; end $$",
    'alter table event detach partition event_2021',
    'alter table item alter id type bigint using id::bigint',
    'alter table log drop column note',
    'alter table log alter note type varchar(3)',
    "create type state as enum ('new', 'done'); alter table log alter state type state using state::state",
    'alter table item alter kinds type bigint[]',
    'alter table item alter name type text using name',
    "create type state as enum ('new', 'done'); alter table task alter status type state using status::text::state",
    'create table fresh (a int); insert into fresh values (1); alter table fresh drop a; drop table fresh',
    'create temp table item (a int); insert into item values (1); drop table item',
    'drop table if exists no_such, no_schema.such; drop table spare',
    'alter table spare drop column id, add column id text',
    'create function takes_no_rows() returns void language sql as $$ delete from item $$',
  ])('does not stop what loses none: %s', async (text) => {
    const { body } = await platform.deploy(next(`${text};`), { dry_run: 'true' })
    expect(body).toMatchObject({ status: 'dry_run' })
  })

  const LISTED = `
    alter table item drop constraint price_is_positive;
    drop policy everything on guarded;
    alter table guarded disable row level security;
    alter table guarded force row level security;`

  test('constraints, policies and row level security are listed with their place', async () => {
    const { body } = await platform.deploy(next(LISTED), { dry_run: 'true' })
    const changes = body.plan[0].table_changes.map((one: Json) => [one.change, one.from, one.class])
    expect(changes.sort()).toEqual([
      ['constraint_dropped', 'price_is_positive', 'weaker'],
      ['policy_dropped', 'everything', 'weaker'],
      ['row_security_disabled', null, 'weaker'],
      ['row_security_forced', null, 'incompatible'],
    ])
    expect(body.warnings.sort()).toEqual([
      'migrations/002_next.pssql, line 2: constraint price_is_positive of table item is dropped',
      'migrations/002_next.pssql, line 3: policy everything of table guarded is dropped',
      'migrations/002_next.pssql, line 4: row level security of table guarded is switched off',
      'migrations/002_next.pssql, line 5: row level security of table guarded is forced on its owner too',
    ])
  })

  test('is in the plan of a dry run that may lose it', async () => {
    const text = `
      truncate part; delete from letter; alter table item alter note type text using 'x';
      alter table item alter price type int; drop sequence numbers; drop table old.thing;
      alter table event detach partition event_2020; alter type address drop attribute city;`
    const { body } = await platform.deploy(next(text), { dry_run: 'true', allow: 'data_loss' })
    const changes: Json[] = body.plan[0].table_changes
    expect(changes.every((one) => one.class === 'data_loss')).toBe(true)
    expect(
      changes.map((one) => `${one.change} ${one.table} ${one.column ?? ''}`.trim()).sort(),
    ).toEqual([
      'attribute_dropped address city',
      'partition_detached event_2020',
      'rows_deleted letter',
      'sequence_dropped numbers',
      'table_dropped old.thing',
      'table_truncated part',
      'type_changed item note',
      'type_changed item price',
    ])
  })
})

describe('a file that may lose data', () => {
  test('does so, by dynamic SQL too, and the next one may not', async () => {
    const { deploy } = await newPlatform()
    const allowed = `-- gateway: allow-data-loss
      truncate part; do $$ begin execute 'drop table letter'; end $$;`
    const files = { ...next(allowed), 'migrations/003_more.pssql': 'drop table person;' }
    expect(lossesOf(await deploy(files))).toEqual([['table_dropped', 'person', null, 1]])
    expect((await deploy(next(allowed))).body).toMatchObject({ status: 'ready' })
  })

  test('may be a seeder', async () => {
    const { deploy } = await newPlatform()
    const seeder = (head: string) => ({ 'seeders/001_part.pssql': `${head}\ndelete from part;` })
    expect(lossesOf(await deploy(seeder('')))).toEqual([['rows_deleted', 'part', null, 2]])
    expect((await deploy(seeder('-- gateway: allow-data-loss'))).body).toMatchObject({
      status: 'ready',
      seeders_applied: 1,
    })
  })

  test('is a view file that makes its materialized view anew', async () => {
    const view = (what: string) => ({
      'views/sums.pssql': `drop materialized view if exists sums; create materialized view sums as select ${what} as n;`,
    })
    const { deploy } = await newPlatform({ ...BASE, ...view('1') })
    expect((await deploy(view('2'))).body).toMatchObject({ status: 'ready' })
  })
})

describe('D8: nothing runs twice', () => {
  const runs = async (database: string) =>
    (await queryDatabase(database, 'select last_value as n from runs'))[0].n

  test('where an empty table is dropped', async () => {
    const { database, deploy } = await newPlatform()
    const { body } = await deploy(next("select nextval('runs'); drop table spare;"))
    expect(body).toMatchObject({ status: 'ready' })
    expect(await runs(database)).toBe('1')
  })

  test('where another session makes a temporary table meanwhile', async () => {
    const { database, deploy } = await newPlatform()
    const other = connectTo(database)
    const odd = { 'functions/odd.pssql': "select nextval('runs'), pg_sleep(3);" }
    const deploying = deploy(odd)
    await expect.poll(() => sessionsRunning(database, 'pg_sleep(3)'), SOON).toBe(1)
    await other.unsafe('create temp table passing (a int)')
    expect((await deploying).body).toMatchObject({ status: 'ready' })
    expect(await runs(database)).toBe('1')
    await other.end()
  })

  test('where a function file changes a table', async () => {
    const { database, deploy } = await newPlatform()
    const odd = { 'functions/odd.pssql': "select nextval('runs'); alter table spare add x int;" }
    expect((await deploy(odd)).body).toMatchObject({ status: 'ready' })
    expect(await runs(database)).toBe('1')
  })
})

describe('G4: a dry run over a fleet', () => {
  test('says dry_run of each database, and that none was updated', async () => {
    const { name } = await newPlatform()
    const archive = await pack({ ...BASE, ...next('select 1;') })
    const { body } = await gateway.migrate(name, archive, undefined, { dry_run: 'true' })
    expect(body).toMatchObject({ status: 'dry_run', databases_updated: [] })
    expect(body.results).toMatchObject([{ database: `${name}_main`, status: 'dry_run' }])
  })
})

describe('the field allow', () => {
  test('takes known words alone', async () => {
    const { deploy } = await newPlatform()
    const { status, body } = await deploy({}, { allow: 'data_loss,everything' })
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain('"everything"')
    const all = await deploy(next('select 1;'), { allow: 'data_loss, functions_missing,older' })
    expect(all.body).toMatchObject({ status: 'ready' })
  })

  test('allows what it names and nothing else', async () => {
    const { deploy } = await newPlatform()
    const answer = await deploy(next('drop table person;'), { allow: 'functions_missing' })
    expect(lossesOf(answer)).toHaveLength(1)
  })
})
