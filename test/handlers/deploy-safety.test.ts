import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  connectTo,
  databaseUrlOf,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { clinicFiles, type Files, pack, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '4' })
})
afterAll(() => gateway.stop())

const BASE: Files = {
  'migrations/001_item.pssql': `
    create table item (id int primary key, name varchar(20), price numeric(8,2), note text);
    create table spare (id int);
  `,
  ...textFunction('motto', 'first'),
}

/** A platform with one row in `item` and none in `spare`. */
async function newPlatform(files: Files = BASE) {
  const platform = uniqueName('s')
  const database = `${platform}_main`
  expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
    status: 'ready',
  })
  const deploy = async (more: Files, flags: Record<string, string> = {}): Promise<Answer> =>
    gateway.register(platform, await pack({ ...files, ...more }), undefined, flags)
  if (files === BASE) await queryDatabase(database, "insert into item values (1, 'one', 1.50, 'n')")
  return { platform, database, deploy }
}

const migration = (text: string): Files => ({ 'migrations/002_next.pssql': text })

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

describe('a migration that runs outside of a transaction', () => {
  const concurrently =
    '-- gateway: no-transaction\ncreate index concurrently item_name on item (name);\n' +
    'create index concurrently item_price on item (price);'

  test('may create an index concurrently', async () => {
    const { database, deploy } = await newPlatform()
    const { body } = await deploy({
      ...migration(concurrently),
      'migrations/003_after.pssql': 'alter table item add column later int;',
    })
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 2 })
    const rows = await queryDatabase(
      database,
      'select migration_file, status from _db_gateway_migrations order by id',
    )
    expect(rows).toEqual([
      { migration_file: '001_item.pssql', status: 'applied' },
      { migration_file: '002_next.pssql', status: 'applied' },
      { migration_file: '003_after.pssql', status: 'applied' },
    ])
    const indexes = await queryDatabase(
      database,
      `select indexname from pg_indexes where tablename = 'item' order by 1`,
    )
    expect(indexes.map((row) => row.indexname)).toEqual(['item_name', 'item_pkey', 'item_price'])
  })

  test('that fails half way stands in the ledger, and the next deploy says what to do', async () => {
    const { database, deploy } = await newPlatform()
    const half =
      '-- gateway: no-transaction\ncreate index concurrently item_name on item (name);\n' +
      'create index concurrently broken on item (no_such_column);'
    const failed = await deploy(migration(half))
    expect(failed.status).toBe(422)
    expect(failed.body).toMatchObject({
      error: 'migration_failed',
      file: 'migrations/002_next.pssql',
      line: 3,
      sqlstate: '42703',
    })
    expect(failed.body.hint).toContain('repair=true')
    expect(
      await queryDatabase(
        database,
        `select status, error from _db_gateway_migrations where migration_file = '002_next.pssql'`,
      ),
    ).toEqual([{ status: 'begun', error: 'column "no_such_column" does not exist' }])

    const next = await deploy(migration(half))
    expect(next.status).toBe(422)
    expect(next.body.message).toBe('Migration 002_next.pssql was begun and not finished')
    expect(next.body.cause).toContain('no_such_column')
    expect(next.body.hint).toContain('repair=true')

    await queryDatabase(database, 'create index broken on item (price)')
    expect((await deploy(migration(half), { repair: 'true' })).body).toMatchObject({
      status: 'ready',
      migrations_repaired: ['002_next.pssql'],
    })
    expect((await deploy(migration(half))).body).toMatchObject({ status: 'ready' })
  })

  test('does not hang where another gateway waits for its turn', async () => {
    const { platform, deploy } = await newPlatform()
    const other = await startTestGateway({ DATABASE_URL: databaseUrlOf(gateway.server.database) })
    try {
      const archive = await pack({ ...BASE, ...migration(concurrently) })
      const answers = await Promise.all([
        deploy(migration(concurrently)),
        other.register(platform, archive),
      ])
      expect(answers.map((answer) => answer.body.status)).toEqual(['ready', 'ready'])
    } finally {
      await other.stop()
    }
  })

  test('is named by an unknown word after "gateway:"', async () => {
    const { deploy } = await newPlatform()
    const { body } = await deploy(migration('-- gateway: no-transactions\nselect 1;'))
    expect(body.warnings.join()).toContain('"-- gateway: no-transactions" means nothing')
  })
})

describe('a migration that waits for a lock', () => {
  test('gives up, lets live traffic through, and tries again', async () => {
    const { database, deploy } = await newPlatform()
    const holder = connectTo(database)
    await holder.unsafe('begin; select * from item')
    const deploying = deploy(migration('alter table item add column late int;'))
    // While the deploy waits its turn, others read the table within the lock timeout.
    await new Promise((resolve) => setTimeout(resolve, 1200))
    const started = performance.now()
    expect(await queryDatabase(database, 'select count(*)::int as n from item')).toEqual([{ n: 1 }])
    expect(performance.now() - started).toBeLessThan(1500)
    await holder.unsafe('commit')
    expect((await deploying).body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    await holder.end()
  })

  test('ends in an error when the lock never comes, with everything as before', async () => {
    const { database, deploy } = await newPlatform()
    const holder = connectTo(database)
    await holder.unsafe('begin; lock table item in access share mode')
    const { status, body } = await deploy(
      migration('drop table spare; alter table item add x int;'),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'migration_failed', sqlstate: '55P03' })
    await holder.unsafe('commit')
    await holder.end()
    expect(await queryDatabase(database, `select to_regclass('spare')::text as t`)).toEqual([
      { t: 'spare' },
    ])
  }, 30_000)
})

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

test('a flag that is neither true nor false is refused', async () => {
  const { deploy } = await newPlatform()
  const { status, body } = await deploy({}, { force: 'maybe' })
  expect([status, body.message]).toEqual([400, 'force must be true or false; got "maybe"'])
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
