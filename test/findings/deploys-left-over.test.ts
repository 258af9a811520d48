import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  databaseUrlOf,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { startProcess, until } from '../helpers/process.ts'

// A gateway that is killed while it makes a database leaves nothing that the next one asks about.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const FIRST: Files = {
  'migrations/001_base.sql': `create table kind (name text); insert into kind values ('a');`,
}

test('a new database that was half made is made anew: nobody is asked', async () => {
  const platform = uniqueName('killed')
  const database = `${platform}_main`
  const killed = await startProcess({ DATABASE_URL: databaseUrlOf(gateway.server.database) })
  const sleeping = () =>
    queryDatabase(
      'postgres',
      `select from pg_stat_activity where datname = '${database}' and wait_event = 'PgSleep'`,
      { asGateway: true },
    )
  const slow = { ...FIRST, 'migrations/002_slow.sql': 'select pg_sleep(60);' }
  killed.register(platform, slow).catch(() => {})
  await until(async () => (await sleeping()).length > 0)
  killed.kill('SIGKILL')
  await killed.exit
  expect(await queryDatabase(database, 'select from kind')).toHaveLength(1)

  const archive = await pack({ ...FIRST, 'migrations/002_drop.sql': 'drop table kind;' })
  const { status, body } = await gateway.register(platform, archive)
  expect({ status, body }).toMatchObject({ status: 200, body: { migrations_applied: 2 } })
  const left = await queryDatabase(
    gateway.server.database,
    `select from _db_gateway_creations where database = '${database}'`,
    { asGateway: true },
  )
  expect(left).toHaveLength(0)
})

test('one that was restored under its name is asked about', async () => {
  const platform = uniqueName('restored')
  const name = `${platform}_main`
  const as = { asGateway: true }
  const query = (text: string) => queryDatabase(name, text, as)
  await queryDatabase('postgres', `create database ${name}`, as)
  await queryDatabase(
    gateway.server.database,
    `insert into _db_gateway_creations values ('${name}', 1)`,
    as,
  )
  await query(
    `create table _db_gateway_migrations (
       id serial primary key, migration_file text not null unique, checksum text not null,
       applied_at timestamptz default now()
     );
     create table kind (name text);
     insert into kind values ('a')`,
  )
  const archive = await pack({ 'migrations/002_drop.sql': 'drop table kind;' })
  const { status, body } = await gateway.register(platform, archive)
  expect({ status, body }).toMatchObject({ status: 409, body: { error: 'data_loss' } })
})
