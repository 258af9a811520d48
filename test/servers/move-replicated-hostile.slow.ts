import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { findTools } from '../helpers/dumps.ts'
import { startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'

// What a platform's code may do to a move by logical replication. PG_MAJOR=15 has pg_dump of Debian 12.

const hasTools = (await findTools()) !== undefined

const FILES = {
  'tables/t.pssql': 'create table t (id integer primary key, n integer not null);',
  'functions/put.pssql': `create or replace function put(p_id integer) returns integer language sql
    as $$ insert into t values (p_id, 1) returning id $$`,
}
const platform = uniqueName('hostile')
const tenant = { platform, tenant_id: 'north' }
const name = `${platform}_north`
let main: AlikeServer
let eu1: AlikeServer
let gateway: TestGateway
let role: string
beforeAll(async () => {
  main = await startAlikeServer({ wal_level: 'logical' })
  eu1 = await startAlikeServer({ wal_level: 'logical' })
  // PostgreSQL 15 has no role that may subscribe.
  for (const server of [main, eu1]) await server.query('alter role gateway superuser')
  gateway = await startTestGateway({ DATABASE_URL: main.uri, SERVERS: `eu1=${eu1.uri}` })
  await gateway.register(platform, await pack(FILES), 'north')
  const [row] = await main.query(
    `select pg_get_userbyid(datdba) as role from pg_database where datname = '${name}'`,
  )
  role = row!.role as string
})
afterAll(async () => {
  await gateway?.stop()
  await main?.remove()
  await eu1?.remove()
})

const asPlatform = (text: string) => main.query(`set role ${role}; ${text}`, name)

/** From version 16 on replication writes as the owner of a table. */
const writesAsOwner = Number(process.env.PG_MAJOR || '18') >= 16

const move = () => gateway.post('/admin/move-tenant', { ...tenant, to: 'eu1', how: 'replicate' })

const isSuperuser = async () => {
  const [row] = await eu1.query(`select rolsuper from pg_roles where rolname = '${role}'`)
  // The role is made on the other server at the first move.
  return row?.rolsuper ?? false
}

const makeFunctions = () =>
  asPlatform(`
      create function public.rise(n integer) returns boolean language plpgsql as $f$
        begin
          if (select rolsuper from pg_roles where rolname = current_user) then
            execute 'alter role ${role} superuser';
          end if;
          return true;
        end $f$;
      create function public.fixed(n integer) returns boolean language sql immutable
        as $f$ select public.rise(n) $f$;
      create type public.pair as (a integer);
      create function public.distant(a text, b text) returns double precision language sql immutable
        as $f$ select 1 $f$;
      insert into t values (1, 1)`)

describe.runIf(hasTools && writesAsOwner)('a move by logical replication', () => {
  test('runs code of the platform as its own role', async () => {
    await makeFunctions()
    await asPlatform(`
      alter table t add constraint rise check (public.rise(n)),
        add constraint asks check (query_to_xml('select public.rise(1)', true, true, '') is not null),
        add column g boolean generated always as (public.fixed(n)) stored,
        alter n set default public.rise(1)::integer;
      create index i on t ((public.fixed(n))) where public.fixed(n);
      create domain d as integer check (public.rise(value));
      create table t2 (d d primary key);
      insert into t2 values (1)`)
    let isMoved = false
    const moving = move().finally(() => {
      isMoved = true
    })
    for (let id = 2; !isMoved; id++) await gateway.call(platform, 'put', [id], 'north')
    expect((await moving).body).toMatchObject({ status: 'moved', how: 'replicate' })
    expect(await isSuperuser()).toBe(false)
  }, 60_000)
})

describe.runIf(hasTools && !writesAsOwner)('a move by logical replication', () => {
  test('runs no code of the platform as the role of the gateway', async () => {
    await makeFunctions()
    const cases = [
      [
        'alter table t add constraint rise check (public.rise(n))',
        'alter table t drop constraint rise',
      ],
      [
        `alter table t add constraint asks check (query_to_xml('select public.rise(1)', true, true, '') is not null)`,
        'alter table t drop constraint asks',
      ],
      [
        'alter table t add column g boolean generated always as (public.fixed(n)) stored',
        'alter table t drop column g',
      ],
      [
        'alter table t alter n set default public.rise(1)::integer',
        'alter table t alter n drop default',
      ],
      ['create index i on t ((public.fixed(n)))', 'drop index i'],
      ['create index i on t (n) where public.fixed(n)', 'drop index i'],
      [
        'create domain d as integer check (public.rise(value)); create table t2 (d d primary key)',
        'drop table t2; drop domain d',
      ],
      ['create type r as range (subtype = text, subtype_diff = public.distant)', 'drop type r'],
    ] as const
    for (const [make, undo] of cases) {
      await asPlatform(make)
      const { body } = await move()
      expect([make, await isSuperuser(), body.error]).toEqual([make, false, 'move_refused'])
      await asPlatform(undo)
    }
    // While the slot waits for this transaction the source has been checked, and not been copied.
    const sql = postgres({ ...parseDatabaseUrl(main.uri), database: name, max: 1 })
    await sql.unsafe('begin; select pg_current_xact_id()')
    const moving = move()
    const waits = () => main.query("select from pg_stat_activity where query ~ 'create_logical'")
    await expect.poll(async () => (await waits()).length, { timeout: 10_000 }).toBeGreaterThan(1)
    await asPlatform(cases[0][0])
    await sql.end()
    expect((await moving).body.error).toBe('move_refused')
    expect(await isSuperuser()).toBe(false)
    await asPlatform(cases[0][1])
    await asPlatform(`
      alter table t add constraint plain check (lower(n::text) <> '' and n between -5 and 5 and n in (1, 2)),
        add column at timestamptz not null default now() check (at <= now() and at > date '2020-01-01'),
        add column key uuid default gen_random_uuid(), add column s serial,
        add column twice integer generated always as (n * 2) stored`)
    expect((await move()).body).toMatchObject({ status: 'moved', how: 'replicate' })
  }, 60_000)
})
