import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Answer,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { store } from '../helpers/stored.ts'

let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway()
})

afterAll(() => gateway.stop())

const BASE: Files = {
  'tables/notes.pgsql': 'create table notes (id integer primary key, text text, old text);',
  'seeders/notes.pgsql': `insert into notes (id, text) values (1, 'one'), (2, 'two');`,
  ...textFunction('ping', 'of before'),
}

/** A platform with one database of a stored schema. */
interface Shop {
  platform: string
  database: string
  /** Stores the archive and migrates to it. */
  migrate(files: Files, members?: object): Promise<Answer>
  call(name: string): Promise<Answer>
}

async function newShop(base: Files = BASE): Promise<Shop> {
  const platform = uniqueName('shop')
  const ids = { schema_name: 'Tenant-db', uuid: '6F-1a' }
  const { body } = await gateway.register(platform, await pack(base), undefined, ids)
  expect(body).toMatchObject({ status: 'ready', database: `${platform}_tenant_db_6f_1a` })
  return {
    platform,
    database: body.database,
    migrate: async (files, members = {}) => {
      await store(gateway, platform, ids.schema_name, files)
      return gateway.post('/v2/migrate', { platform, ...ids, uuid: '6f_1A', ...members })
    },
    call: (name) => gateway.post('/call', { platform, ...ids, function: name, params: [] }),
  }
}

describe('POST /v2/migrate', () => {
  it('brings a database to the stored schema and tells what it has', async () => {
    const shop = await newShop()
    const { status, body } = await shop.migrate({
      ...BASE,
      ...textFunction('ping', 'pong'),
      'tables/more.pgsql': 'create table more (id integer);',
      'types/mood.pgsql': `create type mood as enum ('good');`,
      'extensions/pgcrypto.sql': '',
      'migrations/001_more.pgsql':
        'alter table notes add column more integer; alter table notes alter text set not null;',
      'seeders/more.pgsql': 'insert into more values (1), (2), (3);',
    })
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        status: 'completed_with_warnings',
        platform: shop.platform,
        schema_name: 'Tenant-db',
        databases_updated: [shop.database],
        migrations_applied: 1,
        migrations_repaired: [],
        tables_created: 1,
        functions_updated: 1,
        functions_changed: 1,
        seeder_validations: [
          { table: 'more', expected: 3, found: 3 },
          { table: 'notes', expected: 2, found: 2 },
        ],
        schema_validation: {
          safe_changes: [
            expect.objectContaining({ table: 'more', change_type: 'CreateTable' }),
            {
              table: 'notes',
              change_type: 'AddColumn',
              column: 'more',
              from_type: null,
              to_type: 'integer',
              compatibility: 'safe',
              reason: null,
            },
          ],
          dataloss_changes: [],
          incompatible_changes: [
            expect.objectContaining({ change_type: 'SetNotNull', column: 'text' }),
          ],
        },
        verification: {
          passed: false,
          extensions_verified: true,
          types_verified: true,
          tables_verified: false,
          seeders_verified: true,
          error_log: 'notes.text: nullability, declared null, found not null',
        },
        checksum: expect.any(String),
        warnings: [],
        execution_time_ms: expect.any(Number),
      },
    })
    expect((await shop.call('ping')).body.rows).toEqual([{ ping: 'pong' }])
  })

  it('says how tables differ each time, also where the archive is in place', async () => {
    const shop = await newShop()
    const narrower = {
      ...BASE,
      'tables/notes.pgsql':
        'create table notes (id integer primary key, text varchar(20), old text, parent integer references notes);',
    }
    await queryDatabase(shop.database, 'alter table notes drop column old')
    for (const files of [BASE, BASE, narrower, narrower]) {
      const { body } = await shop.migrate(files)
      const lines = ['notes.old: missing_column, declared text, found nothing']
      if (files === narrower) {
        lines.push('notes.parent: missing_column, declared integer, found nothing')
        lines.push('notes.text: type, declared character varying(20), found text')
      }
      expect(body).toMatchObject({
        status: 'completed_with_warnings',
        verification: { passed: false, tables_verified: false, seeders_verified: true },
      })
      expect(body.verification.error_log.split('\n').sort()).toEqual(lines)
    }
    await queryDatabase(shop.database, 'alter table notes add column old text')
    const { body } = await shop.migrate(BASE)
    expect(body).toMatchObject({ status: 'completed', verification: { passed: true } })
  })

  it('says what is lacking, also where the archive is in place; or does not look', async () => {
    const shop = await newShop()
    await queryDatabase(shop.database, 'delete from notes where id = 2')
    const { body } = await shop.migrate(BASE)
    expect(body).toMatchObject({
      status: 'completed_with_warnings',
      migrations_applied: 0,
      seeder_validations: [{ table: 'notes', expected: 2, found: 1 }],
      verification: { seeders_verified: false, error_log: 'notes has 1 of 2 seeded rows' },
    })
    expect((await shop.migrate(BASE, { skip_verification: true })).body).toMatchObject({
      status: 'completed',
      seeder_validations: [],
      verification: null,
    })
  })

  it('drops no function: a vendor’s are deployed with the own ones, and then the own alone', async () => {
    const vendor = {
      ...textFunction('vendor_one', '1'),
      'functions/shared.pssql': `${Object.values(textFunction('shared', 'vendor'))} ${Object.values(textFunction('vendor_two', '2'))}`,
      'views/vendor.sql': 'create view vendor as select 1 as one;',
    }
    const own = { ...BASE, ...textFunction('shared', 'own') }
    const shop = await newShop()
    expect((await shop.migrate({ ...own, ...vendor })).body).toMatchObject({ warnings: [] })
    for (const round of ['first', 'second']) {
      const { status, body } = await shop.migrate({ ...own, ...textFunction('round', round) })
      expect({ status, body }).toMatchObject({
        status: 200,
        body: {
          status: 'completed',
          warnings: [
            'Functions that are no longer in any file of the archive were kept: public.vendor_one(), public.vendor_two()',
          ],
        },
      })
      expect((await shop.call('vendor_one')).body.rows).toEqual([{ vendor_one: '1' }])
      expect((await shop.call('vendor_two')).body.rows).toEqual([{ vendor_two: '2' }])
      expect((await shop.call('shared')).body.rows).toEqual([{ shared: 'own' }])
      expect(await queryDatabase(shop.database, 'select one from vendor')).toEqual([{ one: 1 }])
    }
    const { body } = await shop.migrate({ ...own, ...vendor })
    expect(body.warnings).toEqual([
      'Functions that are no longer in any file of the archive were kept: public.round()',
    ])
  })

  it('keeps other signatures of a function, and says so each time', async () => {
    const get = (type: string, more = '') => ({
      'functions/get.pgsql': `create or replace function get(a ${type}) returns ${type} language sql as 'select a'; ${more}`,
    })
    const find = (type: string) =>
      `create or replace function find(a ${type}) returns text language sql as 'select 1::text';`
    const before = get('integer', find('integer'))
    const shop = await newShop({ ...BASE, ...before })
    const stay = [
      'Functions that are no longer in any file of the archive were kept: public.find(integer), public.get(integer)',
    ]
    const after = { ...get('text'), 'functions/own.sql': find('text') }
    for (const round of ['first', 'second']) {
      const { status, body } = await shop.migrate({
        ...BASE,
        ...after,
        ...textFunction('round', round),
      })
      expect([status, body.warnings]).toEqual([200, stay])
      expect(await functionsIn(shop.database)).toEqual([
        'find(integer)',
        'find(text)',
        'get(integer)',
        'get(text)',
        'ping()',
        'round()',
      ])
    }
    await queryDatabase(shop.database, 'drop function find(integer), get(integer)')
    const dropped = await shop.migrate({ ...BASE, ...after, ...textFunction('round', 'third') })
    expect(dropped.body.warnings).toEqual([])
    const { body } = await shop.migrate({ ...BASE, ...before, ...textFunction('round', 'third') })
    expect(body.warnings).toEqual([
      expect.stringContaining('were kept: public.find(text), public.get(text)'),
    ])
  })

  it('says that a function with another result has taken the place of the one before', async () => {
    const get = (type: string) => ({
      'functions/get.pgsql': `create or replace function get(a integer) returns ${type} language sql as 'select a::${type}'`,
    })
    const shop = await newShop({ ...BASE, ...get('integer') })
    expect((await shop.migrate({ ...BASE, ...get('bigint') })).body.warnings).toEqual([
      'Function public.get(integer) was dropped and created again, because its result type or the names or defaults of its arguments changed',
    ])
    expect(await functionsIn(shop.database)).toEqual(['get(integer)', 'ping()'])
  })

  it('says what to do where a file means one of several signatures', async () => {
    const get = (type: string) => ({
      'functions/get.pgsql': `create or replace function get(a ${type}) returns ${type} language sql as 'select a'; comment on function get is 'one';`,
    })
    const shop = await newShop({ ...BASE, ...get('integer') })
    const { status, body } = await shop.migrate({ ...BASE, ...get('text') })
    expect({ status, body }).toMatchObject({
      status: 422,
      body: {
        error: 'function_deploy_failed',
        hint: expect.stringContaining('are kept: write the argument types'),
      },
    })
  })

  it('needs force for other losses', async () => {
    const shop = await newShop()
    const next = { ...BASE, 'migrations/001_none.pgsql': 'truncate notes' }
    const allow = ['drop_table', 'drop_column', 'modify_column_type']
    expect(await shop.migrate(next, { allow })).toMatchObject({
      status: 409,
      body: { error: 'data_loss', hint: 'Send "force": true, which allows all losses' },
    })
    expect(await shop.migrate(next, { force: true })).toMatchObject({ status: 200 })
  })

  it('names retry and repair as its members, and takes them', async () => {
    const shop = await newShop()
    const unique = (name: string) => ({
      ...BASE,
      'migrations/001_out.sql': `-- gateway: no-transaction
        create table if not exists ${name} (id integer);
        create unique index concurrently if not exists ${name}_old on notes (old);`,
    })
    await queryDatabase(shop.database, `update notes set old = 'same'`)
    const failed = await shop.migrate(unique('one'))
    expect(failed).toMatchObject({ status: 422, body: { error: 'migration_failed' } })
    for (const { body } of [failed, await shop.migrate(unique('one'))]) {
      expect(body.hint).toContain('again with "retry": true')
      expect(body.hint).toContain('send "repair": true')
      expect(body.hint).not.toContain('=true')
    }
    await queryDatabase(shop.database, 'update notes set old = id')
    expect((await shop.migrate(unique('one'), { retry: true })).body).toMatchObject({
      migrations_applied: 1,
      migrations_repaired: [],
    })
    const edited = await shop.migrate(unique('two'))
    expect(edited).toMatchObject({
      status: 409,
      body: {
        error: 'migration_checksum_mismatch',
        hint: expect.stringContaining('"repair": true'),
      },
    })
    const all = { platform: shop.platform, schema_name: 'Tenant-db' }
    const { body } = await gateway.post('/v2/migrate-all', all)
    expect(body.results).toMatchObject([{ failure: { hint: edited.body.hint } }])
    expect((await gateway.post('/v2/migrate-all', { ...all, repair: true })).body).toMatchObject({
      status: 'completed',
    })
    expect((await shop.migrate(unique('two'))).body).toMatchObject({ migrations_applied: 0 })
    expect((await shop.migrate(unique('three'), { repair: true })).body).toMatchObject({
      migrations_repaired: ['001_out.sql'],
    })
    expect(await shop.migrate(unique('three'), { repair: 'true' })).toMatchObject({ status: 400 })
  })

  it('deploys an archive of before as a whole', async () => {
    const shop = await newShop()
    await shop.migrate({ ...BASE, ...textFunction('ping', 'newer') })
    const { body } = await shop.migrate({
      ...BASE,
      'tables/late.sql': 'create table late (id int)',
    })
    expect(body).toMatchObject({ tables_created: 1, warnings: [] })
    expect((await shop.migrate(BASE)).body).toMatchObject({ status: 'completed', warnings: [] })
    expect((await shop.call('ping')).body.rows).toEqual([{ ping: 'of before' }])
  })

  it('takes database_id for a tenant of before, beside which schema_name says the archive', async () => {
    const platform = uniqueName('shop')
    await gateway.register(platform, await pack(BASE), 'Store-1')
    await store(gateway, platform, 'v1.0', { ...BASE, ...textFunction('ping', 'pong') })
    const ask = { platform, schema_name: 'v1.0', database_id: 'store_1' }
    expect((await gateway.post('/v2/migrate', ask)).body).toMatchObject({
      status: 'completed',
      schema_name: 'v1.0',
      databases_updated: [`${platform}_store_1`],
    })
    expect((await gateway.call(platform, 'ping', [], 'Store-1')).body.rows).toEqual([
      { ping: 'pong' },
    ])
  })

  it('warns of what lasts each time, until another archive is deployed', async () => {
    const shop = await newShop({
      ...BASE,
      ...textFunction('gone', 'x'),
      'types/mood.sql': `create type mood as enum ('good')`,
      'migrations/001_one.sql': 'alter table notes add column one text',
    })
    const next = { ...BASE, 'seeders/notes.pgsql': `${BASE['seeders/notes.pgsql']} select 1;` }
    const lasting = [
      'Functions that are no longer in any file of the archive were kept: public.gone()',
      'types/mood.sql is gone; its types stay',
      'Applied migrations that the archive does not have: 001_one.sql',
      'Seeder notes.pgsql has been edited since it ran; it does not run again',
    ]
    for (const functions_changed of [0, 0]) {
      const { body } = await shop.migrate(next)
      expect(body).toMatchObject({ functions_changed, warnings: lasting })
    }
    const all = { platform: shop.platform, schema_name: 'Tenant-db' }
    expect((await gateway.post('/v2/migrate-all', all)).body.warnings).toEqual(lasting)
    // A deploy of the same archive, since somebody has dropped the function by hand.
    await queryDatabase(shop.database, 'drop function gone()')
    for (let i = 0; i < 2; i++)
      expect((await shop.migrate(next)).body.warnings).toEqual(lasting.slice(1))
    const whole = {
      ...BASE,
      'types/mood.sql': `create type mood as enum ('good')`,
      'migrations/001_one.sql': 'alter table notes add column one text',
    }
    for (let i = 0; i < 2; i++) expect((await shop.migrate(whole)).body.warnings).toEqual([])
  })

  it('refuses what it cannot do', async () => {
    const { platform } = await newShop()
    await store(gateway, platform, 'tenant_db', BASE)
    const ask = async (members: object) => {
      const { status, body } = await gateway.post('/v2/migrate', { platform, ...members })
      return [status, body.error, body.message] as const
    }
    const known = { schema_name: 'tenant_db', uuid: '6f_1a' }
    expect(await ask({ ...known, uuid: 'nobody' })).toEqual([
      404,
      'database_not_found',
      expect.any(String),
    ])
    expect(await ask({ ...known, schema_name: 'other' })).toEqual([
      400,
      'invalid_request',
      `Platform ${platform} has no stored schema "other"; it has tenant_db`,
    ])
    expect(await ask({ ...known, platform: 'nobody' })).toEqual([
      400,
      'invalid_request',
      expect.any(String),
    ])
    expect(await ask({ uuid: '6f_1a' })).toEqual([400, 'invalid_request', expect.any(String)])
    expect(await ask({ ...known, allow: ['drop_all'] })).toEqual([
      400,
      'invalid_request',
      'allow takes drop_table, drop_column, modify_column_type, add_not_null_column, set_not_null; got "drop_all"',
    ])
    for (const word of ['constructor', 'toString', '__proto__']) {
      expect((await ask({ ...known, allow: [word] })).slice(0, 2)).toEqual([400, 'invalid_request'])
    }
    expect(await ask({ ...known, allow: 'drop_table' })).toEqual([
      400,
      'invalid_request',
      expect.any(String),
    ])
    expect(await ask({ ...known, cross_db_link: { a: 1 } })).toEqual([
      400,
      'invalid_request',
      'cross_db_link is not supported: the databases of a platform are kept apart. Leave it out',
    ])
    expect(await ask({ ...known, tenant_id: 'x' })).toEqual([
      400,
      'invalid_request',
      'Unknown member "tenant_id": this endpoint takes platform, schema_name, uuid, database_id, force, allow, retry, repair, skip_verification, cross_db_link',
    ])
  })
})

describe('POST /admin/database/create', () => {
  it('says nothing of going on where it fails: the database is gone again', async () => {
    const platform = uniqueName('shop')
    await gateway.post('/platform/register', { platform })
    await store(gateway, platform, 'tenant', {
      ...BASE,
      'migrations/001_out.sql': `-- gateway: no-transaction
        create table one (id integer);
        create index concurrently two on nobody (id);`,
    })
    const ask = { platform, schema_name: 'tenant', uuid: 'a' }
    for (let i = 0; i < 2; i++) {
      const { status, body } = await gateway.post('/admin/database/create', ask)
      expect([status, body.line, body.hint]).toEqual([422, 3, undefined])
    }
  })

  it('tells what seeders inserted, from files and from a template', async () => {
    const templated = await startTestGateway({ TEMPLATES: 'on' })
    const platform = uniqueName('shop')
    await templated.post('/platform/register', { platform })
    await store(templated, platform, 'tenant', {
      ...BASE,
      'seeders/roles.pgsql': `insert into notes (id) values (1), (2), (3) on conflict do nothing;
        insert into notes (id) select g from generate_series(10, 14) g;`,
      'tables/notes.pgsql': 'create table notes (id integer primary key, text text);',
    })
    let tenants = 0
    await eventually('a copy of the template', async () => {
      const uuid = `t${++tenants}`
      const ask = { platform, schema_name: 'tenant', uuid }
      const { status, body } = await templated.post('/admin/database/create', ask)
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { seeders: [{ table: 'notes', inserted: 2 + 1 + 5, skipped: 2 }] },
      })
      return (
        templated.logged.some(({ message }) => message.endsWith('from a template')) || undefined
      )
    })
    await templated.stop()
  })
})

describe('tokens of /v2/*', () => {
  const admin = { authorization: 'Bearer the-admin' }

  it.each([
    ['optional', 400],
    ['required', 401],
  ])('are %s', async (tokens, without) => {
    const guarded = await startTestGateway({ ADMIN_TOKEN: 'the-admin', PLATFORM_TOKENS: tokens })
    const platform = uniqueName('shop')
    await guarded.post('/platform/register', { platform }, admin)
    const given = await guarded.post('/admin/platform-token', { platform }, admin)
    const own = { authorization: `Bearer ${given.body.token}` }
    for (const path of ['/v2/migrate', '/v2/migrate-all']) {
      const ask = (headers: Record<string, string>) =>
        guarded.post(path, { platform, schema_name: 'tenant_db' }, headers)
      expect((await ask({})).status).toBe(without)
      expect((await ask({ authorization: 'Bearer another' })).status).toBe(403)
      // No such schema.
      expect((await ask(admin)).status).toBe(400)
      expect((await ask(own)).status).toBe(400)
    }
    await guarded.stop()
  })
})

/** The functions of a database's schema public, but for what is the gateway's. */
async function functionsIn(database: string): Promise<string[]> {
  const rows = await queryDatabase(
    database,
    `select oid::regprocedure::text as name from pg_proc
     where pronamespace = 'public'::regnamespace and proname !~ '^_db_gateway' order by 1`,
  )
  return rows.map(({ name }) => String(name))
}
