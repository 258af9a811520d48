import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const FILES: Files = {
  'migrations/001_base.pssql': `create table colour (name text primary key);
    create table size (name text);
    create table shape (name text);
    create function fill() returns void language sql as $$ insert into size values ('f') $$;`,
  'seeders/001_colour.pssql': "insert into colour values ('red');",
  'seeders/002_size.pssql': "insert into size values ('small');",
  'seeders/003_shape.pssql': "insert into shape values ('round');",
  'seeders/004_fill.pssql': 'select fill();',
  'seeders/005_both.pssql': "insert into shape values ('flat'); insert into size values ('big');",
}

describe('B5: in a database that the original gateway managed', () => {
  test('a seeder whose table has rows is written down and not run again', async () => {
    const platform = uniqueName('seed')
    const database = `${platform}_main`
    await queryDatabase(gateway.server.database, `create database ${database}`)
    await queryDatabase(
      database,
      `create table _db_gateway_migrations (
         id serial primary key, migration_file text not null unique,
         checksum text not null, applied_at timestamptz default now());
       insert into _db_gateway_migrations (migration_file, checksum) values ('001_base.pssql', 'x');
       ${FILES['migrations/001_base.pssql']}
       insert into colour values ('red');
       insert into size values ('small');`,
    )
    const archive = await pack(FILES)
    const { body } = await gateway.register(platform, archive, undefined, { repair: 'true' })
    expect(body).toMatchObject({ status: 'ready', seeders_applied: 1 })
    const left = ['001_colour.pssql', '002_size.pssql', '004_fill.pssql', '005_both.pssql']
    expect(body.warnings).toEqual(
      expect.arrayContaining(left.map((name) => expect.stringContaining(`seeders/${name}`))),
    )
    const rows = () =>
      queryDatabase(
        database,
        'select name from colour union all select name from size union all select name from shape',
      )
    expect((await rows()).map(({ name }: Json) => name)).toEqual(['red', 'small', 'round'])

    const more = await pack({
      ...FILES,
      'seeders/006_more.pssql': "insert into size values ('xl');",
    })
    const again = await gateway.register(platform, more, undefined, { repair: 'true' })
    expect(again.body).toMatchObject({ status: 'ready', seeders_applied: 1 })
    expect((await rows()).map(({ name }: Json) => name)).toEqual(['red', 'small', 'xl', 'round'])
  })
})
