import { describe, expect, test } from 'vitest'
import { findPgTool } from '../../lib/postgres/pg-tools.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'

// Moves between servers of different major versions; pg_dump has to be as new as the later one.

const FILES = {
  'tables/t.pssql': `create table t (
      id serial primary key, n integer not null check (n >= 0), at timestamptz not null default now(),
      twice integer generated always as (n * 2) stored
    );
    create table parts (id integer not null, at integer not null, primary key (id, at)) partition by range (at);
    create table parts_1 partition of parts for values from (0) to (10);
    create index t_n on t (n);
    create view doubled as select id, twice from t;
    create materialized view totals as select count(*)::integer as n from t;`,
  'functions/put.pssql': `create or replace function put(p_n integer) returns integer language sql
    as $$ insert into t (n) values (p_n) returning id $$`,
  'functions/total.pssql': `create or replace function total() returns integer language sql stable
    as $$ select count(*)::integer from t $$`,
}

const has18 = (await findPgTool('pg_dump', 18)) !== undefined

/** BASE_TEMPLATE: of the providers of collations, version 15 has libc alone for the order of bytes. */
const TEMPLATE = `create database base template template0 encoding 'UTF8' locale_provider libc
  lc_collate 'C' lc_ctype 'C.UTF-8'`

describe.runIf(has18)('a tenant', () => {
  test.each([
    ['15', '18'],
    ['16', '17'],
    ['17', '18'],
  ])(
    'is moved by replication from PostgreSQL %s to %s while calls go on, and not back',
    async (from, to) => {
      const main = await startAlikeServer({ wal_level: 'logical' }, from)
      afterTest(() => main.remove())
      const eu1 = await startAlikeServer({ wal_level: 'logical' }, to)
      afterTest(() => eu1.remove())
      for (const server of [main, eu1]) {
        await server.query('alter role gateway superuser')
        await server.query(TEMPLATE)
      }
      const gateway = await startTestGateway({
        ...{ DATABASE_URL: main.uri, SERVERS: `eu1=${eu1.uri}`, BASE_TEMPLATE: 'base' },
      })
      afterTest(() => gateway.stop())
      const platform = uniqueName('majors')
      const tenant = { platform, tenant_id: 'north' }
      await gateway.register(platform, await pack(FILES), 'north')
      const move = async (more: object) =>
        (await gateway.post('/admin/move-tenant', { ...tenant, ...more })).body
      let isRunning = true
      const statuses = new Set<number>()
      let done = 0
      const calls = (async () => {
        for (; isRunning; done++)
          statuses.add((await gateway.call(platform, 'put', [done], 'north')).status)
      })()
      const moved = await move({ to: 'eu1', how: 'replicate' })
      isRunning = false
      await calls
      expect(moved).toMatchObject({ status: 'moved', how: 'replicate' })
      expect([...statuses]).toEqual([200])
      const { body } = await gateway.call(platform, 'total', [], 'north')
      expect(body.rows).toEqual([{ total: done }])
      const drop = { ...tenant, confirm: `${platform}_north`, server: 'main' }
      expect((await gateway.post('/admin/drop-tenant', drop)).body.status).toBe('dropped')
      const back = await move({ to: 'main', how: 'replicate' })
      expect(back.error).toBe('move_refused')
      expect(back.message).toContain(`main has PostgreSQL ${from}`)
    },
    120_000,
  )
})
