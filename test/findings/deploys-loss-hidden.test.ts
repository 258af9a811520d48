import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { lossesOf, newPlatform, next, type Platform } from '../helpers/loss.ts'
import type { Files } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

// A9: what blocks, dynamic SQL and functions take away, which no statement's own text tells.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '5' })
})
afterAll(() => gateway.stop())

/** Until a deploy has come to a statement. */
const SOON = { timeout: 20_000 }

const BASE: Files = {
  'migrations/001_base.pssql': `
    create table item (id int primary key, name text);
    insert into item values (1, 'one'), (2, 'two');
    create table spare (id int, other int);
    create table part (item_id int);
    insert into part values (1);
    create table secret (id int);
    insert into secret values (1);
    alter table secret enable row level security;
    create policy everything on secret using (current_setting('a.b', true) is null);
    alter table secret force row level security;
    create function clean_up() returns void language sql as $$ delete from part $$;
    create function clean(name text) returns void language plpgsql as $$
      begin execute format('delete from %I', name); end $$;
    create function clean_twice() returns void language plpgsql as $$
      begin perform clean('part'); end $$;
    create function atomic_clean() returns void language sql begin atomic delete from part; end;
    create procedure empty_all() language plpgsql as $$ begin truncate part; end $$;
    create function drop_spare() returns void language plpgsql as $$
      begin execute 'drop table ' || 'spare'; end $$;
  `,
}

const block = (text: string) => `do $$ begin ${text} end $$`

describe('A9: behind a statement', () => {
  let platform: Platform
  let before: Json
  beforeAll(async () => {
    platform = await newPlatform(gateway, BASE)
    before = await snapshot(platform.database)
  })

  test.each<[string, Json[]]>([
    [block('drop table item;'), [['table_dropped', 'item', null, 2]]],
    [
      block('if true then alter table item drop column name; end if;'),
      [['column_dropped', 'item', 'name', 2]],
    ],
    [block("execute 'drop table item';"), [['table_dropped', 'item', null, 2]]],
    [block("execute format('drop table %I', 'item');"), [['table_dropped', 'item', null, null]]],
    [block('delete from part;'), [['rows_deleted', 'part', null, 1]]],
    [block('truncate part;'), [['table_truncated', 'part', null, 1]]],
    [block("execute 'delete from ' || 'item';"), [['rows_deleted', 'item', null, 2]]],
    [block("execute 'delete from ' || 'secret';"), [['rows_deleted', 'secret', null, 1]]],
    [block("execute 'truncate ' || 'item';"), [['table_truncated', 'item', null, null]]],
    ['select clean_up()', [['rows_deleted', 'part', null, 1]]],
    ['select * from atomic_clean()', [['rows_deleted', 'part', null, 1]]],
    ["select clean('part')", [['rows_deleted', 'part', null, 1]]],
    ['select clean_twice()', [['rows_deleted', 'part', null, 1]]],
    ['call empty_all()', [['table_truncated', 'part', null, 1]]],
    [block('perform clean_up();'), [['rows_deleted', 'part', null, 1]]],
  ])('rows that go are found, at its line: %s', async (text, losses) => {
    const answer = await platform.deploy(next(`select 1;\n\n  ${text};\nselect 2;`))
    expect(lossesOf(answer)).toEqual(losses)
    expect(answer.body).toMatchObject({ file: 'migrations/002_next.pssql', line: 3 })
    expect(answer.body.hint).toContain('allow=data_loss')
  })

  test('nothing of them stays', async () => {
    expect(await snapshot(platform.database)).toEqual(before)
  })

  test.each([
    block('drop table spare;'),
    block("execute format('drop table %I', 'spare');"),
    block("execute format('alter table %I drop column other', 'spare');"),
    block("execute format('truncate %I', 'spare');"),
    block("insert into spare values (1); execute 'delete from ' || 'spare';"),
    block('if false then drop table item; end if;'),
    block('delete from item where id = 1;'),
    block("execute format('delete from item where id = %s', 1);"),
    block("execute format('update item set name = %L', 'x');"),
    block("execute format('create table %I (n int)', 'more');"),
    'select drop_spare()',
    'create table fresh (n int); insert into fresh values (1); do $$ begin drop table fresh; end $$',
  ])('what goes without rows does not stop it: %s', async (text) => {
    const { body } = await platform.deploy(next(`${text};`), { dry_run: 'true' })
    expect(body).toMatchObject({ status: 'dry_run' })
  })

  test('nobody writes into what was empty before it is dropped', async () => {
    const { database, deploy } = await newPlatform(gateway, BASE)
    const text = block("perform pg_sleep(3); execute format('drop table %I', 'spare');")
    const deploying = deploy(next(`${text};`))
    await expect.poll(() => sessionsRunning(database, 'pg_sleep(3)'), SOON).toBe(1)
    await expect(queryDatabase(database, 'insert into spare values (1)')).rejects.toThrow(
      'relation "spare" does not exist',
    )
    expect((await deploying).body).toMatchObject({ status: 'ready' })
  })

  test('it may lose data where that is allowed', async () => {
    const text = `${block("execute 'drop table ' || 'item';")}; select clean_up();`
    const { database, deploy } = await newPlatform(gateway, BASE)
    const { body } = await deploy(next(text), { allow: 'data_loss' })
    expect(body).toMatchObject({ status: 'ready' })
    expect(await queryDatabase(database, 'select from part')).toHaveLength(0)
  })

  test('a seeder is looked behind too, and a function file', async () => {
    const { deploy } = await newPlatform(gateway, BASE)
    const seeder = await deploy({ 'seeders/001_part.pssql': 'select clean_up();' })
    expect(lossesOf(seeder)).toEqual([['rows_deleted', 'part', null, 1]])
    const file = await deploy({ 'functions/odd.pssql': `${block('delete from part;')};` })
    expect(lossesOf(file)).toEqual([['rows_deleted', 'part', null, 1]])
  })
})
