import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import {
  type Answer,
  connectTo,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

// Histories of migrations, what runs outside of transactions, locks, and what deploys say.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '6' })
})
afterAll(() => gateway.stop())

interface Platform {
  database: string
  deploy(files: Files, flags?: Record<string, string>): Promise<Answer>
  query(text: string): Promise<Json[]>
}

function newPlatform(): Platform {
  const name = uniqueName('hist')
  return {
    database: `${name}_main`,
    deploy: async (files, flags = {}) =>
      gateway.register(name, await pack(files), undefined, {
        allow: 'functions_missing',
        ...flags,
      }),
    query: (text) => queryDatabase(`${name}_main`, text),
  }
}

const expectReady = ({ body }: Answer) => expect(body).toMatchObject({ status: 'ready' })
const BASE: Files = { 'migrations/001_base.sql': 'create table item (id int);' }

describe('A10: the same text under a new name is the same migration', () => {
  test.each([['migrations/001_base.pssql'], ['migrations/0001_base.sql'], ['migrations/r1/1.sql']])(
    '%s',
    async (path) => {
      const { deploy, query } = newPlatform()
      expectReady(await deploy(BASE))
      const { body } = await deploy({
        [path]: BASE['migrations/001_base.sql']!,
        'migrations/r1/2_more.sql': 'create table more (id int);',
      })
      expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
      expect(body.warnings.join()).toContain('was applied as 001_base.sql')
      const rows = await query(
        'select migration_file as name from _db_gateway_migrations order by id',
      )
      expect(rows.map(({ name }) => `migrations/${name}`)).toEqual([
        path,
        'migrations/r1/2_more.sql',
      ])
    },
  )

  test('two files with one text are two migrations', async () => {
    const { deploy, query } = newPlatform()
    const add = 'insert into item values (1);'
    expectReady(await deploy({ ...BASE, 'migrations/002_a.sql': add }))
    expectReady(await deploy({ ...BASE, 'migrations/002_a.sql': add, 'migrations/003_b.sql': add }))
    expect(await query('select * from item')).toHaveLength(2)
  })
})

describe('A11: the order is that of all numbers in the path', () => {
  test.each([
    [['V1__a.sql', 'V2__b.sql', 'V10__c.sql']],
    [['r1/1.sql', 'r2/1.sql', 'r10/1.sql']],
    [['1_a.sql', '0002_b.sql', '10_c.sql']],
    [['2024-01-05_a.sql', '2024-01-05_b.sql', '2024-02-01_a.sql']],
    [['1_a.sql', '2_b.sql', 'last.sql']],
  ])('%j', async (names) => {
    const { deploy, query } = newPlatform()
    const { body } = await deploy(
      Object.fromEntries(
        names.toReversed().map((name) => [`migrations/${name}`, `select '${name}';`]),
      ),
    )
    expect(body.status).toBe('ready')
    const rows = await query(
      'select migration_file as name from _db_gateway_migrations order by id',
    )
    expect(rows.map(({ name }) => name)).toEqual(names)
    const said = body.warnings.join()
    expect(said.includes('without a number')).toBe(names.includes('last.sql'))
    expect(said.includes('the same number')).toBe(names.includes('2024-01-05_b.sql'))
  })
})

describe('A12: the way back is not run', () => {
  test.each<[string, Files]>([
    [
      'golang-migrate',
      {
        'migrations/001_a.up.sql': 'create table item (id int);',
        'migrations/001_a.down.sql': 'drop table item;',
      },
    ],
    [
      'Diesel',
      {
        'migrations/2024-01-01-000000_a/up.sql': 'create table item (id int);',
        'migrations/2024-01-01-000000_a/down.sql': 'drop table item;',
      },
    ],
    [
      'dbmate',
      {
        'migrations/001_a.sql':
          '-- migrate:up\ncreate table item (id int);\n\n-- migrate:down\ndrop table item;',
      },
    ],
    [
      'goose',
      {
        'migrations/001_a.sql': `-- +goose Up
-- +goose StatementBegin
create table item (id int);
-- +goose StatementEnd

-- +goose Down
drop table item;`,
      },
    ],
  ])('%s', async (_, files) => {
    const { deploy, query } = newPlatform()
    const answer = await deploy(files)
    expectReady(answer)
    expect(answer.body.migrations_applied).toBe(1)
    expect(await query('select * from item')).toEqual([])
  })
})

describe('C3: outside of a transaction', () => {
  const outside = (text: string): Files => ({
    ...BASE,
    'migrations/002_out.sql': `-- gateway: no-transaction\n${text}`,
  })

  test('CREATE INDEX CONCURRENTLY waits for transactions that are older than LOCK_TIMEOUT_SECS', async () => {
    const { deploy, database, query } = newPlatform()
    expectReady(await deploy(BASE))
    const holder = connectTo(database)
    await holder.unsafe('begin; insert into item values (1)')
    const deploying = deploy(outside('create index concurrently item_id on item (id);'))
    await new Promise((resolve) => setTimeout(resolve, 8000))
    await holder.unsafe('commit')
    await holder.end()
    expectReady(await deploying)
    expect(
      await query(`select indisvalid from pg_index where indexrelid = 'item_id'::regclass`),
    ).toEqual([{ indisvalid: true }])
  }, 60_000)

  test('an invalid index of an earlier try is dropped first; a failed first statement leaves nothing begun', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy({ ...BASE, 'seeders/item.sql': 'insert into item values (1), (1);' }))
    const files = {
      ...outside('create unique index concurrently item_id on item (id);'),
      'seeders/item.sql': 'insert into item values (1), (1);',
    }
    expect((await deploy(files)).body).toMatchObject({
      error: 'migration_failed',
      sqlstate: '23505',
    })
    await query('delete from item where ctid = (select min(ctid) from item)')
    expectReady(await deploy(files))
    expect(
      await query(`select indisvalid from pg_index where indexrelid = 'item_id'::regclass`),
    ).toEqual([{ indisvalid: true }])
  })

  test('a slip in the text is told before anything runs', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy(BASE))
    const { body } = await deploy(
      outside('insert into item values (1);\ncreate idnex on item (id);'),
    )
    expect(body).toMatchObject({ error: 'migration_failed', sqlstate: '42601', line: 3 })
    expect(await query('select * from item')).toEqual([])
    expectReady(await deploy(outside('insert into item values (1);\ncreate index on item (id);')))
  })

  test('one that failed later runs again when it is edited, or with retry=true', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy(BASE))
    const files = outside('insert into item values (1);\ninsert into later values (1);')
    const failed = await deploy(files)
    expect(failed.body).toMatchObject({ error: 'migration_failed', sqlstate: '42P01', line: 3 })
    expect(failed.body.hint).toContain('1 of its 2 statements have run')
    expect(failed.body.hint).toContain('retry=true')
    const again = await deploy(files)
    expect(again.body).toMatchObject({
      error: 'migration_failed',
      message: 'Migration 002_out.sql was begun and not finished',
    })
    await query('create table later (id int)')
    expectReady(await deploy(files, { retry: 'true' }))
    expect(await query('select * from item')).toHaveLength(2)

    const { deploy: other } = newPlatform()
    expectReady(await other(BASE))
    expect((await other(files)).status).toBe(422)
    expectReady(await other(outside('insert into item values (1);')))
  })
})

describe('D1: locks', () => {
  test('reads beside a deploy that waits stand still for a small part of the time', async () => {
    const { deploy, database } = newPlatform()
    expectReady(await deploy(BASE))
    const holder = connectTo(database)
    await holder.unsafe('begin; select * from item')
    const deploying = deploy({ ...BASE, 'migrations/002_x.sql': 'alter table item add x int;' })
    const reader = connectTo(database)
    let [slow, all] = [0, 0]
    const until = performance.now() + 4000
    while (performance.now() < until) {
      const started = performance.now()
      await reader.unsafe('select * from item')
      const took = performance.now() - started
      all += took
      if (took > 50) slow += took
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await holder.unsafe('commit')
    await Promise.all([holder.end(), reader.end()])
    expectReady(await deploying)
    expect(all).toBeGreaterThan(0)
    // Four tries wait for 200 ms at most each; the first design stood still for all of it.
    expect(slow).toBeLessThan(2000)
  }, 30_000)

  test('C12: the victim of a deadlock is tried again', async () => {
    const { deploy, database } = newPlatform()
    const files: Files = {
      'migrations/001_base.sql': 'create table a (id int); create table b (id int);',
    }
    expectReady(await deploy(files))
    const other = connectTo(database)
    await other.unsafe('begin; lock table b in access exclusive mode')
    const deploying = deploy({
      ...files,
      'migrations/002_both.sql': `
        set lock_timeout = 0;
        alter table a add x int; select pg_sleep(4); alter table b add x int;`,
    })
    await new Promise((resolve) => setTimeout(resolve, 1500))
    // It looks for a deadlock once, after a second: the deploy is the one that finds it.
    await other.unsafe('lock table a in access exclusive mode')
    await other.unsafe('commit')
    await other.end()
    expectReady(await deploying)
  }, 30_000)
})

describe('E: what deploys say', () => {
  const refused = async (text: string) => {
    const { deploy } = newPlatform()
    const { status, body } = await deploy({ 'migrations/001_x.sql': text })
    expect(status).toBe(422)
    return body
  }

  test.each([
    ['\\connect other', '\\connect is a command of psql'],
    ['\\copy item from file', '\\copy is a command of psql'],
    ['\\i other.sql', '\\i is a command of psql'],
    ['copy item (id) from stdin;\n1\n2\n\\.', 'COPY with data needs psql'],
  ])('%s', async (line, said) => {
    const body = await refused(`create table item (id int);\n${line}\nselect 1;`)
    expect(body).toMatchObject({ error: 'migration_failed', line: 2 })
    expect(body.cause).toContain(said)
  })

  test('\\restrict of a dump is passed over', async () => {
    const { deploy, query } = newPlatform()
    expectReady(
      await deploy({
        'migrations/001_dump.sql': `--
-- PostgreSQL database dump
--

\\restrict abcDEF

select pg_catalog.set_config('search_path', '', false);
create table public.item (id int);

\\unrestrict abcDEF
`,
      }),
    )
    expect(await query('select * from item')).toEqual([])
  })

  test('OWNER TO says what to do', async () => {
    const body = await refused('create table item (id int); alter table item owner to somebody;')
    expect(body.hint).toContain('Remove OWNER TO')
  })

  test('what cannot run in a transaction says how it can', async () => {
    const body = await refused(
      'create table item (id int); create index concurrently on item (id);',
    )
    expect(body).toMatchObject({ sqlstate: '25001' })
    expect(body.hint).toContain('-- gateway: no-transaction')
  })

  test('a directive may stand below a licence, in any case, and is missed nowhere silently', async () => {
    const { deploy } = newPlatform()
    expectReady(
      await deploy({
        ...BASE,
        'migrations/002_out.sql':
          '/* Licence\n   of somebody */\n\n-- Gateway: No-Transaction\ncreate index concurrently on item (id);',
      }),
    )
    const { body } = await deploy({
      ...BASE,
      'migrations/002_out.sql':
        '/* Licence\n   of somebody */\n\n-- Gateway: No-Transaction\ncreate index concurrently on item (id);',
      'migrations/003_late.sql': 'select 1;\n-- gateway: allow-data-loss\n',
    })
    expect(body.warnings.join()).toContain('after the first statement has no effect')
  })

  test('PostgreSQL’s warnings are told', async () => {
    const { deploy } = newPlatform()
    const { body } = await deploy({
      'migrations/001_x.sql': `do $$ begin raise warning 'look at this'; raise notice 'not at this';
        raise warning '%', repeat('long', 10000); end $$;`,
    })
    expect(body.warnings[0]).toBe('PostgreSQL: look at this')
    expect(body.warnings[1]).toMatch(/^PostgreSQL: long.{0,1020}…$/)
  })
})

const superuserUrl = inject('superuserUrl')

describe('tables and extensions', () => {
  test.runIf(superuserUrl)(
    'B3: a foreign table in the place of a declared one does not hide it from others',
    async () => {
      const name = uniqueName('hist')
      const files: Files = {
        'tables/thing.sql': 'create table thing (id int);',
        'migrations/001_base.sql': 'create table item (id int);',
      }
      const base = { 'migrations/001_base.sql': files['migrations/001_base.sql']! }
      for (const tenant of [undefined, 'two'])
        await gateway.register(name, await pack(base), tenant)
      await queryDatabase(
        `${name}_main`,
        `create extension file_fdw; create server files foreign data wrapper file_fdw;
       create foreign table thing (id int) server files options (filename '/dev/null')`,
        { asGateway: true, url: superuserUrl! },
      )
      for (const tenant of [undefined, 'two']) {
        expectReady(await gateway.register(name, await pack(files), tenant))
      }
      expect(
        await queryDatabase(`${name}_two`, `select relkind from pg_class where relname = 'thing'`),
      ).toEqual([{ relkind: 'r' }])
    },
  )

  test('B4: a raised version updates the extension; text in its file is told of', async () => {
    const { deploy, query } = newPlatform()
    const version = async () => {
      const [row] = await query(`select extversion from pg_extension where extname = 'pg_trgm'`)
      return row.extversion
    }
    expectReady(await deploy({ ...BASE, 'extensions/pg_trgm.sql': '-- version: 1.5\n' }))
    expect(await version()).toBe('1.5')
    const { body } = await deploy({
      ...BASE,
      'extensions/pg_trgm.sql': '-- version: 1.6\ncreate table lost (id int);',
    })
    expect(body.status).toBe('ready')
    expect(await version()).toBe('1.6')
    expect(body.warnings.join()).toContain('the statements were not run')
    expect(
      (await deploy({ ...BASE, 'extensions/pg_trgm.sql': '-- version: 0.1\n' })).body,
    ).toMatchObject({ error: 'extension_install_failed', file: 'extensions/pg_trgm.sql' })
  })

  test('an extension is not installed in the schema of the ledger', async () => {
    const { deploy } = newPlatform()
    const files = { ...BASE, 'extensions/pageinspect.sql': '-- schema: _db_gateway\n' }
    expect((await deploy(files)).body).toMatchObject({
      error: 'extension_install_failed',
      cause: 'The schema _db_gateway belongs to the gateway',
    })
  })

  test('C13: a dry run with an untrusted extension says what it could not check', async () => {
    const { deploy, query } = newPlatform()
    expectReady(await deploy(BASE))
    const files: Files = {
      ...BASE,
      'extensions/pageinspect.sql': '',
      'migrations/002_use.sql': `create table page (head bytea);
        insert into page select get_raw_page('pg_class', 0);`,
    }
    const { status, body } = await deploy(files, { dry_run: 'true' })
    expect(status).toBe(200)
    expect(JSON.stringify(body)).toContain('may need pageinspect')
    expect(await query(`select from pg_extension where extname = 'pageinspect'`)).toEqual([])
  })
})
