import { describe, expect, test } from 'vitest'
import {
  connectTo,
  databaseUrlOf,
  queryDatabase,
  startTestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { clinicFiles, type Files, pack, textFunction } from '../../helpers/platforms.ts'
import { snapshot } from '../../helpers/snapshot.ts'

import { BASE, gateway, migration, newPlatform, setUp } from './setup.ts'

setUp()

describe('dry_run=true', () => {
  test('answers the plan and changes nothing', async () => {
    const { platform, database } = await newPlatform({
      ...BASE,
      ...textFunction('goes', 'g'),
      ...textFunction('stays', 's'),
    })
    await queryDatabase(database, "insert into item values (1, 'one', 1.50, 'n')")
    const before = await snapshot(database)
    const { status, body } = await gateway.register(
      platform,
      await pack({
        ...BASE,
        ...migration(
          'alter table item add column extra int; alter table item alter name set not null; create table fresh (id int);',
        ),
        ...textFunction('motto', 'second'),
        ...textFunction('stays', 's'),
        ...textFunction('comes', 'c'),
        'seeders/001_x.pssql': 'insert into fresh values (1);',
      }),
      undefined,
      { dry_run: 'true' },
    )
    expect(status).toBe(200)
    expect(body.status).toBe('dry_run')
    expect(body.plan).toHaveLength(1)
    expect(body.plan[0]).toMatchObject({
      database,
      pending_migrations: ['002_next.pssql'],
      functions: {
        create: ['public.comes()'],
        change: ['public.motto()'],
        drop: ['public.goes()'],
      },
      pending_seeders: ['001_x.pssql'],
      locks: [{ table: 'item', lock: 'AccessExclusive' }],
    })
    expect(
      body.plan[0].table_changes.map((c: Record<string, unknown>) => [c.table, c.change, c.class]),
    ).toEqual([
      ['fresh', 'table_created', 'safe'],
      ['item', 'not_null_set', 'incompatible'],
      ['item', 'column_added', 'safe'],
    ])
    expect(await snapshot(database)).toEqual(before)
  })

  test('of a new database leaves none behind', async () => {
    const platform = uniqueName('s')
    const { body } = await gateway.register(platform, await pack(BASE), undefined, {
      dry_run: '1',
    })
    expect(body).toMatchObject({ status: 'dry_run' })
    expect(body.plan[0]).toMatchObject({ pending_migrations: ['001_item.pssql'] })
    expect(
      await queryDatabase(
        gateway.server.database,
        `select from pg_database where datname = '${platform}_main'`,
      ),
    ).toHaveLength(0)
    expect((await gateway.call(platform, 'motto')).body.error).toBe('database_not_found')
  })

  test('shows the failure that the deploy would have', async () => {
    const { database, deploy } = await newPlatform()
    const before = await snapshot(database)
    const { status, body } = await deploy(migration('drop table item;'), { dry_run: 'true' })
    expect([status, body.error]).toEqual([409, 'data_loss'])
    const forced = await deploy(migration('drop table item;'), { dry_run: 'true', force: 'true' })
    expect(forced.body.plan[0].table_changes).toMatchObject([
      { table: 'item', change: 'table_dropped', class: 'data_loss' },
    ])
    expect(await snapshot(database)).toEqual(before)
  })

  test('names the migrations that it cannot run', async () => {
    const { deploy } = await newPlatform()
    const { body } = await deploy(
      migration('-- gateway: no-transaction\ncreate index concurrently i on item (name);'),
      { dry_run: 'true' },
    )
    expect(body.plan[0]).toMatchObject({
      pending_migrations: ['002_next.pssql'],
      migrations_not_run: ['002_next.pssql'],
    })
  })
})

describe('views', () => {
  const VIEW: Files = {
    ...BASE,
    'views/cheap.pssql':
      'create or replace view cheap as select id, name from item where price < 5;',
    'views/a_on_top.pssql': 'create or replace view a_on_top as select count(*) as n from cheap;',
    'functions/count_cheap.pssql':
      'create or replace function count_cheap() returns bigint language sql begin atomic select n from a_on_top; end;',
    'functions/list_cheap.pssql':
      'create or replace function list_cheap() returns setof cheap language sql as $$ select * from cheap $$;',
  }

  test('and functions on them deploy from any order of files', async () => {
    const { platform, database } = await newPlatform(VIEW)
    await queryDatabase(database, "insert into item values (1, 'one', 1.50, null)")
    expect((await gateway.call(platform, 'count_cheap')).body.rows).toEqual([{ count_cheap: 1 }])
    expect((await gateway.call(platform, 'list_cheap')).body.rows).toEqual([{ id: 1, name: 'one' }])
  })

  test('are replaced when their file changes, also with other columns', async () => {
    const files = { ...BASE, 'views/v.pssql': 'create view v as select id, name from item;' }
    const { database, deploy } = await newPlatform(files)
    await deploy({ 'views/v.pssql': 'create view v as select name from item;' })
    const columns = await queryDatabase(
      database,
      `select attname from pg_attribute where attrelid = 'v'::regclass and attnum > 0`,
    )
    expect(columns.map((row) => row.attname)).toEqual(['name'])
  })

  test('of a file that is gone are dropped', async () => {
    const { platform, database } = await newPlatform(VIEW)
    const { body } = await gateway.register(platform, await pack(BASE), undefined, {
      allow: 'functions_missing',
    })
    expect(body.functions_dropped.sort()).toEqual(['public.count_cheap()', 'public.list_cheap()'])
    expect(
      await queryDatabase(database, `select from pg_class where relname in ('cheap', 'a_on_top')`),
    ).toHaveLength(0)
  })

  test('of a file that is gone go with the functions that they are made from', async () => {
    const { platform, database } = await newPlatform({
      ...BASE,
      'functions/doubled.pssql':
        'create function doubled(n numeric) returns numeric language sql immutable as $$ select n * 2 $$;',
      'views/doubles.pssql': 'create view doubles as select doubled(price) from item;',
      'views/more.pssql': 'create materialized view more as select * from doubles;',
      'functions/on_top.pssql':
        'create function on_top() returns bigint language sql begin atomic select count(*) from doubles; end;',
    })
    const { body } = await gateway.register(platform, await pack(BASE), undefined, {
      allow: 'functions_missing',
    })
    expect(body.functions_dropped.sort()).toEqual(['public.doubled(numeric)', 'public.on_top()'])
    expect(
      await queryDatabase(database, `select from pg_class where relname in ('doubles', 'more')`),
    ).toHaveLength(0)
  })

  test('that fail name the file and the line', async () => {
    const { deploy } = await newPlatform()
    const { status, body } = await deploy({
      'views/bad.pssql': 'create view bad as\n  select nothing\n  from item;',
    })
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'view_deploy_failed', file: 'views/bad.pssql', line: 2 })
  })
})

describe('the common case', () => {
  test('an archive in place takes no lock and runs no DDL', async () => {
    const files = await clinicFiles()
    const { platform, database } = await newPlatform(files)
    const holder = connectTo(database)
    // Whoever holds these would stop a deploy that did anything but read.
    await holder.unsafe(`
      begin;
      select pg_advisory_lock(hashtext('_db_gateway_deploy'));
      lock table _db_gateway_migrations, _db_gateway_files, patients in exclusive mode;
    `)
    const { body } = await gateway.register(platform, await pack(files))
    expect(body).toMatchObject({ status: 'ready', functions_changed: 0, functions_deployed: 40 })
    await holder.unsafe('rollback')
    await holder.end()
  })

  test('fifty containers at once through two gateways: one deploy, fifty times "ready"', async () => {
    const platform = uniqueName('s')
    const archive = await pack(await clinicFiles())
    const other = await startTestGateway({ DATABASE_URL: databaseUrlOf(gateway.server.database) })
    try {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          (i % 2 === 0 ? gateway : other).register(platform, archive),
        ),
      )
      expect(answers.map((answer) => answer.body.status)).toEqual(Array(50).fill('ready'))
      expect(
        await queryDatabase(`${platform}_main`, 'select from _db_gateway_deployments'),
      ).toHaveLength(1)
    } finally {
      await other.stop()
    }
  })
})
