import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from 'postgres'
import { expect, test } from 'vitest'
import { startOneGateway } from '../../../helpers/for-file.ts'
import {
  becomePlatform,
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../../helpers/platforms.ts'
import { migrateFleet, newPlatform, replayedIn } from './setup.ts'

// Of a fleet the first database is deployed to as a whole; those in the same state get what it got.

const gateway = await startOneGateway()

/** Each release adds a column, and changes the view and both functions. */
function release(version: number, more: Files = {}): Files {
  const files: Files = {
    'migrations/1_item.sql': 'create table item (id int primary key, name text);',
    'views/names.sql': `create or replace view names as select name from item where id > ${version};`,
    'functions/count_items.sql': `
      create or replace function count_items() returns bigint language plpgsql as $$
      begin return (select count(*) from item) + ${version}; end $$;`,
    ...textFunction('version', `${version}`),
    ...textFunction('still', 'as it was'),
    ...more,
  }
  for (let i = 2; i <= version; i++) {
    files[`migrations/${i}_step.sql`] = `alter table item add column step_${i} int default ${i};`
  }
  return files
}

/** A platform whose databases, the main one and those of tenants, have the first release. */
const platformOf = (tenants: string[]) => newPlatform(gateway, tenants, release(1))

const migrate = (platform: string, files: Files) => migrateFleet(gateway, platform, files)

async function versionsIn(platform: string, tenants: string[]): Promise<string[]> {
  const answers = await Promise.all(
    tenants.map((tenant) => gateway.call(platform, 'version', {}, tenant)),
  )
  return answers.map(({ body }) => JSON.stringify(body.rows))
}

test('databases in the same state get what the first one got', async () => {
  const platform = await platformOf(['a', 'b'])
  const { body, replayed } = await migrate(platform, release(2))
  const [main, ...others] = body.results
  const withoutOwn = ({ database: _, execution_time_ms: __, ...rest }: Json) => rest
  expect(main).toMatchObject({ status: 'completed', migrations_applied: 1 })
  for (const other of others) expect(withoutOwn(other)).toEqual(withoutOwn(main))
  expect(replayed).toEqual(['a', 'b'])

  // The state that a replay leaves is known as well.
  const next = await migrate(platform, release(3))
  expect(next.replayed).toEqual(['a', 'b'])
  const ledgerOf = (name: string) =>
    gateway.query(
      `${platform}_${name}`,
      `select json_agg(json_build_array(section, name, checksum, objects) order by section, name)
         filter (where section <> 'standing') as files,
         (select json_agg(json_build_array(migration_file, checksum, status) order by id)
          from _db_gateway_migrations) as migrations,
         (select array_agg(functions_changed order by id) from _db_gateway_deployments) as changed
       from _db_gateway_files`,
    )
  expect(await ledgerOf('a')).toEqual(await ledgerOf('main'))
  // What a replay left is in place, by the digest of the catalogs too.
  const again = await gateway.register(platform, await pack(release(3)), 'a')
  expect(again.body).toMatchObject({ status: 'ready', functions_changed: 0, migrations_applied: 0 })
  expect(await migrate(platform, release(3))).toMatchObject({ replayed: [] })
  const { body: history } = await gateway.get(`/admin/deployments?platform=${platform}`)
  expect(JSON.stringify(history)).toContain(`${platform}_a`)
})

test('a database that differs in anything is deployed to as a whole', async () => {
  const differences: Record<string, string> = {
    fn: `create or replace function still() returns text language sql as $$ select 'by hand' $$`,
    newfn: `create function by_hand() returns int language sql as 'select 1'`,
    col: 'alter table item alter column name set not null',
    def: `alter table item alter column name set default 'x'`,
    idx: 'create index on item (name)',
    path: 'alter database :database set search_path = public, pg_catalog',
    row: `update _db_gateway_migrations set checksum = 'other'`,
  }
  const tenants = [...Object.keys(differences), 'same']
  const platform = await platformOf(tenants)
  for (const [tenant, text] of Object.entries(differences)) {
    const database = `${platform}_${tenant}`
    const asGateway = tenant === 'row'
    await queryDatabase(database, text.replace(':database', database), { asGateway })
  }
  const { body, replayed } = await migrate(platform, release(2))
  expect(replayed).toEqual(['same'])
  const of = (tenant: string) =>
    body.results.find((one: Json) => one.database === `${platform}_${tenant}`)
  // The function that was changed by hand is made again.
  expect(of('fn')).toMatchObject({ functions_changed: 3 })
  expect(of('same')).toMatchObject({ functions_changed: 2 })
  expect(of('row')).toMatchObject({ status: 'failed' })
  const done = tenants.filter((tenant) => tenant !== 'row')
  const versions = await versionsIn(platform, done)
  expect(versions).toEqual(done.map(() => versions.at(-1)))
  // They are known as they are now: the next release is a replay where two of them are alike.
  const next = await migrate(platform, release(3))
  expect(next.replayed).toEqual(expect.arrayContaining(['fn', 'same']))
  expect(next.replayed).not.toContain('newfn')
})

test('rows that the first database had not', async () => {
  const platform = await platformOf(['a', 'rows', 'z'])
  await gateway.query(`${platform}_rows`, `insert into item values (1, 'one')`)
  const files = release(1, {
    'migrations/2_must.sql': 'alter table item add column must int not null;',
  })
  const { body, replayed } = await migrate(platform, files)
  // Which of the two compares the print, and ends first, is left to chance.
  expect(replayed.toSorted()).toEqual(['a', 'z'])
  const failed = { file: 'migrations/2_must.sql', line: 1 }
  expect(body.results[2]).toMatchObject({ status: 'failed', error: failed })
  // What rows decide is asked in each database.
  const drops = await migrate(
    platform,
    release(1, { 'migrations/2_drop.sql': 'alter table item drop column name;' }),
  )
  expect(drops.replayed).toEqual([])
})

test('a lock, another deploy, temporary tables and a change meanwhile', async () => {
  const platform = await platformOf(['a', 'deploy', 'lock', 'meanwhile', 'temp'])
  const sessions = await Promise.all(
    ['deploy', 'lock', 'meanwhile', 'temp'].map(async (tenant) => {
      const sql = connectTo(`${platform}_${tenant}`)
      await becomePlatform(sql)
      return sql
    }),
  )
  const [deploy, lock, meanwhile, temp] = sessions as [Sql, Sql, Sql, Sql]
  await deploy`select pg_advisory_lock(hashtext('_db_gateway_deploy'))`
  await lock.unsafe('begin; lock table item')
  await temp.unsafe('create temporary table item (id int)')
  await meanwhile.unsafe(`begin; lock table item;
    create function by_hand() returns int language sql as 'select 1'`)
  const migrating = migrate(platform, release(2))
  const waitsIn = async (sql: Sql) => {
    const [row] = await sql`select exists (
      select from pg_locks where not granted and relation = 'item'::regclass
    ) as waits`
    return row!.waits
  }
  while (!(await waitsIn(meanwhile))) await sleep(1)
  await meanwhile`commit`
  while (!(await waitsIn(lock))) await sleep(1)
  await lock`commit`
  await deploy`select pg_advisory_unlock_all()`
  const { statuses, replayed } = await migrating
  expect(statuses).toEqual(Array(6).fill('completed'))
  expect(replayed).toContain('a')
  expect(replayed).not.toContain('deploy')
  expect(replayed).not.toContain('temp')
  await Promise.all(sessions.map((sql) => sql.end()))

  // The change that was made meanwhile is not taken for a part of the release.
  const next = await migrate(platform, release(3))
  expect(next.statuses).toEqual(Array(6).fill('completed'))
  expect(next.replayed).toEqual(expect.arrayContaining(['a', 'deploy']))
  expect(next.replayed).not.toContain('meanwhile')
}, 30_000)

test('the session of a replay serves the next one, unless its settings are no longer the database’s', async () => {
  const platform = await platformOf(['a', 'set'])
  await migrate(platform, release(2))
  const sessions = () =>
    gateway.query(
      `${platform}_main`,
      `select datname as name, pid from pg_stat_activity
       where datname in ('${platform}_a', '${platform}_set') order by datname`,
    )
  const [a, set, ...more] = await sessions()
  expect([a?.name, set?.name, more]).toEqual([`${platform}_a`, `${platform}_set`, []])
  const database = `${platform}_set`
  await queryDatabase(database, `alter database ${database} set search_path = public, pg_catalog`)
  expect(await migrate(platform, release(3))).toMatchObject({ replayed: ['a'] })
  // The change is a part of the state now. The session of a whole deploy is closed.
  const kept = await sessions()
  expect(kept).toContainEqual(a)
  expect(kept).not.toContainEqual(set)
  // Nothing of the deploy is left in it.
  const locks = await gateway.query(
    `${platform}_a`,
    `select from pg_locks where pid = ${a!.pid} and locktype = 'advisory'`,
  )
  expect(locks).toEqual([])
})

test('tenants from the template are in the state of the template', async () => {
  const url = await createAdminDatabase()
  const made = await startTestGateway({ TEMPLATES: 'on', DATABASE_URL: url })
  try {
    const platform = uniqueName('re')
    const first = await pack(release(1))
    await made.register(platform, first)
    const isReady = async () => {
      const rows = await queryDatabase(
        made.server.database,
        `select from _db_gateway_templates where state = 'ready'`,
        { asGateway: true },
      )
      return rows.length > 0
    }
    while (!(await isReady())) await sleep(20)
    for (const tenant of ['a', 'b']) await made.register(platform, first, tenant)
    await made.migrate(platform, await pack(release(2)))
    expect(replayedIn(made, platform)).toEqual(['a', 'b'])
  } finally {
    await made.stop()
    await dropAdminDatabase(url)
  }
}, 30_000)
