import { afterAll, beforeAll, expect, test } from 'vitest'
import { digestOf, keyOf } from '../../lib/deploy/ledger/key.ts'
import { Secret } from '../../lib/tenancy/secrets/secret.ts'
import {
  queryDatabase,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'

// The ledger: one table of files, one write a deploy, keys that are good once.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const FILES: Files = {
  'types/mood.pssql': `create type mood as enum ('glad', 'sad');`,
  'migrations/001_base.pssql': 'create table item (id int);',
  'views/items.pssql': 'create view items as select * from item;',
  'seeders/item.pssql': 'insert into item values (1);',
  ...textFunction('motto', 'first'),
}

const asGateway = (database: string, text: string) =>
  queryDatabase(database, text, { asGateway: true })

const FIRST_VERSION = `
  drop view public._db_gateway_seeders;
  create table public._db_gateway_types (file text primary key, checksum text not null);
  create table public._db_gateway_functions (
    file text primary key, checksum text not null, functions text[] not null default '{}');
  create table public._db_gateway_views (
    file text primary key, checksum text not null, views text[] not null default '{}');
  create table public._db_gateway_seeders (file text primary key, checksum text not null);
  insert into public._db_gateway_types
    select name, checksum from public._db_gateway_files where section = 'types';
  insert into public._db_gateway_functions
    select name, checksum, array(select o ->> 'identity' from jsonb_array_elements(objects) o)
    from public._db_gateway_files where section = 'functions';
  insert into public._db_gateway_views
    select name, checksum, array(select o ->> 'identity' from jsonb_array_elements(objects) o)
    from public._db_gateway_files where section = 'views';
  insert into public._db_gateway_seeders
    select name, checksum from public._db_gateway_files where section = 'seeders';
  drop table public._db_gateway_files;
  drop schema _db_gateway cascade;
`

test('the tables of the first version are carried over: nothing runs again', async () => {
  const platform = uniqueName('ledger')
  const database = `${platform}_main`
  await gateway.register(platform, await pack(FILES))
  await asGateway(database, FIRST_VERSION)
  const more: Files = { ...FILES, 'migrations/002_more.pssql': 'create table more (id int);' }
  const { body } = await gateway.register(platform, await pack(more))
  expect(body).toMatchObject({
    status: 'ready',
    migrations_applied: 1,
    functions_changed: 0,
    functions_deployed: 1,
    seeders_applied: 0,
  })
  expect(await asGateway(database, 'select * from item')).toHaveLength(1)
  const rows = await asGateway(
    database,
    `select section, name, jsonb_path_query_array(objects, '$.identity') as made
     from public._db_gateway_files where section <> 'standing' order by section`,
  )
  expect(rows).toEqual([
    { section: 'functions', name: 'motto.pssql', made: ['public.motto()'] },
    { section: 'seeders', name: 'item.pssql', made: [] },
    { section: 'types', name: 'mood.pssql', made: [] },
    { section: 'views', name: 'items.pssql', made: ['public.items'] },
  ])
  // What is gone from the archive goes from the database: the ledger knows where it came from.
  const { 'functions/motto.pssql': _, ...less } = more
  await gateway.register(
    platform,
    await pack({ ...less, ...textFunction('other', 'x') }),
    undefined,
    {
      allow: 'functions_missing',
    },
  )
  expect((await gateway.call(platform, 'motto')).status).toBe(404)
})

test('F4: a key that PostgreSQL has logged is of no use for another write', async () => {
  const platform = uniqueName('ledger')
  const database = `${platform}_main`
  await gateway.register(platform, await pack(FILES))
  const [{ number, digest }] = await queryDatabase(database, 'select * from _db_gateway.state()')
  const key = new Secret(TEST_SECRET).ledgerKeyOf(database)
  expect(digest).toBe(digestOf(key, Number(number)))
  const write = (changes: object) =>
    queryDatabase(
      database,
      `select _db_gateway.write('${keyOf(key, Number(number))}',
         '${digestOf(key, Number(number) + 1)}', '${JSON.stringify(changes)}')`,
    )
  await write({ files: [{ section: 'seeders', name: 'a.sql', checksum: 'x', objects: [] }] })
  await expect(write({ gone: [{ section: 'seeders', name: 'a.sql' }] })).rejects.toThrow(
    /is the gateway's to write/,
  )
  // The gateway goes on from there.
  const more: Files = { ...FILES, 'migrations/002_more.pssql': 'create table more (id int);' }
  expect((await gateway.register(platform, await pack(more))).body).toMatchObject({
    status: 'ready',
    migrations_applied: 1,
  })
})

test('a ledger that is made anew has the columns of every other, in their order', async () => {
  const platform = uniqueName('ledger')
  for (const tenant of ['north', 'south'])
    await gateway.register(platform, await pack(FILES), tenant)
  await asGateway('postgres', `alter database ${platform}_north owner to current_user`)
  await gateway.migrate(platform, await pack({ ...FILES, ...textFunction('motto', 'second') }))
  // The gateway's own functions and verdicts are kept by a print of all columns.
  const columns = (tenant: string) =>
    asGateway(
      `${platform}_${tenant}`,
      `select c.oid::regclass::text as table, a.attnum, a.attname, pg_get_expr(d.adbin, d.adrelid) as value
       from pg_class c
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
       left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
       where c.relkind = 'r' and c.relname ~ '^_db_gateway' or c.relnamespace = '_db_gateway'::regnamespace
       order by 1, 2`,
    )
  expect(await columns('north')).toEqual(await columns('south'))
})

test.each(['files', 'migrations', 'deployments'])(
  'a ledger without its table of %s is told, with what to do',
  async (table) => {
    const platform = uniqueName('ledger')
    await gateway.register(platform, await pack(FILES))
    await asGateway(`${platform}_main`, `drop table public._db_gateway_${table} cascade`)
    const next = { ...FILES, ...textFunction('motto', 'second') }
    expect(await gateway.register(platform, await pack(next))).toMatchObject({
      status: 409,
      body: {
        message: `The ledger of ${platform}_main lacks its table public._db_gateway_${table}`,
        hint: expect.stringMatching('from a backup'),
      },
    })
  },
)
