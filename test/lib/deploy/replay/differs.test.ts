import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startOneGateway } from '../../../helpers/for-file.ts'
import { becomePlatform, connectTo, uniqueName } from '../../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../../helpers/platforms.ts'
import { migrateFleet, newPlatform, replayedIn } from './setup.ts'

// What a replay must find, and what it must not leave behind.

const gateway = await startOneGateway({ TEMPLATES: 'off' })

const FIRST: Files = {
  'migrations/1_item.sql':
    'create table item (id int primary key, name text); create table other (id int);',
  ...textFunction('version', '1'),
}

const SECOND: Files = {
  ...FIRST,
  'migrations/2_step.sql': 'alter table item add column step int;',
  ...textFunction('version', '2'),
}

const platformOf = (tenants: string[], files = FIRST) => newPlatform(gateway, tenants, files)

const migrate = (platform: string, files: Files) => migrateFleet(gateway, platform, files)

/** Waits until a session waits for a lock on the relation, and returns what it runs. */
async function waiting(database: string, relation: string): Promise<string> {
  const sql = connectTo(database)
  try {
    await becomePlatform(sql)
    for (;;) {
      const [row] = await sql`
        select a.query from pg_locks l join pg_stat_activity a using (pid)
        where not l.granted and l.relation = ${relation}::regclass
      `
      if (row) return row.query
      await sleep(1)
    }
  } finally {
    await sql.end()
  }
}

test('the key of the ledger is not in sight of what the archive runs', async () => {
  const platform = await platformOf(['a'])
  const sql = connectTo(`${platform}_a`)
  await becomePlatform(sql)
  await sql.unsafe('begin; lock table item')
  const migrating = migrate(platform, SECOND)
  const seen = await waiting(`${platform}_a`, 'item')
  await sql`commit`
  await migrating
  await sql.end()
  expect(seen).toContain('check_function_bodies')
  expect(seen).not.toContain('_db_gateway.write')
})

test('a migration outside of a transaction is recorded', async () => {
  const platform = await platformOf(['a'])
  const { statuses } = await migrate(platform, {
    ...FIRST,
    'migrations/2_index.sql':
      '-- gateway: no-transaction\ncreate index if not exists names on item (name);',
  })
  expect(statuses).toEqual(['completed', 'completed'])
  const applied = await gateway.query(
    `${platform}_a`,
    'select migration_file, status from _db_gateway_migrations order by id',
  )
  expect(applied).toEqual([
    { migration_file: '1_item.sql', status: 'applied' },
    { migration_file: '2_index.sql', status: 'applied' },
  ])
})

test('a policy that was renamed by hand is made again', async () => {
  const policies = { 'policies/mine.sql': 'create policy mine on item using (id > 0);' }
  const platform = await platformOf(['a'], { ...FIRST, ...policies })
  await gateway.query(`${platform}_a`, 'alter policy mine on item rename to theirs')
  await migrate(platform, { ...SECOND, ...policies })
  const [row] = await gateway.query(
    `${platform}_a`,
    `select array_agg(polname::text order by polname) as names from pg_policy`,
  )
  expect(row!.names).toContain('mine')
})

test('a ledger that is locked for a moment', async () => {
  const platform = await platformOf(['a'])
  const sql = connectTo(`${platform}_a`)
  await sql.unsafe('begin; lock table _db_gateway_files')
  const migrating = migrate(platform, SECOND)
  await waiting(`${platform}_a`, '_db_gateway_files')
  await sleep(300)
  await sql`commit`
  await sql.end()
  const { statuses } = await migrating
  expect(statuses).toEqual(['completed', 'completed'])
})

test('a change by hand beside the deploy that is repeated', async () => {
  const platform = await platformOf(['a', 'b'])
  const sql = connectTo(`${platform}_main`)
  await becomePlatform(sql)
  await sql.unsafe('begin; alter table other alter id set default 7; lock table item')
  const migrating = migrate(platform, SECOND)
  await waiting(`${platform}_main`, 'item')
  await sql`commit`
  await sql.end()
  const { statuses } = await migrating
  expect(statuses).toEqual(['completed', 'completed', 'completed'])
  const printOf = async (name: string) => {
    const [row] = await gateway.query(
      `${platform}_${name}`,
      `select objects ->> 'print' as print from _db_gateway_files where name = 'state'`,
    )
    return row!.print
  }
  expect(await printOf('a')).not.toBe(await printOf('main'))
  expect(await printOf('b')).toBe(await printOf('a'))
})

test('a setting of the role', async () => {
  const files = { 'migrations/0_app.sql': 'create schema app;', ...FIRST }
  const platform = await platformOf(['a'], files)
  const next = await pack({ ...files, ...textFunction('fresh', '2') })
  await gateway.register(platform, next)
  const sql = connectTo(`${platform}_a`)
  await sql.unsafe(`alter role gw_${platform} set search_path = app, public`)
  gateway.logged.length = 0
  await gateway.register(platform, next, 'a')
  await sql.unsafe(`alter role gw_${platform} reset search_path`)
  await sql.end()
  expect(replayedIn(gateway, platform)).toEqual([])
})

test('a setting of another role, while a tenant is made, makes no difference', async () => {
  const platform = await platformOf([])
  const role = uniqueName('other')
  const sql = connectTo(`${platform}_main`)
  await sql.unsafe(`create role ${role}; alter role ${role} set work_mem = '5MB'`)
  await gateway.register(platform, await pack(FIRST), 'a')
  await sql.unsafe(`drop role ${role}`)
  await sql.end()
  expect(await migrate(platform, SECOND)).toMatchObject({ replayed: ['a'] })
})
