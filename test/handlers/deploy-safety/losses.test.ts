import { describe, expect, test } from 'vitest'
import { queryDatabase, uniqueName } from '../../helpers/gateway.ts'
import { type Files, pack } from '../../helpers/platforms.ts'
import { snapshot } from '../../helpers/snapshot.ts'

import { BASE, gateway, migration, newPlatform, setUp } from './setup.ts'

setUp()

describe('a deploy that would lose data', () => {
  test.each([
    ['drops a table', 'drop table item;', { table: 'item', change: 'table_dropped', rows: 1 }],
    [
      'drops a column',
      'alter table item drop column note;',
      { table: 'item', column: 'note', change: 'column_dropped', from: 'text', rows: 1 },
    ],
    [
      'shortens a text',
      'alter table item alter name type varchar(5) using left(name, 5);',
      {
        column: 'name',
        change: 'type_changed',
        from: 'character varying(20)',
        to: 'character varying(5)',
      },
    ],
    [
      'drops digits',
      'alter table item alter price type int;',
      { column: 'price', from: 'numeric(8,2)', to: 'integer' },
    ],
    [
      'drops a table and makes it again',
      'drop table item; create table item (id int primary key, name varchar(20));',
      { table: 'item', change: 'table_dropped' },
    ],
    [
      'drops a table inside a DO block',
      "do $$ begin execute 'drop table item'; end $$;",
      { table: 'item', change: 'table_dropped' },
    ],
  ])('since it %s is rolled back and says what', async (_what, text, loss) => {
    const { database, deploy } = await newPlatform()
    const before = await snapshot(database)
    const { status, body } = await deploy(migration(text))
    expect(status).toBe(409)
    expect(body).toMatchObject({ error: 'data_loss', database })
    expect(body.losses).toHaveLength(1)
    expect(body.losses[0]).toMatchObject({ class: 'data_loss', rows: 1, ...loss })
    expect(body.hint).toContain('force=true')
    expect(await snapshot(database)).toEqual(before)
  })

  test('by a function file or a seeder, of all things, is found out too', async () => {
    const { database, deploy } = await newPlatform()
    const before = await snapshot(database)
    const odd: Files[] = [
      { 'functions/odd.pssql': 'alter table item drop column note;' },
      { 'seeders/001_odd.pssql': 'drop table item;' },
    ]
    for (const more of odd) {
      const { status, body } = await deploy(more)
      expect([status, body.error]).toEqual([409, 'data_loss'])
      expect(await snapshot(database)).toEqual(before)
    }
    const { body } = await deploy({
      'functions/fine.pssql': 'alter table item add column fine int;',
    })
    expect(body).toMatchObject({ status: 'ready' })
    const history = await gateway.get(
      `/admin/deployments?platform=${database.replace('_main', '')}&limit=1`,
    )
    expect(history.body.deployments[0].table_changes).toMatchObject([
      { table: 'item', column: 'fine', change: 'column_added', class: 'safe' },
    ])
  })

  test('goes through with force=true', async () => {
    const { database, deploy } = await newPlatform()
    const { body } = await deploy(migration('drop table item;'), { force: 'true' })
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    expect(await queryDatabase(database, `select to_regclass('item') as item`)).toEqual([
      { item: null },
    ])
  })

  test('goes through where the migration says so in its first line', async () => {
    const { deploy } = await newPlatform()
    const { body } = await deploy(
      migration('-- gateway: allow-data-loss\nalter table item drop column note;'),
    )
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
  })

  test('does not go through because another migration may', async () => {
    const { deploy } = await newPlatform()
    const { status, body } = await deploy({
      ...migration('-- gateway: allow-data-loss\nalter table item drop column note;'),
      'migrations/003_more.pssql': 'alter table item drop column price;',
    })
    expect(status).toBe(409)
    expect(body.losses.map((loss: { column: string }) => loss.column)).toEqual(['price'])
  })

  test('goes through where the table is empty', async () => {
    const { deploy } = await newPlatform()
    const { body } = await deploy(migration('drop table spare;'))
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
  })

  test('goes through in a database that this request creates', async () => {
    const platform = uniqueName('s')
    const { body } = await gateway.register(
      platform,
      await pack({
        'migrations/001_a.pssql': 'create table a (x int); insert into a values (1);',
        'migrations/002_b.pssql': 'drop table a;',
      }),
    )
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 2 })
  })

  test.each([
    ['int to bigint', 'alter table item alter id type bigint;'],
    ['a longer text', 'alter table item alter name type varchar(40);'],
    ['a text without limit', 'alter table item alter name type text;'],
    ['more digits', 'alter table item alter price type numeric(12,3);'],
    ['a new column', 'alter table item add column extra int not null default 0;'],
    ['a new name', 'alter table item rename to thing;'],
  ])('is not one that only widens: %s', async (_what, text) => {
    const { deploy } = await newPlatform()
    expect((await deploy(migration(text))).body).toMatchObject({ status: 'ready' })
  })
})

describe('repair=true', () => {
  const edited = { 'migrations/001_item.pssql': `${BASE['migrations/001_item.pssql']} -- edited` }

  test('takes the new text of a migration without running it, and says so', async () => {
    const { platform, database, deploy } = await newPlatform()
    expect((await deploy(edited)).status).toBe(409)
    const { body } = await deploy(edited, { repair: 'true' })
    expect(body).toMatchObject({
      status: 'ready',
      migrations_applied: 0,
      migrations_repaired: ['001_item.pssql'],
    })
    expect((await deploy(edited)).body).toMatchObject({ status: 'ready' })
    expect(await queryDatabase(database, 'select id from item')).toEqual([{ id: 1 }])
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({ platform, migrations_repaired: '001_item.pssql' }),
    )
    const history = await gateway.get(`/admin/deployments?platform=${platform}`)
    expect(history.body.deployments).toContainEqual(
      expect.objectContaining({ migrations_repaired: ['001_item.pssql'] }),
    )
  })
})

test('a flag that is neither true nor false is refused', async () => {
  const { deploy } = await newPlatform()
  const { status, body } = await deploy({}, { force: 'maybe' })
  expect([status, body.message]).toEqual([400, 'force must be true or false; got "maybe"'])
})
