import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { ChangesByHand } from '../../../../lib/call/changes-by-hand.ts'
import {
  CHANGE_MARK,
  MARK_ITEMS,
  READ_CATALOGS,
} from '../../../../lib/call/signatures/change-mark.ts'
import { CHECK_EVERY_MS } from '../../../../lib/call/signatures/comparison.ts'
import { SCHEMA_VERSION } from '../../../../lib/call/signatures/version.ts'
import type { Sql } from '../../../../lib/postgres/pools/connection.ts'
import {
  connectTo,
  dropDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { pack } from '../../../helpers/platforms.ts'
import { until } from '../../../helpers/process.ts'

const platform = uniqueName('marks')
const database = `${platform}_main`
const copy = uniqueName('marks_copy')
const FILES = {
  'functions/f.pssql': `create or replace function f() returns int language sql as 'select 1'`,
}
let gateway: TestGateway
let sql: Sql

beforeAll(async () => {
  gateway = await startTestGateway({})
  expect((await gateway.register(platform, await pack(FILES))).status).toBe(200)
  sql = connectTo(database)
  await sql.unsafe(`
    create type pair as (a int, b text);
    create domain word as text;
    create table item (id int primary key, w word);
    create table part (id int primary key references item);
    create view items as select * from item;
    create function t() returns trigger language plpgsql as 'begin return new; end';
  `)
})
afterAll(async () => {
  await sql.end()
  await dropDatabase(copy)
  await gateway.stop()
})

/** The mark as a new session reads it, once the changes so far are counted. */
async function mark(name = database): Promise<string> {
  await sql`select pg_stat_force_next_flush()`
  const session = connectTo(name)
  try {
    const rows = await session.unsafe(`select ${CHANGE_MARK}`).values()
    return rows[0]![0]
  } finally {
    await session.end()
  }
}

/** Without pg_db_role_setting, the last one, which all databases share: other tests write to it. */
const ownOf = (mark: string) => mark.replace(/(,\d+){3}\}/, '}')

test('every catalog that the version is read from is counted, by its oid', async () => {
  const read = new Set(SCHEMA_VERSION.match(/(?<=pg_catalog\.)pg_\w+(?= \w\b)/g))
  // They say which database and which role it is.
  for (const name of ['pg_database', 'pg_roles']) read.delete(name)
  expect(Object.keys(READ_CATALOGS).sort()).toEqual([...read].sort())
  const rows = await sql`
    select c.relname, c.oid::int from pg_class c where c.relname in ${sql([...read])}`
  expect(Object.fromEntries(rows.map(({ relname, oid }) => [relname, oid]))).toEqual(READ_CATALOGS)
})

describe('the mark is another after', () => {
  test.each([
    `create or replace function f() returns int language sql as 'select 2'`,
    'alter function f() volatile',
    'drop view items',
    'alter type pair add attribute c int',
    'alter domain word set not null',
    'alter table item alter column w set default now()::text',
    'alter table part drop constraint part_id_fkey',
    'create trigger t before insert on item for each row execute function t()',
    'create policy p on item using (id > 0)',
    'create cast (pair as text) with inout',
    'alter schema public rename to elsewhere',
    'set search_path to elsewhere; create index on item (lower(w))',
  ])('%s', async (change) => {
    const before = ownOf(await mark())
    expect(ownOf(await mark())).toBe(before)
    await sql.unsafe(change)
    expect(ownOf(await mark())).not.toBe(before)
    await sql.unsafe('reset search_path')
  })

  test('a setting of a role in the database', async () => {
    const before = await mark()
    await sql.unsafe(`
      do $$ begin
        execute format('alter role %I in database %I set search_path to elsewhere',
          current_user, current_database());
      end $$`)
    expect(await mark()).not.toBe(before)
    expect(ownOf(await mark())).toBe(ownOf(before))
  })
})

test('the mark is the same after rows were written, VACUUM and ANALYZE', async () => {
  const before = ownOf(await mark())
  await sql.unsafe(`insert into elsewhere.item values (1, 'x')`)
  await sql.unsafe('vacuum analyze elsewhere.item')
  expect(ownOf(await mark())).toBe(before)
})

test('the marks of two databases differ, of new copies too', async () => {
  await queryDatabase('postgres', `create database ${copy}`)
  const first = ownOf(await mark(copy))
  await dropDatabase(copy)
  await queryDatabase('postgres', `create database ${copy}`)
  expect(ownOf(await mark(copy))).not.toBe(first)
})

test('a session that opens reads the same mark, by other means', async () => {
  const [values] = await sql.unsafe(`select ${MARK_ITEMS}`).raw()
  expect(ownOf(values!.map(String).join(' '))).toBe(ownOf(await mark()))
})

test.runIf(inject('superuserUrl'))(
  'a session that opens reads another mark while PostgreSQL does not count',
  async () => {
    const read = `select concat_ws(' ', ${MARK_ITEMS}) as mark`
    const results: { mark: string }[][] = await queryDatabase(
      database,
      `${read}; set track_counts = off; ${read}; set track_counts = on; ${read}`,
      { asGateway: true, url: inject('superuserUrl')! },
    )
    const [before, off, on] = results.flat().map((row) => ownOf(row.mark))
    expect(off).not.toBe(before)
    expect(on).toBe(before)
  },
)

describe('a database that is called again on a new session', () => {
  const other = uniqueName('marks')
  const changed = `${other}_main`
  const functions = () => gateway.gateway.calls.functions
  const call = async () => {
    gateway.gateway.pools.renew(changed)
    return (await gateway.call(other, 'f', [])).body.rows
  }
  beforeAll(async () => {
    expect((await gateway.register(other, await pack(FILES))).status).toBe(200)
    expect(await call()).toEqual([{ f: 1 }])
  })

  test('is compared where its mark is another one, for 5 s not where it is the same', async () => {
    const [row] = await queryDatabase(changed, SCHEMA_VERSION)
    expect(functions().check(changed, row.version, 'known')).toBe(true)
    functions().compareMark(changed, 'another')
    expect(functions().isDue(changed)).toBe(true)
    functions().compareMark(changed, 'known')
    expect(functions().isDue(changed)).toBe(false)
    // A session whose role may not read the mark says nothing.
    expect(functions().check(changed, row.version)).toBe(true)
    expect(functions().isDue(changed)).toBe(false)
  })

  test('is read anew after a change by hand', async () => {
    await queryDatabase(
      changed,
      `create or replace function f() returns int language plpgsql as 'begin return 4; end'`,
    )
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + CHECK_EVERY_MS)
    // The session that made the change may report it a moment after its end.
    const language = async () => {
      expect(await call()).toEqual([{ f: 4 }])
      return functions().peek(changed, 'f')?.[0]?.language
    }
    try {
      await expect.poll(language, { timeout: 4000, interval: 200 }).toBe('plpgsql')
    } finally {
      vi.restoreAllMocks()
    }
  })

  test('is compared within 15 s where it opens no session, as if its calls ran on replicas', async () => {
    const { pools } = gateway.gateway
    const [row] = await queryDatabase(changed, SCHEMA_VERSION)
    expect(functions().check(changed, row.version, 'known')).toBe(true)
    pools.renew(changed)
    await until(() => !pools.isOpen(changed))
    await queryDatabase(
      changed,
      `create or replace function f() returns int language plpgsql as 'begin return 6; end'`,
    )
    const byHand = new ChangesByHand(functions(), pools)
    const now = performance.now.bind(performance)
    const looksAfter = (ms: number) => {
      vi.spyOn(performance, 'now').mockImplementation(() => now() + ms)
      expect(functions().atOpening(changed)).toBeDefined()
      byHand.noticeCall(changed)
      return pools.isOpen(changed)
    }
    try {
      expect(looksAfter(6000)).toBe(false)
      expect(looksAfter(16_000)).toBe(true)
      await until(() => functions().schemaOf(changed) === undefined)
    } finally {
      vi.restoreAllMocks()
    }
  })

  test.runIf(inject('superuserUrl'))(
    'is read anew after a change by hand where its role may not read the mark',
    async () => {
      expect(await call()).toEqual([{ f: 6 }])
      await queryDatabase(
        changed,
        'revoke execute on function pg_stat_get_tuples_inserted(oid) from public',
        { asGateway: true, url: inject('superuserUrl')! },
      )
      await queryDatabase(
        changed,
        `create or replace function f() returns int language sql as 'select 5'`,
      )
      const now = performance.now.bind(performance)
      vi.spyOn(performance, 'now').mockImplementation(() => now() + 2 * CHECK_EVERY_MS)
      const language = async () => {
        expect((await gateway.call(other, 'f', [])).body.rows).toEqual([{ f: 5 }])
        return functions().peek(changed, 'f')?.[0]?.language
      }
      try {
        await expect.poll(language, { timeout: 4000, interval: 200 }).toBe('sql')
      } finally {
        vi.restoreAllMocks()
      }
    },
  )
})
