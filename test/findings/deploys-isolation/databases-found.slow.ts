import { describe, expect, inject, test } from 'vitest'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

import { adminUrl, cleanups, ownerOf, query, start, WHO, who } from './setup.ts'

describe('F5: databases that the catalog does not know', () => {
  test('one of another gateway’s catalog is not adopted', async () => {
    const [one, two] = [
      await start({ DATABASE_URL: await adminUrl() }),
      await start({ DATABASE_URL: await adminUrl() }),
    ]
    const platform = uniqueName('p')
    const archive = await pack(WHO)
    expect((await one.register(platform, archive)).status).toBe(200)
    const { status, body } = await two.register(platform, archive)
    expect([status, body.error]).toEqual([409, 'name_conflict'])
    expect(body.message).toBe(`Database ${platform}_main belongs to the catalog of another gateway`)
    expect((await one.register(platform, archive)).status).toBe(200)
    expect(await who(one, platform)).toBe(`gw_${platform}`)
  })

  test('nor where both share the gateway’s role', async () => {
    const env = { ISOLATION: 'shared' }
    const [one, two] = [
      await start({ ...env, DATABASE_URL: await adminUrl() }),
      await start({ ...env, DATABASE_URL: await adminUrl() }),
    ]
    const platform = uniqueName('p')
    const archive = await pack(WHO)
    expect((await one.register(platform, archive)).status).toBe(200)
    expect((await two.register(platform, archive)).body).toMatchObject({ error: 'name_conflict' })
  })

  test('one whose catalog is no more is adopted once its owner says so', async () => {
    const lost = await adminUrl()
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const before = await start({ DATABASE_URL: lost })
    const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
    await before.register(platform, await pack(files))
    await before.stop()
    await query(parseDatabaseUrl(lost).database, 'delete from _db_gateway_databases')
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const refused = await gateway.register(platform, await pack(files))
    expect(refused.body.hint).toContain('comment on schema _db_gateway is null')
    await query(database, 'comment on schema _db_gateway is null')
    await query('postgres', `comment on role "gw_${platform}" is 'Database Gateway'`)
    const { body } = await gateway.register(platform, await pack(files))
    expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 0 })
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
  })
})

describe('C11: databases of the newer original gateways', () => {
  test('are taken over: what they recorded as applied does not run again', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    await query('postgres', `create database ${database} template template0`)
    await query(
      database,
      `create table _stonescriptdb_gateway_migrations (
         id serial primary key, migration_file text not null unique, checksum text not null,
         applied_at timestamptz default now());
       create table _stonescriptdb_gateway_functions (id serial primary key, name text);
       create table t (id int);
       insert into t values (1);
       insert into _stonescriptdb_gateway_migrations (migration_file, checksum)
       values ('0001_t.sql', 'of the text without comments')`,
    )
    const files = {
      ...WHO,
      'migrations/0001_t.sql': 'create table t (id int);',
      'migrations/0002_u.sql': 'create table u (id int);',
    }
    const { body } = await gateway.register(platform, await pack(files))
    expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 1 })
    expect(
      await query(database, 'select * from public._stonescriptdb_gateway_migrations'),
    ).toHaveLength(1)
    expect(await who(gateway, platform)).toBe(`gw_${platform}`)
  })
})

describe('F8: a restored database', () => {
  test.each(['an unchanged /register', 'a deploy'])('is mended by %s', async (how) => {
    const url = await adminUrl()
    const gateway = await start({ DATABASE_URL: url })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const files: Record<string, string> = {
      ...WHO,
      'migrations/0001_t.sql': 'create table t (id int)',
    }
    await gateway.register(platform, await pack(files))
    // As pg_restore --no-owner does it, as the gateway's role.
    await query('postgres', `alter database ${database} owner to current_user`)
    await query('postgres', `grant connect, temporary on database ${database} to public`)
    await query(database, 'alter table public.t owner to current_user')
    await query(database, 'alter function public.who() owner to current_user')
    if (how === 'a deploy') files['migrations/0002_u.sql'] = 'create table u (id int)'
    expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
      status: 'ready',
    })
    const [row] = await query('postgres', ownerOf(database))
    expect(row).toEqual({
      owner: `gw_${platform}`,
      acl: `{"gw_${platform}=CTc/gw_${platform}"}`.replaceAll('"', ''),
    })
    expect(
      await query(
        database,
        `select relowner::regrole::text as owner from pg_class where relname = 't'`,
      ),
    ).toMatchObject([{ owner: `gw_${platform}` }])
  })

  test('tables that are left to the gateway’s role are mended by a deploy, wherever the rest is right', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    const files = { ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }
    await gateway.register(platform, await pack(files))
    await query(database, 'alter table public.t owner to current_user')
    const more = { ...files, 'migrations/0002_u.sql': 'alter table t add column u int' }
    expect((await gateway.register(platform, await pack(more))).body).toMatchObject({
      status: 'ready',
      migrations_applied: 1,
    })
  })

  test('the rights of PUBLIC alone are mended, too', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    await gateway.register(platform, await pack(WHO))
    await query('postgres', `grant connect on database ${platform}_main to public`)
    expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    const [row] = await query('postgres', ownerOf(`${platform}_main`))
    expect(row.acl).toBe(`{gw_${platform}=CTc/gw_${platform}}`)
  })

  test.runIf(inject('superuserUrl'))('one of a superuser is told with what to run', async () => {
    const gateway = await start({ DATABASE_URL: await adminUrl() })
    const platform = uniqueName('p')
    const database = `${platform}_main`
    await gateway.register(platform, await pack(WHO))
    const asSuperuser = (text: string) => query('postgres', text, inject('superuserUrl'))
    await asSuperuser(`alter database ${database} owner to postgres`)
    const refused = await gateway.register(platform, await pack(WHO))
    expect([refused.status, refused.body.error]).toEqual([409, 'name_conflict'])
    const [statement] = /alter database [^,]* owner to "\w+"/.exec(refused.body.hint)!
    await asSuperuser(statement!)
    expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    expect(await query('postgres', ownerOf(database))).toMatchObject([{ owner: `gw_${platform}` }])
  })

  test.runIf(inject('superuserUrl'))(
    'one of a superuser is mended by a gateway that is one',
    async () => {
      const url = await adminUrl(inject('superuserUrl')!)
      const gateway = await start({ DATABASE_URL: url })
      const platform = uniqueName('p')
      const database = `${platform}_main`
      await gateway.register(
        platform,
        await pack({ ...WHO, 'migrations/0001_t.sql': 'create table t (id int)' }),
      )
      const root = uniqueName('root')
      const asSuperuser = (where: string, text: string) =>
        query(where, text, inject('superuserUrl'))
      await asSuperuser('postgres', `create role ${root} superuser`)
      cleanups.splice(-2, 0, () => asSuperuser('postgres', `drop role ${root}`))
      await asSuperuser('postgres', `alter database ${database} owner to ${root}`)
      for (const what of [
        'table public.t',
        'function public.who()',
        'table public._db_gateway_migrations',
        'table public._db_gateway_files',
        'schema _db_gateway',
        'table _db_gateway.key',
        'function _db_gateway.state()',
      ]) {
        await asSuperuser(database, `alter ${what} owner to ${root}`)
      }
      const files = {
        ...WHO,
        'migrations/0001_t.sql': 'create table t (id int)',
        'migrations/0002_u.sql': 'create table u (id int)',
      }
      const { body } = await gateway.register(platform, await pack(files))
      expect(body, JSON.stringify(body)).toMatchObject({ status: 'ready', migrations_applied: 1 })
      const owned = await asSuperuser(
        database,
        `select relname from pg_class where relowner = '${root}'::regrole
       union all select proname from pg_proc where proowner = '${root}'::regrole`,
      )
      expect(owned).toHaveLength(0)
    },
  )
})
