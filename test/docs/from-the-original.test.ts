import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { readValues } from './answers.ts'
import { type Block, blocksOf, readPage } from './page.ts'
import { outputOf } from './run-page.ts'

// Everything that the page says to run is run, in its order, but for pg_dump and what a superuser does.

const platform = uniqueName('clinic')

const SCHEMA: Files = {
  'migrations/001_patients.pssql': 'create table patients (id int primary key, name text);',
  'functions/list_patients.pssql': `create or replace function list_patients() returns setof patients
    language sql stable as $$ select * from patients order by id $$;`,
}
const NEXT: Files = {
  ...SCHEMA,
  'migrations/002_phone.pssql': 'alter table patients add phone text;',
}

let gateway: TestGateway
let folder: string
let url: string
let blocks: Block[]

beforeAll(async () => {
  url = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: url, TEMPLATES: 'on' })
  folder = await mkdtemp(join(tmpdir(), 'from-the-original-'))
  const page = await readPage('docs/from-the-original.md')
  const text = page
    .replaceAll('clinic', platform)
    .replaceAll('localhost:9001', new URL(gateway.url).host)
    .replaceAll('gateway_user', gateway.server.user)
    .replaceAll('-- in db_gateway,', `-- in ${gateway.server.database},`)
  blocks = blocksOf(text)
  for (const name of ['main', 'north']) await makeOriginal(`${platform}_${name}`)
})
afterAll(async () => {
  await gateway.stop()
  await rm(folder, { recursive: true })
  await dropAdminDatabase(url)
  for (const name of ['main', 'north']) {
    await asGateway('postgres', `drop database if exists ${platform}_${name}`)
  }
})

const asGateway = (database: string, text: string) =>
  queryDatabase(database, text, { asGateway: true })

/** A database as an original since 1.1 leaves it. */
async function makeOriginal(database: string): Promise<void> {
  await asGateway('postgres', `create database ${database}`)
  await asGateway(
    database,
    `${Object.values(SCHEMA).join('\n')}
     insert into patients values (1, 'Ada');
     create table _stonescriptdb_gateway_migrations (id serial primary key,
       migration_file text not null unique, checksum text not null, applied_at timestamptz default now());
     insert into _stonescriptdb_gateway_migrations (migration_file, checksum)
     values ('001_patients.pssql', 'of the original');`,
  )
}

/** Runs the next block of the page, and gives the answers of curl, or the rows. */
// biome-ignore lint/suspicious/noExplicitAny: answers of every shape
async function next(beginning: RegExp): Promise<any[]> {
  const block = blocks.shift()!
  expect(block.text).toMatch(beginning)
  if (block.language === 'sql') {
    const [, database, who] = /^-- in (\w+), as (\w+)/.exec(block.text)!
    expect(who).toBe(gateway.server.user)
    const rows = await asGateway(database!, block.text.replace('\\gexec', ''))
    if (!block.text.includes('\\gexec')) return rows
    for (const { format } of rows) await asGateway(database!, format)
    return rows
  }
  return readValues((await outputOf(block, folder, process.env))!)
}

const pass = (beginning: RegExp) => expect(blocks.shift()!.text).toMatch(beginning)

test('the way from the original gateway, and back', async () => {
  const [main, north] = [`${platform}_main`, `${platform}_north`]
  const archive = join(folder, 'postgresql.tar.gz')
  await writeFile(archive, await pack(SCHEMA))

  const databases = await next(/select datname/)
  const listed = databases.filter(({ datname }) => datname.startsWith(platform))
  expect(listed.map(({ owner }) => owner)).toEqual([gateway.server.user, gateway.server.user])
  pass(/pg_dump/)
  pass(/alter role/)
  expect(await next(/health/)).toMatchObject([{ status: 'healthy' }])

  const recorded = { migrations_recorded: ['001_patients.pssql'] }
  const dry = await next(/dry_run/)
  expect(dry).toMatchObject([
    { ...recorded, status: 'dry_run', database: main },
    { ...recorded, status: 'dry_run', database: north },
  ])
  const adopted = await next(/admin\/adopt/)
  expect(adopted).toEqual(dry.map((one) => ({ ...one, status: 'adopted' })))
  // The original goes on meanwhile.
  await asGateway(
    north,
    `insert into patients values (2, 'Bob'); delete from patients where id = 2`,
  )
  expect(await asGateway(north, 'select id from list_patients()')).toEqual([{ id: 1 }])

  expect(await next(/register/)).toMatchObject([{ migrations_applied: 0, database: north }])
  const rows = [{ id: 1, name: 'Ada' }]
  expect(await next(/list_patients/)).toMatchObject([{ rows }])

  await writeFile(archive, await pack(NEXT))
  expect(await next(/migrate/)).toMatchObject([
    { status: 'completed', migrations_applied: 1, databases_updated: [main, north] },
  ])
  expect(await next(/platform\/register/)).toMatchObject([
    { status: 'registered' },
    { status: 'registered', schema_name: 'latest' },
  ])

  expect(await next(/v2\/migrate/)).toMatchObject([
    { status: expect.stringMatching(/^completed/), migrations_applied: 0 },
  ])

  await next(/insert into _stonescriptdb_gateway_migrations/)
  expect(
    await asGateway(
      north,
      'select migration_file from _stonescriptdb_gateway_migrations order by id',
    ),
  ).toEqual([{ migration_file: '001_patients.pssql' }, { migration_file: '002_phone.pssql' }])
  expect(await next(/gexec/)).not.toEqual([])
  await next(/reassign owned/)
  await next(/reassign owned/)
  // Of the test, the catalog is in another database, which others use.
  const last = blocks.shift()!.text.replace(/drop database.*/, '')
  expect(last).toMatch(/drop role/)
  await asGateway('postgres', last)
  expect(blocks).toEqual([])
  for (const database of [main, north]) {
    const [left] = await asGateway(
      database,
      `select (select pg_get_userbyid(datdba) from pg_database where datname = current_database()) as owner,
         (select count(*)::int from patients) as rows,
         (select string_agg(relname, ' ') from pg_class where relname like '\\_db\\_gateway%' and relkind = 'r') as tables`,
    )
    expect(left).toEqual({
      owner: gateway.server.user,
      rows: 1,
      tables: '_db_gateway_migrations',
    })
  }
})
