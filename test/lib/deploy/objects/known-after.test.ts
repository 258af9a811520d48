import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { type Files, pack } from '../../../helpers/platforms.ts'
import { eventually } from '../../../helpers/process.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ TEMPLATES: 'off' })
})
afterAll(() => gateway.stop())

function release(version: number): Files {
  const files: Files = {
    'migrations/1_item.sql': 'create table item (id int, name text, note text);',
    'functions/names.sql': `create or replace function names() returns setof text language sql
      as 'select name from item -- ${version}';`,
    'functions/noted.sql': `create or replace function noted() returns text language plpgsql
      as $$ begin return (select max(note) from item); end $$;`,
  }
  if (version > 1) files[`migrations/${version}_more.sql`] = `alter table item add c${version} int;`
  for (let i = 0; i < 5; i++) {
    files[`functions/f${i}.sql`] = `create or replace function f${i}() returns int language plpgsql
      as $$ begin return ${version}; end $$;`
  }
  return files
}

/** A platform with a main database and tenants. */
async function newFleet(...tenants: string[]) {
  const platform = uniqueName('after')
  await gateway.register(platform, await pack(release(1)))
  for (const tenant of tenants) await gateway.register(platform, await pack(release(1)), tenant)
  return platform
}

const administer = (text: string, database = gateway.server.database) =>
  queryDatabase(database, text, { asGateway: true })

const digests = async (platform: string): Promise<string[]> => {
  const rows = await administer(
    `select functions_digest as digest from _db_gateway_databases where platform = '${platform}' order by database`,
  )
  return rows.map(({ digest }: Json) => digest)
}

test('bodies are checked in the first database, and what functions do is read there, for all', async () => {
  const platform = await newFleet('a', 'b')
  const url = inject('superuserUrl')!
  await queryDatabase('postgres', `alter role gw_${platform} set track_functions = 'all'`, {
    asGateway: true,
    url,
  })
  // The sessions that are open have not read that.
  await administer(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gw_${platform}'`,
  )
  const { body } = await gateway.migrate(platform, await pack(release(2)))
  expect(body.results.map((one: Json) => one.functions_changed)).toEqual([6, 6, 6])
  const checks = async (tenant: string) => {
    const rows = await administer(
      `select calls::int from pg_stat_user_functions where funcname = 'plpgsql_validator'`,
      `${platform}_${tenant}`,
    )
    return rows[0]?.calls ?? 0
  }
  await eventually('statistics', async () => (await checks('main')) === 6)
  // A session writes its statistics when it ends; that of a replay stays open.
  await administer(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gw_${platform}'`,
  )
  await eventually('the end of its session', async () => {
    const [row] = await administer(
      `select count(*)::int as n from pg_stat_activity
       where datname = '${platform}_b' and usename = 'gw_${platform}'`,
    )
    return row.n === 0
  })
  expect(await checks('b')).toBe(0)
  expect(new Set(await digests(platform)).size).toBe(1)
  const called = await gateway.call(platform, 'f0', [], 'b')
  expect(called.body.rows).toEqual([{ f0: 2 }])
})

test('in a database that is another one they are checked, and its errors and warnings are its own', async () => {
  const platform = await newFleet('a', 'b', 'c')
  await administer('alter table item drop note', `${platform}_b`)
  await administer('alter table item drop name', `${platform}_c`)
  const { body } = await gateway.migrate(platform, await pack(release(2)), undefined, {
    on_error: 'continue',
  })
  const of = (tenant: string) =>
    body.results.find(({ database }: Json) => database === `${platform}_${tenant}`)
  for (const tenant of ['main', 'a', 'b']) expect(of(tenant).status).toBe('completed')
  const { status, error } = of('c')
  expect([status, error.error, error.file, error.line]).toEqual([
    'failed',
    'function_deploy_failed',
    'functions/names.sql',
    2,
  ])
})

test('a function that differs in one database is known as it is there', async () => {
  const platform = await newFleet('a', 'b')
  await administer(`create function own() returns int language sql as 'select 7'`, `${platform}_b`)
  const { status } = await gateway.migrate(platform, await pack(release(2)))
  expect(status).toBe(200)
  expect((await gateway.call(platform, 'own', [], 'b')).body.rows).toEqual([{ own: 7 }])
  expect((await gateway.call(platform, 'own', [], 'a')).body.error).toBe('function_not_found')
  expect((await gateway.call(platform, 'f1', [], 'b')).body.rows).toEqual([{ f1: 2 }])
})
