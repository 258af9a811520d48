import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { describe, expect, inject, test } from 'vitest'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { Secret } from '../../../lib/tenancy/secrets/secret.ts'
import { connectAs } from '../../helpers/attacker.ts'
import { databaseUrlOf, type Json, TEST_SECRET, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

import {
  adminUrl,
  cleanups,
  createRole,
  failure,
  OTHER_SECRET,
  query,
  start,
  WHO,
  who,
} from './setup.ts'

describe('F1: platforms have roles of their own unless somebody asks otherwise', () => {
  test('without a secret in the settings: one is made up, once for all gateways, and nobody else reads it', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    const reader = uniqueName('reader')
    await query('postgres', `create role ${reader}; grant ${reader} to current_user`)
    cleanups.push(() => query('postgres', `drop role ${reader}`))
    cleanups.push(() => query(database, `drop owned by ${reader}`))
    await query(database, `alter default privileges grant all on tables to public, ${reader}`)
    const platform = uniqueName('p')
    const env = { DATABASE_URL: url, GATEWAY_SECRET: '' }
    const [one, two] = await Promise.all([start(env), start(env)])

    expect((await one.get('/health')).body.isolation).toBe('platform-roles')
    expect((await one.register(platform, await pack(WHO))).status).toBe(200)
    expect(await who(one, platform)).toBe(`gw_${platform}`)
    expect(await who(two, platform)).toBe(`gw_${platform}`)
    const [row] = await query(
      database,
      `select count(distinct secret)::int as n,
         has_table_privilege('${reader}', '_db_gateway_secret', 'select') as reads,
         (select relacl::text from pg_class where relname = '_db_gateway_secret') as acl
       from _db_gateway_secret`,
    )
    expect(row).toMatchObject({ n: 1, reads: false })
    const later = await start(env)
    expect(await who(later, platform)).toBe(`gw_${platform}`)
  })

  test('a role without CREATEROLE does not start, and is told what to grant', async () => {
    const { role, urlOf } = await createRole('createdb')
    const admin = uniqueName('admin')
    await query('postgres', `create database ${admin} owner ${role}`)
    cleanups.push(() => query('postgres', `drop database ${admin}`))

    const message = await failure({ DATABASE_URL: urlOf(admin) })
    expect(message).toContain(`alter role ${role} createrole`.replace(role, `"${role}"`))
    expect(message).toContain('ISOLATION=shared')
    const shared = await start({ DATABASE_URL: urlOf(admin), ISOLATION: 'shared' })
    expect((await shared.get('/health')).body.isolation).toBe('shared-role')
  })
})

describe('F3: who may connect where', () => {
  test('a platform gets into no database that the gateway’s role owns but its own', async () => {
    const url = await adminUrl()
    const other = uniqueName('other')
    await query('postgres', `create database ${other}`)
    cleanups.push(() => query('postgres', `drop database ${other} with (force)`))
    const gateway = await start({ DATABASE_URL: url })
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(WHO))
    for (const database of [other, parseDatabaseUrl(url).database]) {
      const sql = connectAs(platform, database, url)
      const refused: Json = await sql`select 1`.then(String, (error) => error)
      await sql.end()
      expect(refused.code, database).toBe('42501')
    }
    const warnings = gateway.logged.filter(({ level }) => level === 'warn')
    expect(warnings).toContainEqual(
      expect.objectContaining({
        message: expect.stringMatching(
          /revoke connect on database "postgres" from public; .*revoke connect on database "template1" from public;/,
        ),
      }),
    )
  })
})

describe('F6: a catalog has one secret', () => {
  test('a gateway with another one does not start, and takes nobody’s password', async () => {
    const url = await adminUrl()
    const platform = uniqueName('p')
    const gateway = await start({ DATABASE_URL: url })
    await gateway.register(platform, await pack(WHO))
    const password = () =>
      inject('superuserUrl') &&
      query(
        'postgres',
        `select rolpassword from pg_authid where rolname = 'gw_${platform}'`,
        inject('superuserUrl'),
      )
    const before = await password()

    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: OTHER_SECRET })).toMatch(
      /^GATEWAY_SECRET is not the secret of this catalog: .*GATEWAY_SECRET_PREVIOUS/,
    )
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: '' })).toMatch(
      /^GATEWAY_SECRET is not set, but the catalog uses a secret/,
    )
    expect(await password()).toEqual(before)
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
  })

  test('a catalog of before takes the secret that its roles go by, and no other', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    const platform = uniqueName('p')
    const first = await start({ DATABASE_URL: url })
    await first.register(platform, await pack(WHO))
    await first.stop()
    const asBefore = async () => {
      const fingerprint = new Secret(TEST_SECRET).fingerprint
      await query(database, 'drop table if exists _db_gateway_catalog, _db_gateway_secret')
      await query(
        database,
        `comment on role "gw_${platform}" is 'Database Gateway, ${fingerprint}'`,
      )
    }
    await asBefore()
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: OTHER_SECRET })).toMatch(
      /not the secret/,
    )
    await asBefore()
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: '' })).toMatch(/not set/)
    await asBefore()
    const again = await start({ DATABASE_URL: url })
    expect(await who(again, platform)).toBe(`gw_${platform}`)
    const { body } = await again.register(
      platform,
      await pack({ ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }),
    )
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
  })

  test('it is changed while gateways with either run, without a failed call', async () => {
    const url = await adminUrl()
    const platforms = [uniqueName('p'), uniqueName('p')]
    // A connection of its own for each call: each logs in anew.
    const env = { DATABASE_URL: url, POOL_MAX_LIFETIME_SECS: '1', POOL_IDLE_TIMEOUT_SECS: '1' }
    const old = await start(env)
    for (const platform of platforms) await old.register(platform, await pack(WHO))
    const next = { ...env, GATEWAY_SECRET: OTHER_SECRET, GATEWAY_SECRET_PREVIOUS: TEST_SECRET }
    const one = await start(next)
    const two = await start(next)
    const failures: Json[] = []
    let isOver = false
    let running = [old, one, two]
    const load = Promise.all(
      platforms.map(async (platform) => {
        while (!isOver) {
          for (const gateway of running) {
            const answer = await gateway.call(platform, 'who')
            if (answer.status !== 200) failures.push(answer.body)
          }
          await sleep(100)
        }
      }),
    )
    const later = uniqueName('p')
    expect((await one.register(later, await pack(WHO))).status).toBe(200)
    expect(await who(old, later), 'the old secret is in force').toBe(`gw_${later}`)

    running = [one, two]
    await sleep(500)
    await old.stop()
    const fingerprint = async () =>
      (
        await query(
          parseDatabaseUrl(url).database,
          'select secret_fingerprint as f from _db_gateway_catalog',
        )
      )[0].f
    await expect
      .poll(fingerprint, { timeout: 60_000, interval: 200 })
      .toBe(new Secret(OTHER_SECRET).fingerprint)
    await sleep(3000)
    for (const gateway of [one, two]) {
      const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
      const { body } = await gateway.register(platforms[0]!, await pack(files))
      expect(body).toMatchObject({ status: 'ready' })
      expect((await gateway.register(uniqueName('p'), await pack(WHO))).status).toBe(200)
    }
    isOver = true
    await load
    expect(failures).toEqual([])

    expect(await failure(env)).toMatch(/not the secret/)
    const last = await start({ ...env, GATEWAY_SECRET: OTHER_SECRET })
    for (const platform of [...platforms, later])
      expect(await who(last, platform)).toBe(`gw_${platform}`)
    const files = { ...WHO, 'migrations/0001_u.sql': 'create table u (id int)' }
    expect((await last.register(later, await pack(files))).body).toMatchObject({ status: 'ready' })
  })

  test('one that was made up gives way to one in the settings', async () => {
    const url = await adminUrl()
    const platform = uniqueName('p')
    const made = await start({ DATABASE_URL: url, GATEWAY_SECRET: '' })
    await made.register(platform, await pack(WHO))
    await made.stop()
    const given = await start({ DATABASE_URL: url })
    const stored = () =>
      query(parseDatabaseUrl(url).database, 'select secret from _db_gateway_secret')
    await expect
      .poll(async () => (await stored()).length, { timeout: 60_000, interval: 200 })
      .toBe(0)
    expect(await who(given, platform)).toBe(`gw_${platform}`)
    expect(await failure({ DATABASE_URL: url, GATEWAY_SECRET: '' })).toMatch(/not set/)
  })

  test('a copy of a catalog beside it is told from it', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    const first = await start({ DATABASE_URL: url })
    await first.stop()
    const copy = uniqueName('copy')
    await query('postgres', `create database ${copy} template ${database}`)
    cleanups.push(() => query('postgres', `drop database if exists ${copy}`))
    const copied = { DATABASE_URL: databaseUrlOf(copy) }
    expect(await failure(copied)).toContain(
      `The catalog is a copy of the one in the database ${database} on the same server`,
    )
    await query('postgres', `alter database ${database} rename to ${database}_x`)
    expect(await failure({ DATABASE_URL: databaseUrlOf(`${database}_x`) })).toBe('started')
    await query('postgres', `alter database ${database}_x rename to ${database}`)
    await query(copy, 'update _db_gateway_catalog set home = null')
    expect(await failure(copied)).toBe('started')
  })

  test('two catalogs on one server never touch each other’s roles', async () => {
    const [one, two] = [
      await start({ DATABASE_URL: await adminUrl() }),
      await start({ DATABASE_URL: await adminUrl() }),
    ]
    const platform = uniqueName('p')
    expect((await one.register(platform, await pack(WHO), 'a')).status).toBe(200)
    const { status, body } = await two.register(platform, await pack(WHO), 'b')
    expect([status, body.error]).toEqual([409, 'name_conflict'])
    expect(body.message).toContain(
      `gw_${platform} on the server that belongs to the catalog of another gateway`,
    )
    expect((await one.call(platform, 'who', {}, 'a')).status).toBe(200)
  })
})

describe('F7: a role with CREATEDB and CREATEROLE, and …/postgres', () => {
  test('the gateway makes a database of its own for the catalog', async () => {
    const { role, urlOf } = await createRole('createdb createrole')
    const env = { DATABASE_URL: urlOf('postgres'), GATEWAY_SECRET: '' }
    const platform = uniqueName('p')
    cleanups.push(async () => {
      for (const database of [`${platform}_main`, 'db_gateway']) {
        await query('postgres', `drop database if exists ${database}`, urlOf('postgres'))
      }
      await query('postgres', `drop role if exists "gw_${platform}"`, urlOf('postgres'))
    })
    const gateways = await Promise.all([start(env), start(env)])
    expect(gateways[0]!.gateway.server.database).toBe('db_gateway')
    expect((await gateways[0]!.register(platform, await pack(WHO))).status).toBe(200)
    expect(await who(gateways[1]!, platform)).toBe(`gw_${platform}`)
    const [row] = await query(
      'postgres',
      `select pg_get_userbyid(datdba) as owner, datacl::text as acl from pg_database where datname = 'db_gateway'`,
    )
    expect(row.owner).toBe(role)
    expect(row.acl).not.toMatch(/[{,]=[^/]*c/)
    const again = await start(env)
    expect(await who(again, platform)).toBe(`gw_${platform}`)
  })

  test('a database where it may not create tables is told with the grant that is missing', async () => {
    const { role, urlOf } = await createRole('createdb createrole')
    const foreign = uniqueName('foreign')
    await query('postgres', `create database ${foreign}`)
    cleanups.push(() => query('postgres', `drop database ${foreign}`))
    await query('postgres', `grant connect on database ${foreign} to ${role}`)
    expect(await failure({ DATABASE_URL: urlOf(foreign) })).toContain(
      `grant create on schema public to "${role}"`,
    )
  })
})

describe('C12: new databases', () => {
  test('are made while a session is held in template1', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const server = parseDatabaseUrl(inject('databaseUrl'))
    const holder = postgres({ ...server, database: 'template1', max: 1 })
    cleanups.push(() => holder.end())
    await holder`select 1`
    const started = performance.now()
    const { status } = await gateway.register(uniqueName('p'), await pack(WHO))
    expect(status).toBe(200)
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test('come from BASE_TEMPLATE, and a start names one that is not there', async () => {
    const base = uniqueName('base')
    await query('postgres', `create database ${base}`)
    cleanups.push(() => query('postgres', `drop database ${base}`))
    await query(base, 'create table public.from_base ()')
    const url = await adminUrl()
    const gateway = await start({ DATABASE_URL: url, BASE_TEMPLATE: base })
    const platform = uniqueName('p')
    expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    expect(
      await query(`${platform}_main`, `select to_regclass('public.from_base')::text as t`),
    ).toMatchObject([{ t: 'from_base' }])
    expect(await failure({ DATABASE_URL: url, BASE_TEMPLATE: 'no such' })).toBe(
      'BASE_TEMPLATE: the database no such does not exist',
    )
  })
})

describe('an older gateway', () => {
  test('does not start on a newer catalog, and changes nothing of it', async () => {
    const url = await adminUrl()
    const { database } = parseDatabaseUrl(url)
    await (await start({ DATABASE_URL: url })).stop()
    await query(database, 'update _db_gateway_catalog set version = 1000')
    expect(await failure({ DATABASE_URL: url })).toMatch(
      /^The catalog has version 1000, set by a newer gateway; this gateway supports up to version \d+/,
    )
    expect(await query(database, 'select version from _db_gateway_catalog')).toMatchObject([
      { version: 1000 },
    ])
  })
})
