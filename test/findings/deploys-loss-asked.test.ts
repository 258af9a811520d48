import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Json, startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { lossesOf, newPlatform, next, type Platform } from '../helpers/loss.ts'
import { type Files, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

// A9: which statements are asked about, and how all of them are told.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '5' })
})
afterAll(() => gateway.stop())

const BASE: Files = {
  'migrations/001_base.pssql': `
    create table item (id int primary key, name text);
    insert into item values (1, 'one'), (2, 'two');
    create table spare (id int, other int);
    create table part (item_id int);
    insert into part values (1);
    create table loose (id int, other int);
    create table letter (text text);
    insert into letter values ('a');
    create table source (id int);
    create view items as select * from item where id > 1;
    create view spares as select * from spare;
    create view above as select * from items;
    create function double(n int) returns int language sql immutable as $$ select 2 * n $$;
    create function double(n text) returns text language sql immutable as $$ select n || n $$;
    create function half(n int) returns int language sql immutable as $$ select n / 2 $$;
    create materialized view doubles as select double(id) as n from item;
    create table halved (n int default half(4));
    insert into halved values (1);
  `,
}

describe('A9: what would lose rows', () => {
  let platform: Platform
  let before: Json
  beforeAll(async () => {
    platform = await newPlatform(gateway, BASE)
    before = await snapshot(platform.database)
  })

  test.each<[string, Json[]]>([
    ['delete from items', [['rows_deleted', 'items', null, 1]]],
    ['delete from above where true', [['rows_deleted', 'above', null, 1]]],
    [
      'merge into item t using source s on t.id = s.id when not matched by source then delete',
      [['rows_deleted', 'item', null, 2]],
    ],
    [
      'merge into part t using (select 1) s on true when matched then delete',
      [['rows_deleted', 'part', null, 1]],
    ],
    ['drop function double(int) cascade', [['materialized_view_dropped', 'doubles', null, 2]]],
  ])('is refused at its line: %s', async (text, losses) => {
    // BY SOURCE is of PostgreSQL 17: what is asked about comes before the syntax is checked.
    const answer = await platform.deploy(next(`select 1;\n\n  ${text};`))
    expect(lossesOf(answer)).toEqual(losses)
    expect(answer.body).toMatchObject({ file: 'migrations/002_next.pssql', line: 3 })
  })

  test('has left everything as it was', async () => {
    expect(await snapshot(platform.database)).toEqual(before)
  })

  test.each([
    'delete from spares',
    'delete from items where id = 5',
    'merge into item t using source s on t.id = s.id when matched then delete',
    'merge into item t using source s on t.id = s.id when not matched then insert values (s.id)',
    'merge into spare t using (select 1) s on true when matched then delete',
    'create table own (n int); create view mine as select * from own; insert into mine values (1); delete from mine',
    'drop function half(int) cascade',
    'drop function double(text) cascade',
  ])('does not stop what loses none: %s', async (text) => {
    const { body } = await platform.deploy(next(`${text};`), { dry_run: 'true' })
    expect(body).toMatchObject({ status: 'dry_run' })
  })
})

describe('a dry run', () => {
  test('tells the losses of all statements, with their places, and all other changes', async () => {
    const { deploy, database } = await newPlatform(gateway, BASE)
    const before = await snapshot(database)
    const { status, body } = await deploy(
      {
        ...next('alter table letter drop column text;\nalter table loose drop column other;'),
        'migrations/003_more.pssql':
          "delete from part;\ndo $$ begin execute 'drop table halved'; end $$;",
      },
      { dry_run: 'true' },
    )
    expect([status, body.error]).toEqual([409, 'data_loss'])
    expect(body.losses).toMatchObject([
      { change: 'column_dropped', table: 'letter', file: 'migrations/002_next.pssql', line: 1 },
      { change: 'rows_deleted', table: 'part', file: 'migrations/003_more.pssql', line: 1 },
      { change: 'table_dropped', table: 'halved' },
    ])
    expect(body.message).toContain('3 statements would lose data')
    const changes = body.table_changes.map(({ change, table, column }: Json) =>
      [change, table, column].filter(Boolean).join(' '),
    )
    expect(changes.sort()).toEqual([
      'column_dropped letter text',
      'column_dropped loose other',
      'rows_deleted part',
      'table_dropped halved',
    ])
    expect(await snapshot(database)).toEqual(before)
  })

  test('lists what a file outside of transactions would change', async () => {
    const { deploy } = await newPlatform(gateway, BASE)
    const { body } = await deploy(
      next(
        '-- gateway: no-transaction\nalter table spare drop column other; delete from part; drop table halved;',
      ),
      { dry_run: 'true', allow: 'data_loss' },
    )
    const changes = body.plan[0].table_changes.map(
      (one: Json) => `${one.class} ${one.change} ${one.table}`,
    )
    expect(changes.sort()).toEqual([
      'data_loss column_dropped spare',
      'data_loss rows_deleted part',
      'data_loss table_dropped halved',
    ])
  })
})

describe('A7: an archive', () => {
  test.each(['tables/box.pssql', 'policies/box.pssql', 'seeders/001_box.pssql'])(
    'without %s is refused',
    async (path) => {
      const { deploy } = await newPlatform(gateway, {
        ...BASE,
        'tables/box.pssql': 'create table box (id int);',
        'policies/box.pssql': 'create policy seen on box for select using (true);',
        'seeders/001_box.pssql': 'insert into box values (1);',
      })
      const answer = await deploy({ [path]: undefined })
      expect([answer.status, answer.body.error]).toEqual([409, 'functions_missing'])
      expect(answer.body.sections).toEqual([path.split('/')[0]])
      const allowed = await deploy({ [path]: undefined }, { allow: 'functions_missing' })
      expect(allowed.body).toMatchObject({ status: 'ready' })
    },
  )

  test('may rename the one function that it has, or both', async () => {
    const functions = (...names: string[]) => ({
      'functions/all.pssql': names
        .flatMap((name) => Object.values(textFunction(name, name)))
        .join('\n'),
    })
    const { deploy } = await newPlatform(gateway, { ...BASE, ...functions('a') })
    expect((await deploy(functions('b'))).body).toMatchObject({ status: 'ready' })
    expect((await deploy(functions('c', 'd'))).body).toMatchObject({ status: 'ready' })
    expect((await deploy(functions('e', 'f'))).body).toMatchObject({ status: 'ready' })
    expect((await deploy(functions('g', 'h', 'i'))).body).toMatchObject({ status: 'ready' })
    const answer = await deploy(functions('j', 'k', 'l'))
    expect([answer.status, answer.body.functions]).toEqual([409, ['g', 'h', 'i']])
    expect((await deploy(functions('g'))).body).toMatchObject({ error: 'functions_missing' })
  })
})
