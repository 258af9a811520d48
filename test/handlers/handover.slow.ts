import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attack } from '../helpers/attacker.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { clinicFiles, pack } from '../helpers/platforms.ts'

const WHO = {
  'functions/who.sql': `create function who() returns text language sql as 'select current_user::text'`,
}

const MORE = {
  'functions/more.sql': `create function more() returns int language sql as 'select 1'`,
}

/** One of each kind of thing that has an owner. */
const EVERYTHING = `
  create schema "Odd schema";
  create table "Odd schema"."T" (id serial primary key, n int generated always as identity);
  create table parted (id int) partition by list (id);
  create table part partition of parted default;
  create sequence free;
  create view v as select 1 as one;
  create materialized view m as select 1 as one;
  create type mood as enum ('good');
  create type pair as (a int, b int);
  create type span as range (subtype = int4);
  create domain positive as int check (value > 0);
  create function plus(a pair, b int) returns int language sql as 'select a.a + b';
  create procedure nothing() language sql as '';
  create aggregate total(int) (sfunc = int4pl, stype = int);
  create operator <+> (function = plus, leftarg = pair, rightarg = int);
  create collation own from "C";
  create conversion c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
  create text search dictionary d (template = simple);
  create text search configuration c (copy = simple);
  create statistics s on id, n from "Odd schema"."T";
  create publication p;
  select lo_create(0);
`

let url: string
beforeAll(async () => {
  url = await createAdminDatabase()
})
afterAll(() => dropAdminDatabase(url))

async function withGateway<T>(
  env: Record<string, string>,
  work: (gateway: TestGateway) => Promise<T>,
): Promise<T> {
  const gateway = await startTestGateway({ DATABASE_URL: url, ...env })
  try {
    return await work(gateway)
  } finally {
    await gateway.stop()
  }
}

/** What each owner has in a database, but for what came with PostgreSQL or an extension. */
async function ownersOf(database: string): Promise<Record<string, string[]>> {
  const rows = await queryDatabase(
    database,
    `select owner, array_agg(distinct name order by name) as names from (
       select pg_get_userbyid(relowner) as owner, relname::text as name, oid from pg_class
       union all select pg_get_userbyid(proowner), proname, oid from pg_proc
       union all select pg_get_userbyid(typowner), typname, oid from pg_type
       union all select pg_get_userbyid(oprowner), oprname, oid from pg_operator
       union all select pg_get_userbyid(opfowner), opfname, oid from pg_opfamily
       union all select pg_get_userbyid(collowner), collname, oid from pg_collation
       union all select pg_get_userbyid(conowner), conname, oid from pg_conversion
       union all select pg_get_userbyid(dictowner), dictname, oid from pg_ts_dict
       union all select pg_get_userbyid(cfgowner), cfgname, oid from pg_ts_config
       union all select pg_get_userbyid(stxowner), stxname, oid from pg_statistic_ext
       union all select pg_get_userbyid(pubowner), pubname, oid from pg_publication
       union all select pg_get_userbyid(lomowner), 'large object', oid from pg_largeobject_metadata
       union all select pg_get_userbyid(nspowner), nspname, oid from pg_namespace
       union all select pg_get_userbyid(datdba), 'database', 99999 from pg_database
         where datname = current_database()
     ) as owned where oid >= 16384 and name !~ '^(pg_|_pg_)'
       -- Until PostgreSQL 17 it has an owner of its own, which means nothing: it goes with its range.
       and name !~ '_multirange$'
       -- The constructors of ranges are, from the start, those of the first superuser.
       and owner <> (select rolname from pg_roles where oid = 10) group by 1`,
  )
  return Object.fromEntries(rows.map(({ owner, names }) => [owner, names]))
}

describe('a server where platforms share the role of the gateway', () => {
  test('is told of at the start and by /health, and works', async () => {
    const platform = uniqueName('p')
    await withGateway({ ISOLATION: 'shared' }, async (gateway) => {
      expect((await gateway.get('/health')).body.isolation).toBe('shared-role')
      expect(gateway.logged).toContainEqual(
        expect.objectContaining({
          level: 'warn',
          isolation: 'shared-role',
          message: expect.stringMatching(/^ISOLATION is shared/),
        }),
      )
      expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
      const { body } = await gateway.call(platform, 'who')
      expect(body.rows).toEqual([{ who: gateway.server.user }])
    })
  })

  test('a role without CREATEROLE can be asked to share it', async () => {
    const role = uniqueName('plain')
    const admin = uniqueName('admin')
    await queryDatabase(
      'postgres',
      `create role ${role} login createdb password 'plain'; grant ${role} to current_user`,
    )
    await queryDatabase('postgres', `create database ${admin} owner ${role}`)
    const own = url
      .replace(/\/\/[^@]*@/, `//${role}:plain@`)
      .replace(/\/[^/?]*(\?|$)/, `/${admin}$1`)
    const platform = uniqueName('p')
    try {
      await withGateway({ DATABASE_URL: own, ISOLATION: 'shared' }, async (gateway) => {
        expect((await gateway.get('/health')).body.isolation).toBe('shared-role')
        expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
        expect((await gateway.call(platform, 'who')).body.rows).toEqual([{ who: role }])
      })
    } finally {
      for (const name of [`${platform}_main`, admin]) {
        await queryDatabase('postgres', `drop database if exists ${name}`)
      }
      await queryDatabase('postgres', `drop role ${role}`)
    }
  })
})

describe('a database that was made before its platform had a role', () => {
  const platform = uniqueName('p')
  const database = `${platform}_main`
  let files: Record<string, string>

  beforeAll(async () => {
    files = { ...(await clinicFiles()), ...WHO, 'migrations/9999_all.sql': EVERYTHING }
    await withGateway({ ISOLATION: 'shared' }, async (gateway) => {
      const { status, body } = await gateway.register(platform, await pack(files))
      expect(status, JSON.stringify(body)).toBe(200)
    })
  })

  test('is called as before until its next deploy, which hands it over: also an unchanged one', async () => {
    await withGateway({}, async (gateway) => {
      expect((await gateway.get('/health')).body.isolation).toBe('platform-roles')
      const who = async () => (await gateway.call(platform, 'who')).body.rows
      expect(await who()).toEqual([{ who: gateway.server.user }])
      const { body } = await gateway.register(platform, await pack(files))
      expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 0 })
      expect(await who()).toEqual([{ who: `gw_${platform}` }])
    })
  })

  test('everything in it is its role’s then, but for the ledger and `public`', async () => {
    const { [`gw_${platform}`]: given, ...others } = await ownersOf(database)
    expect(given).toEqual(
      expect.arrayContaining([
        ...['Odd schema', 'T', 'T_id_seq', 'T_n_seq', 'parted', 'part', 'free', 'v', 'm', 'mood'],
        ...['pair', 'span', 'positive', 'plus', 'nothing', 'total', '<+>', 'own', 'c', 'd', 's'],
        ...['p', 'large object', 'database', 'who'],
      ]),
    )
    const kept = Object.values(others).flat()
    const ledgers = ['state', 'write', 'key', 'key_pkey', '_key']
    const answers = ['answers', '_answers', 'answers_pkey', 'answers_expires_at']
    const functions = ['claim_answer', 'keep_answer', 'sweep_answers']
    const gateways = new Set([...ledgers, ...answers, ...functions])
    expect(kept.filter((name) => !/^_+db_gateway/.test(name) && !gateways.has(name))).toEqual([])
    const [row] = await queryDatabase(
      database,
      `select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = 'public'`,
    )
    expect(row.owner).not.toBe(`gw_${platform}`)
  })

  test('what is made without the secret meanwhile is handed over with it again', async () => {
    files['functions/later.sql'] = `create function later() returns int language sql as 'select 1'`
    await withGateway({ ISOLATION: 'shared' }, async (gateway) => {
      expect((await gateway.register(platform, await pack(files))).status).toBe(200)
      expect((await gateway.call(platform, 'who')).body.rows).toEqual([
        { who: gateway.server.user },
      ])
    })
    await withGateway({}, async (gateway) => {
      expect((await gateway.migrate(platform, await pack(files))).status).toBe(200)
      expect((await gateway.call(platform, 'who')).body.rows).toEqual([{ who: `gw_${platform}` }])
    })
    expect((await ownersOf(database))[`gw_${platform}`]).toContain('later')
  })

  test('what is temporary in another session of the gateway’s role is left to that session', async () => {
    const other = uniqueName('p')
    await withGateway({ ISOLATION: 'shared' }, async (shared) => {
      await shared.register(other, await pack(WHO))
    })
    const session = connectTo(`${other}_main`)
    await session.unsafe(`
      create temp table t (id serial, n int generated always as identity);
      create temp view v as select * from t;
      create temp sequence s;
      create type pg_temp.mood as enum ('good');
      create function pg_temp.f() returns int language sql as 'select 1';
    `)
    try {
      await withGateway({}, async (gateway) => {
        for (const files of [WHO, { ...WHO, ...MORE }]) {
          const { status, body } = await gateway.register(other, await pack(files))
          expect(status, JSON.stringify(body)).toBe(200)
        }
      })
      expect(await session`select pg_temp.f() as one, count(*)::int as rows from v`).toEqual([
        { one: 1, rows: 0 },
      ])
    } finally {
      await session.end()
    }
  })

  test('another gateway goes over to the role as soon as it hears of it', async () => {
    const other = uniqueName('p')
    await withGateway({ ISOLATION: 'shared' }, async (shared) => {
      await shared.register(other, await pack(WHO))
    })
    await withGateway({}, async (one) => {
      await withGateway({}, async (two) => {
        const who = async () => (await two.call(other, 'who')).body.rows[0].who
        expect(await who()).toBe(two.server.user)
        await one.register(other, await pack(WHO))
        await expect.poll(who, { timeout: 10_000 }).toBe(`gw_${other}`)
      })
    })
  })
})

describe('passwords of roles', () => {
  test('a role that gave itself another one gets its own back with the next /register', async () => {
    const platform = uniqueName('p')
    await withGateway({}, async (gateway) => {
      await gateway.register(platform, await pack(WHO))
      await attack(platform, `alter role current_user password 'mine'`, url)
      await queryDatabase(
        `${platform}_main`,
        `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gw_${platform}'`,
      )
      await expect
        .poll(async () => (await gateway.call(platform, 'who')).body, { timeout: 10_000 })
        .toMatchObject({ error: 'connection_failed' })
      expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
      expect((await gateway.call(platform, 'who')).status).toBe(200)
    })
  })

  test('a role of that name that no gateway made is left alone', async () => {
    const platform = uniqueName('p')
    await queryDatabase('postgres', `create role "gw_${platform}"`)
    try {
      await withGateway({}, async (gateway) => {
        const { status, body } = await gateway.register(platform, await pack(WHO))
        expect({ status, error: body.error }).toEqual({ status: 409, error: 'name_conflict' })
        expect(body.message).toContain(`gw_${platform}`)
      })
    } finally {
      await queryDatabase('postgres', `drop role "gw_${platform}"`)
    }
  })

  test('platforms whose names differ in case or are long have roles of their own', async () => {
    const base = uniqueName('Case')
    const long = `${base}${'x'.repeat(58 - base.length)}`
    await withGateway({}, async (gateway) => {
      await gateway.register(base, await pack(WHO), 'a')
      await gateway.register(base.toLowerCase(), await pack(WHO), 'b')
      await gateway.register(long, await pack(WHO))
      const who = async (platform: string, tenant?: string) =>
        (await gateway.call(platform, 'who', {}, tenant)).body.rows[0].who
      expect(await who(base, 'a')).toBe(`gw_${base}`)
      expect(await who(base.toLowerCase(), 'b')).toBe(`gw_${base.toLowerCase()}`)
      expect(await who(long)).toBe(`gw_${long}`)
    })
  })
})
