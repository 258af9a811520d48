import { describe, expect, test } from 'vitest'
import { findTools } from '../helpers/dumps.ts'
import { connectTo, type Json } from '../helpers/gateway.ts'
import { dropFormer, moveInSteps, replicatedWorld, tracesOf } from '../helpers/replicated-moves.ts'

// What others do to a database while it is moved by logical replication. PG_MAJOR=15 has pg_dump of Debian 12.

const hasTools = (await findTools()) !== undefined

const world = replicatedWorld({
  'types/mood.pssql': "create type mood as enum ('sad', 'ok');",
  'tables/t.pssql': `create table t (id serial primary key, n integer not null, mood mood);
    create table child (id integer primary key, t integer references t);
    create table parts (id integer not null, at integer not null, primary key (id, at)) partition by range (at);
    create table parts_1 partition of parts for values from (0) to (10);
    create table parts_2 partition of parts for values from (10) to (20);
    create table gate (id integer primary key);
    create sequence plain start 7;`,
  'functions/total.pssql': `create or replace function total() returns integer language sql stable
    as $$ select count(*)::integer from t $$`,
})

/** Runs SQL, each transaction of which ends with `;;`. */
async function asPlatform(text: string): Promise<void> {
  for (const one of text.split(';;'))
    await world.main.query(`set role ${world.role}; ${one}`, world.name)
}

const ROWS = `
  truncate t, child, parts;
  insert into t (n, mood) select i, 'ok' from generate_series(1, 300) i;
  insert into child select i, null from generate_series(1, 10) i;
  insert into parts select i, i from generate_series(0, 19) i`

const CONTENTS = `
  select (select md5(string_agg(t::text, ',' order by id)) from t) as t,
    (select md5(string_agg(c::text, ',' order by id)) from child c) as child,
    (select md5(string_agg(concat(p.tableoid::regclass, p), ',' order by id, at)) from parts p) as parts,
    (select last_value from t_id_seq) as serial, (select last_value from plain) as plain`

/**
 * Moves the tenant to eu1. `change` is made while a table is being copied, and `later` when all are copied.
 * @returns the answer
 */
async function moveWhile(change: string, later = ''): Promise<Json> {
  const { main, eu1, name, gateway } = world
  // There is no cutover as long as this session is there.
  const session = connectTo(name, 1, main.uri)
  await session`select`
  const seen = new Set<string>()
  const lines = await moveInSteps(gateway.url, world, 'eu1', async ({ step }) => {
    if (seen.has(step)) return
    seen.add(step)
    if (step === 'following') {
      const copy = connectTo(name, 1, eu1.uri)
      await copy.begin(async (sql) => {
        await sql`lock table gate in share mode`
        await asPlatform(change)
      })
      await copy.end()
    }
    if (step !== 'waiting') return
    if (later !== '') await asPlatform(later)
    await session.end()
  })
  await session.end()
  return lines.at(-1)
}

describe.runIf(hasTools)('a move by logical replication', () => {
  test.each([
    [
      'TRUNCATE',
      'truncate t, child; insert into t (n) values (1)',
      'truncate t restart identity cascade; insert into t (n) values (2), (3)',
    ],
    [
      'TRUNCATE of a partitioned table',
      'truncate parts; insert into parts values (3, 3)',
      'truncate parts; insert into parts values (4, 14)',
    ],
    [
      'many rows',
      `create temporary table one (n integer); insert into one select generate_series(1, 20000);
       insert into t (n, mood) select n, 'sad' from one`,
      'update t set n = n + 1; delete from t where id % 3 = 0',
    ],
    [
      'changed keys',
      'update t set id = id + 100000',
      'update t set id = id + 100000; delete from child',
    ],
    [
      'values of sequences',
      "select setval('plain', 100)",
      "select setval('plain', 40); select setval('t_id_seq', 5000000)",
    ],
    [
      'rows that go to other partitions',
      'update parts set at = (at + 10) % 20',
      'delete from parts where at > 15',
    ],
  ])(
    'has all of it: %s',
    async (_, change, later) => {
      const { main, eu1, name, gateway, tenant } = world
      await asPlatform(ROWS)
      const moved = await moveWhile(change, later)
      expect(moved).toMatchObject({ status: 'moved', how: 'replicate' })
      expect(await eu1.query(CONTENTS, name)).toEqual(await main.query(CONTENTS, moved.kept))
      expect(await tracesOf(world)).toEqual([])
      expect(await dropFormer(world, 'main')).toBe('dropped')
      const back = await gateway.post('/admin/move-tenant', { ...tenant, to: 'main', how: 'dump' })
      expect(back.body.status).toBe('moved')
      expect(await dropFormer(world, 'eu1')).toBe('dropped')
    },
    60_000,
  )

  test.each([
    [
      'a column that has rows',
      'alter table t add column more text; update t set more = id',
      'alter table t drop column more',
      'made, dropped or altered',
    ],
    ['a table', 'create table more (id integer primary key)', 'drop table more', 'made, dropped'],
    [
      'a table without a key',
      'create table bare (id integer)',
      'drop table bare',
      'made, dropped or altered',
    ],
    [
      'an unlogged table',
      'create unlogged table fast (id integer primary key)',
      'drop table fast',
      'unlogged tables or sequences (public.fast)',
    ],
    ['a large object', 'select lo_create(4711)', 'select lo_unlink(4711)', 'large objects (4711)'],
    ['a comment', "comment on table t is 'more'", 'comment on table t is null', 'pg_description'],
    [
      'default privileges',
      'alter default privileges grant select on tables to public',
      'alter default privileges revoke select on tables from public',
      'pg_default_acl',
    ],
    [
      'statistics',
      'create statistics more on id, n from t',
      'drop statistics more',
      'pg_statistic_ext',
    ],
    [
      'privileges',
      'grant select on t to public',
      'revoke select on t from public',
      'not what the source is',
    ],
    ['an index', 'create index more on t (n)', 'drop index more', 'not what the source is'],
    [
      'a sequence',
      'create sequence more',
      'drop sequence more',
      'the sequence public.more was made',
    ],
    [
      'a label of an enum',
      "alter type mood add value 'great';; insert into t (n, mood) values (1, 'great')",
      '',
      // The row comes with the first copy where the machine is busy.
      'the other server could not ',
    ],
  ])(
    'is undone, and says why: %s',
    async (_, change, undo, why) => {
      await asPlatform(ROWS)
      const refused = await moveWhile(change)
      expect(refused.error).toBe('move_refused')
      expect(refused.message).toContain(why)
      if (undo !== '') await asPlatform(undo)
      expect(await tracesOf(world)).toEqual([])
      expect(await world.eu1.databases()).not.toContain(world.name)
      const { body } = await world.gateway.call(world.platform, 'total', [], 'north')
      expect(body.rows[0].total).toBeGreaterThanOrEqual(300)
    },
    60_000,
  )
})
