import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { startOneGateway } from '../../../helpers/for-file.ts'
import { type Answer, type Json, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'
import { shopFiles } from '../../../helpers/generations.ts'
import { type Files, pack } from '../../../helpers/platforms.ts'

const gateway = await startOneGateway()

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** As 2.x took it: without comments, blanks folded, lower-cased. */
const normalised = (text: string) =>
  sha256(
    text
      .replace(/--[^\n]*/g, '')
      .replace(/\s+/g, ' ')
      .trim()
      .toLowerCase(),
  )

const LEDGER = `(id serial primary key, migration_file text not null unique,
  checksum text not null, applied_at timestamptz default now())`

const TRACKING = `
  create table _stonescriptdb_gateway_functions (id serial primary key, function_name text);
  create table _stonescriptdb_gateway_types (id serial primary key, name text);
  create table _stonescriptdb_gateway_tables (id serial primary key, name text);
  create table _stonescriptdb_gateway_changelog (id serial primary key, object_name text);
  create function _stonescriptdb_gateway_drop_column(p_table text, p_column text, p_fn text)
    returns void language sql as 'select';`

/** A database as an original gateway left it: the files have run, and some migrations are recorded. */
async function originalDatabase(files: Files, sections: string[], after: string): Promise<string> {
  const platform = uniqueName('shop')
  const database = `${platform}_main`
  await queryDatabase(gateway.server.database, `create database ${database} strategy file_copy`)
  const texts = sections.flatMap((section) =>
    Object.keys(files)
      .filter((path) => path.startsWith(`${section}/`))
      .sort()
      .map((path) => `${files[path]};`),
  )
  await queryDatabase(database, `${texts.join('\n')}\n${after}`)
  return platform
}

function recorded(table: string, checksums: Record<string, string>): string {
  const rows = Object.entries(checksums).map(([name, checksum]) => `('${name}', '${checksum}')`)
  return `create table ${table} ${LEDGER};
    insert into ${table} (migration_file, checksum) values ${rows.join(', ')};`
}

async function deploy(platform: string, files: Files): Promise<Answer> {
  return gateway.register(platform, await pack(files))
}

/** The prices of the shop: two rows, whatever was deployed how often. */
async function expectTwoProducts(platform: string): Promise<void> {
  const { body } = await gateway.call(platform, 'list_products')
  expect(body.rows.map((row: Json) => row.o_price)).toEqual([1.5, 4])
}

describe('databases of the original gateways', () => {
  it('takes over one of 1.0: nothing runs again', async () => {
    const files = await shopFiles('1.0')
    const checksums = Object.fromEntries(
      ['001_products.pssql', '002_price.pssql'].map((name) => [
        name,
        sha256(files[`migrations/${name}`]!),
      ]),
    )
    const platform = await originalDatabase(
      files,
      ['migrations', 'functions', 'seeders'],
      recorded('_db_gateway_migrations', checksums),
    )
    const { status, body } = await deploy(platform, files)
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        migrations_applied: 0,
        seeders_applied: 0,
        tables_created: [],
        schema_validation: [],
      },
    })
    await expectTwoProducts(platform)
  })

  it('goes by the newer of two ledgers', async () => {
    const files = await shopFiles('1.0')
    const names = ['001_products.pssql', '002_price.pssql']
    const all = (checksum: string) => Object.fromEntries(names.map((name) => [name, checksum]))
    const platform = await originalDatabase(
      files,
      ['migrations', 'functions', 'seeders'],
      recorded('_db_gateway_migrations', all('of an older text')) +
        recorded('_stonescriptdb_gateway_migrations', all('of a newer text')),
    )
    const { status, body } = await deploy(platform, files)
    expect({ status, body }).toMatchObject({ status: 200, body: { migrations_applied: 0 } })
    await expectTwoProducts(platform)
  })

  it.each([
    ['1.1, with checksums of bytes', sha256],
    ['2.x, with checksums of a normalised text', normalised],
    ['a release whose checksums are others', (text: string) => `md5:${text.length}`],
  ])('takes over one of %s, and has checksums of its own then', async (_, checksumOf) => {
    const files = await shopFiles('2.x')
    const name = '001_price.pgsql'
    const platform = await originalDatabase(
      {
        ...files,
        'tables/products.pgsql': 'create table products (id serial primary key, name text)',
      },
      ['tables', 'migrations', 'functions', 'seeders'],
      TRACKING +
        recorded('_stonescriptdb_gateway_migrations', {
          [name]: checksumOf(files[`migrations/${name}`]!),
        }),
    )
    const { status, body } = await deploy(platform, files)
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { migrations_applied: 0, seeders_applied: 0 },
    })
    await expectTwoProducts(platform)
    const edited = await deploy(platform, {
      ...files,
      [`migrations/${name}`]: 'alter table products add column cost numeric;',
    })
    expect(edited.body).toMatchObject({ error: 'migration_checksum_mismatch' })
    const left = await queryDatabase(
      `${platform}_main`,
      'select count(*)::int as n from _stonescriptdb_gateway_migrations',
    )
    expect(left).toEqual([{ n: 1 }])
  })

  it.each([
    ['another extension', '001_price.pssql', () => 'of before'],
    ['another name, by the bytes', '2024_price.pssql', sha256],
  ])('knows a migration that was recorded under %s', async (_, name, checksumOf) => {
    const files = await shopFiles('2.x')
    const text = files['migrations/001_price.pgsql']!
    const platform = await originalDatabase(
      files,
      ['tables', 'functions', 'seeders'],
      TRACKING + recorded('_stonescriptdb_gateway_migrations', { [name]: checksumOf(text) }),
    )
    const { body } = await deploy(platform, files)
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 0, seeders_applied: 0 })
    expect(body.warnings).toContain(
      `Migration 001_price.pgsql was applied as ${name}; it did not run again`,
    )
    await expectTwoProducts(platform)
  })

  it('runs a migration whose normalised text another one of 2.x had', async () => {
    const first = 'create table settings (name text);'
    const old = "insert into settings values ('a');"
    const platform = await originalDatabase(
      { 'migrations/001_first.pgsql': first, 'migrations/002_old.pgsql': old },
      ['migrations'],
      TRACKING +
        recorded('_stonescriptdb_gateway_migrations', {
          '001_first.pgsql': normalised(first),
          '002_old.pgsql': normalised(old),
        }),
    )
    const { body } = await deploy(platform, {
      'migrations/001_first.pssql': first,
      'migrations/003_new.pgsql': "insert into settings values ('A');",
    })
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    const rows = await queryDatabase(`${platform}_main`, 'select name from settings order by 1')
    expect(rows.map(({ name }) => name).sort()).toEqual(['A', 'a'])
  })

  it('takes over one of 1.0 that has recorded no migration: its seeders do not run again', async () => {
    const files: Files = {
      'tables/roles.pssql': 'create table roles (name text)',
      'seeders/roles.pssql': "insert into roles values ('admin')",
    }
    const empty = `create table _db_gateway_migrations ${LEDGER}`
    const platform = await originalDatabase(files, ['tables', 'seeders'], empty)
    const { body } = await deploy(platform, files)
    expect(body).toMatchObject({ status: 'ready', seeders_applied: 0 })
    expect(body.warnings.join()).toContain('seeders/roles.pssql counts as run')
    const rows = await queryDatabase(`${platform}_main`, 'select name from roles')
    expect(rows).toEqual([{ name: 'admin' }])
  })

  it('takes no first deploy that failed halfway for one of the original: its seeders run', async () => {
    const platform = uniqueName('half')
    await gateway.post('/admin/create-tenant', { platform, tenant_id: 't' })
    const files: Files = {
      'migrations/001_roles.sql':
        "create table roles (name text); insert into roles values ('own')",
      'migrations/002_index.sql':
        '-- gateway: no-transaction\ncreate index concurrently on roles (name)',
      'seeders/roles.sql': "insert into roles values ('admin')",
      'functions/count_roles.sql':
        'create function count_roles() returns bigint language sql as $$ select nope $$',
    }
    const register = async (archive: Files) =>
      (await gateway.register(platform, await pack(archive), 't')).body
    expect(await register(files)).toMatchObject({ error: 'function_deploy_failed' })
    const mended = files['functions/count_roles.sql']!.replace('nope', 'count(*) from roles')
    const body = await register({ ...files, 'functions/count_roles.sql': mended })
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 0, seeders_applied: 1 })
    expect((await gateway.call(platform, 'count_roles', [], 't')).body.rows).toEqual([
      { count_roles: 2 },
    ])
  })

  it('knows a migration of a folder that was recorded without it, unless two have its name', async () => {
    const files: Files = {
      'migrations/core/001_roles.pgsql':
        "create table if not exists roles (name text); insert into roles values ('a')",
      'migrations/core/002_more.pgsql': "insert into roles values ('b')",
      'migrations/late/002_more.pgsql': "insert into roles values ('c')",
    }
    const platform = await originalDatabase(
      files,
      ['migrations/core'],
      TRACKING +
        recorded('_stonescriptdb_gateway_migrations', {
          '001_roles.pgsql': 'of before',
          '002_more.pgsql': 'of before',
        }),
    )
    const { body } = await deploy(platform, files)
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 2 })
    expect(body.warnings.join('\n')).toContain(
      'core/001_roles.pgsql was applied as 001_roles.pgsql',
    )
    const rows = await queryDatabase(`${platform}_main`, 'select name from roles')
    expect(rows.map(({ name }) => name).sort()).toEqual(['a', 'b', 'b', 'c'])
  })

  it('takes over one of 3.x that was made of tables/: its migrations find their work done', async () => {
    const files = await shopFiles('3.x')
    const platform = await originalDatabase(
      files,
      ['types', 'tables', 'functions', 'seeders', 'views'],
      TRACKING,
    )
    await queryDatabase(
      `${platform}_main`,
      `drop function list_products();
       create function list_products() returns table (o_id integer) language sql as 'select 1'`,
    )
    const { status, body } = await deploy(platform, {
      ...files,
      'functions/catalog/list_products.pgsql': files[
        'functions/catalog/list_products.pgsql'
      ]!.replace(/^DROP.*$/m, ''),
      'migrations/005_price.pgsql': 'ALTER TABLE products ADD COLUMN price NUMERIC(10, 2);',
    })
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        migrations_applied: 5,
        seeders_applied: 0,
        tables_created: [],
        schema_validation: [],
      },
    })
    await expectTwoProducts(platform)
    await gateway.register(platform, await pack(files))
    await gateway.register(platform, await pack(files), 'north')
    const { body: drift } = await gateway.get(`/admin/drift?platform=${platform}`)
    expect(drift).toMatchObject({ count: 2, alike: 2 })
    expect(await gateway.call(platform, '_stonescriptdb_gateway_drop_column')).toMatchObject({
      status: 404,
    })
  })

  it('runs a seeder whose table the original gateway left empty', async () => {
    const files = await shopFiles('3.x')
    const { 'views/open_orders.pgsql': _, ...rest } = files
    const platform = await originalDatabase(files, ['types', 'tables/catalog'], TRACKING)
    const { body } = await deploy(platform, rest)
    expect(body).toMatchObject({ status: 'ready', seeders_applied: 1, tables_created: ['orders'] })
    await expectTwoProducts(platform)
  })
})
