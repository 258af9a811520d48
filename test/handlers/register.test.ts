import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  databaseUrlOf,
  dropDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { clinicFiles, type Files, pack, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const SMALL: Files = {
  'migrations/001_notes.pssql': 'create table note (id serial primary key, body text not null);',
  ...textFunction('motto', 'first'),
  'seeders/001_notes.pssql': "insert into note (body) values ('hello');",
}

async function registered(files: Files = SMALL) {
  const platform = uniqueName('p')
  const answer = await gateway.register(platform, await pack(files))
  expect(answer.body).toMatchObject({ status: 'ready' })
  return { platform, database: `${platform}_main`, body: answer.body }
}

describe('a new platform', () => {
  test('is created, migrated, deployed and seeded before the answer', async () => {
    const platform = uniqueName('clinic')
    const { status, body } = await gateway.register(platform, await pack(await clinicFiles()))
    expect(status).toBe(200)
    expect(body).toMatchObject({
      status: 'ready',
      database: `${platform}_main`,
      migrations_applied: 8,
      functions_deployed: 40,
      functions_changed: 40,
      functions_dropped: [],
      seeders_applied: 6,
      warnings: [],
    })
    expect(body.checksum).toMatch(/^[0-9a-f]{64}$/)
    expect(body.execution_time_ms).toBeGreaterThanOrEqual(0)
    const answer = await gateway.call(platform, 'get_patient_by_id', [1])
    expect(answer.body.rows).toMatchObject([{ o_patient_id: 1, o_name: 'Anna Weber' }])
  })

  test('can send the archive as "file", and the tenant as "null"', async () => {
    const platform = uniqueName('p')
    const form = new FormData()
    form.set('platform', platform)
    form.set('tenant_id', 'null')
    form.set('file', new Blob([(await pack(SMALL)) as Uint8Array<ArrayBuffer>]), 'x.tar.gz')
    const response = await fetch(`${gateway.url}/register`, { method: 'POST', body: form })
    expect(await response.json()).toMatchObject({ status: 'ready', database: `${platform}_main` })
  })

  test('gets a ledger as the original gateway kept it', async () => {
    const { database } = await registered()
    const rows = await queryDatabase(database, 'select * from _db_gateway_migrations')
    expect(rows).toMatchObject([{ id: 1, migration_file: '001_notes.pssql' }])
    expect(rows[0].checksum).toMatch(/^[0-9a-f]{64}$/)
    expect(rows[0].applied_at).toBeInstanceOf(Date)
  })

  test('gives a tenant a database of its own', async () => {
    const { platform } = await registered()
    const tenant = await gateway.register(platform, await pack(SMALL), 'Clinic-001')
    expect(tenant.body.database).toBe(`${platform}_clinic_001`)
    await queryDatabase(`${platform}_clinic_001`, "insert into note (body) values ('only here')")
    expect(await queryDatabase(`${platform}_main`, 'select * from note')).toHaveLength(1)
  })
})

describe('registering again', () => {
  test('an archive that is in place changes nothing', async () => {
    const { platform, database, body: first } = await registered()
    const before = await snapshot(database)
    const { body } = await gateway.register(platform, await pack(SMALL))
    expect(body).toMatchObject({
      migrations_applied: 0,
      functions_deployed: first.functions_deployed,
      functions_changed: 0,
      seeders_applied: 0,
      checksum: first.checksum,
    })
    expect(await snapshot(database)).toEqual(before)
  })

  test('runs only what is new: a migration, a function, a seeder', async () => {
    const { platform, database } = await registered()
    const { body } = await gateway.register(
      platform,
      await pack({
        ...SMALL,
        'migrations/002_tag.pssql': 'alter table note add column tag text;',
        ...textFunction('greeting', 'hi'),
        'seeders/002_tags.pssql': "update note set tag = 'seeded';",
      }),
    )
    expect(body).toMatchObject({
      migrations_applied: 1,
      functions_deployed: 2,
      functions_changed: 1,
      seeders_applied: 1,
    })
    expect(await queryDatabase(database, 'select tag from note')).toEqual([{ tag: 'seeded' }])
  })

  test('runs migrations by number, 9 before 10', async () => {
    const { database } = await registered({
      'migrations/10_second.pssql': "insert into step (name) values ('ten');",
      'migrations/9_first.pssql': 'create table step (id serial, name text);',
    })
    const rows = await queryDatabase(
      database,
      'select migration_file from _db_gateway_migrations order by id',
    )
    expect(rows.map((row) => row.migration_file)).toEqual(['9_first.pssql', '10_second.pssql'])
  })

  test('refuses a migration that was edited after it was applied, and runs nothing', async () => {
    const { platform, database } = await registered()
    const before = await snapshot(database)
    const edited = `${SMALL['migrations/001_notes.pssql']} -- edited`
    const { status, body } = await gateway.register(
      platform,
      await pack({
        ...SMALL,
        'migrations/001_notes.pssql': edited,
        'migrations/002_more.pssql': 'create table more ();',
      }),
    )
    expect(status).toBe(409)
    expect(body).toMatchObject({
      error: 'migration_checksum_mismatch',
      database,
      file: 'migrations/001_notes.pssql',
    })
    expect(body.applied_checksum).not.toBe(body.archive_checksum)
    expect(await snapshot(database)).toEqual(before)
  })

  test('warns of what is unusual: an older archive, a late migration, an edited seeder', async () => {
    const { platform } = await registered({
      ...SMALL,
      'migrations/003_c.pssql': 'create table c ();',
    })
    const older = await gateway.register(
      platform,
      await pack({
        'migrations/001_notes.pssql': SMALL['migrations/001_notes.pssql']!,
        'seeders/001_notes.pssql': "insert into note (body) values ('changed');",
      }),
      undefined,
      { allow: 'functions_missing' },
    )
    expect(older.body).toMatchObject({ status: 'ready', seeders_applied: 0 })
    expect(older.body.warnings.join('\n')).toContain('does not have: 003_c.pssql')
    expect(older.body.warnings.join('\n')).toContain('Seeder 001_notes.pssql has been edited')
    const late = await gateway.register(
      platform,
      await pack({
        ...SMALL,
        'migrations/002_late.pssql': 'create table late ();',
        'migrations/003_c.pssql': 'create table c ();',
      }),
    )
    expect(late.body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    expect(late.body.warnings.join('\n')).toContain('002_late.pssql')
  })
})

test('a database that somebody dropped by hand is made again', async () => {
  const { platform, database } = await registered()
  await dropDatabase(database)
  expect((await gateway.call(platform, 'motto')).status).toBe(404)
  const { body } = await gateway.register(platform, await pack(SMALL))
  expect(body).toMatchObject({ status: 'ready', migrations_applied: 1, seeders_applied: 1 })
  expect((await gateway.call(platform, 'motto')).body.rows).toEqual([{ motto: 'first' }])
})

describe('a deploy that fails', () => {
  test.each([
    [
      'migration',
      { 'migrations/002_bad.pssql': 'create table extra (id int);\n\nselect * from nowhere;\n' },
      { error: 'migration_failed', file: 'migrations/002_bad.pssql', line: 3, sqlstate: '42P01' },
    ],
    [
      'function',
      {
        'migrations/002_good.pssql': 'create table extra (id int);',
        'functions/bad.pssql':
          'create function bad() returns int\nlanguage sql as $$\n  select missing from note\n$$;',
      },
      {
        error: 'function_deploy_failed',
        file: 'functions/bad.pssql',
        line: 3,
        sqlstate: '42703',
      },
    ],
    [
      'seeder',
      {
        'migrations/002_good.pssql': 'create table extra (id int);',
        'seeders/002_bad.pssql': '-- twice\ninsert into note (id, body) values (1, null);',
      },
      { error: 'seeder_failed', file: 'seeders/002_bad.pssql', line: 2, sqlstate: '23502' },
    ],
  ])('because of a %s leaves the database as it was', async (_what, files, expected) => {
    const { platform, database } = await registered()
    const before = await snapshot(database)
    const { status, body } = await gateway.register(
      platform,
      await pack({ ...SMALL, ...(files as Files) }),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({ database, ...expected })
    expect(body.cause).toBeTypeOf('string')
    expect(await snapshot(database)).toEqual(before)
    // And it is not in the way of the next one.
    expect((await gateway.register(platform, await pack(SMALL))).status).toBe(200)
  })

  test('as the first of a new database drops that again', async () => {
    const platform = uniqueName('p')
    const bad = await pack({ 'migrations/001_bad.pssql': 'select 1/0;' })
    const { status, body } = await gateway.register(platform, bad)
    expect(status).toBe(422)
    expect(body).toMatchObject({
      error: 'migration_failed',
      message: 'Migration 001_bad.pssql failed',
      cause: 'division by zero',
      sqlstate: '22012',
    })
    expect(
      await queryDatabase(
        gateway.server.database,
        `select from pg_database where datname = '${platform}_main'`,
      ),
    ).toHaveLength(0)
    expect((await gateway.call(platform, 'motto')).body.error).toBe('database_not_found')
    expect((await gateway.register(platform, await pack(SMALL))).status).toBe(200)
  })

  test('points to the place in the line that PostgreSQL complains of', async () => {
    const { body } = await gateway.register(
      uniqueName('p'),
      await pack({
        'migrations/001_bad.pssql': "-- Größe\nselect 'ä';\n\tselect wrong from pg_class;\n",
      }),
    )
    expect(body).toMatchObject({ line: 3, source: '\tselect wrong from pg_class;' })
    expect(body.caret).toBe('\t       ^')
  })

  test.each([
    ['commit;', 1],
    ['create table a ();\nbegin;\n', 2],
    ['select 1;\n\n\nrollback;', 4],
    ['do $$ begin null; end $$;\nsavepoint s;', 2],
  ])('since a file may not end the transaction itself: %j', async (text, line) => {
    const { status, body } = await gateway.register(
      uniqueName('p'),
      await pack({ 'migrations/001_x.pssql': text }),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'migration_failed', line })
    expect(body.cause).toContain('A deploy is one transaction')
  })

  test('cannot hide a commit behind a syntax error', async () => {
    const { platform, database } = await registered()
    const before = await snapshot(database)
    const { body } = await gateway.register(
      platform,
      await pack({ ...SMALL, 'migrations/002_x.pssql': 'create table x (); commit; selec 1;' }),
    )
    expect(body).toMatchObject({ error: 'migration_failed', sqlstate: '42601', line: 1 })
    expect(await snapshot(database)).toEqual(before)
  })

  test('does not wait for data that nobody sends', async () => {
    const { body } = await gateway.register(
      uniqueName('p'),
      await pack({
        'migrations/001_t.pssql': 'create table t (id int);',
        'seeders/001_t.pssql': 'copy t from stdin;',
      }),
    )
    expect(body).toMatchObject({ error: 'seeder_failed', line: 1 })
    expect(body.cause).toContain('COPY')
  })
})

describe('extensions', () => {
  test('are created once, by the name of the file', async () => {
    const files = {
      'extensions/hstore.sql': '-- schema: ext\n',
      'functions/pairs.pssql':
        "create or replace function pairs() returns text language sql as $$ select ('a=>1'::ext.hstore)::text $$;",
    }
    const { platform } = await registered(files)
    expect((await gateway.call(platform, 'pairs')).body.rows).toEqual([{ pairs: '"a"=>"1"' }])
    const again = await gateway.register(platform, await pack({ ...files, ...SMALL }))
    expect(again.status).toBe(200)
  })

  test('that the server does not have are named', async () => {
    const { status, body } = await gateway.register(
      uniqueName('p'),
      await pack({ 'extensions/no_such_thing.sql': '' }),
    )
    expect(status).toBe(400)
    expect(body).toMatchObject({
      error: 'extension_not_available',
      file: 'extensions/no_such_thing.sql',
    })
    expect(body.message).toContain('no_such_thing')
  })

  test('that cannot be installed say why', async () => {
    const { status, body } = await gateway.register(
      uniqueName('p'),
      await pack({ 'extensions/hstore.sql': '-- version: 99.9' }),
    )
    expect(status).toBe(422)
    expect(body).toMatchObject({ error: 'extension_install_failed' })
    expect(body.cause).toContain('99.9')
  })
})

describe('names', () => {
  test('of two pairs that write the same database: the first one owns it', async () => {
    const a = uniqueName('a')
    const archive = await pack(SMALL)
    expect((await gateway.register(`${a}_b`, archive, 'c')).status).toBe(200)
    const second = await gateway.register(a, archive, 'b_c')
    expect(second.status).toBe(409)
    expect(second.body).toMatchObject({ error: 'name_conflict', database: `${a}_b_c` })
    const call = await gateway.call(a, 'motto', [], 'b_c')
    expect(call.status).toBe(403)
    expect(call.body.error).toBe('platform_isolation_violation')
  })

  test('that differ in case or dashes alone are two tenants', async () => {
    const platform = uniqueName('p')
    const archive = await pack(SMALL)
    expect((await gateway.register(platform, archive, 'Org-1')).status).toBe(200)
    expect((await gateway.register(platform, archive, 'org_1')).body.error).toBe('name_conflict')
  })

  test('of databases that somebody else made are left alone', async () => {
    const platform = uniqueName('p')
    await queryDatabase(gateway.server.database, `create database ${platform}_main`)
    await queryDatabase(`${platform}_main`, 'create table precious (id int)')
    const { status, body } = await gateway.register(platform, await pack(SMALL))
    expect(status).toBe(409)
    expect(body.error).toBe('name_conflict')
    expect(await queryDatabase(`${platform}_main`, 'select * from precious')).toEqual([])
    await dropDatabase(`${platform}_main`)
  })

  test('of a database that the original gateway managed: it is taken as it is', async () => {
    const platform = uniqueName('p')
    const text = SMALL['migrations/001_notes.pssql']!.replace('body', 'body\r\n ')
    // It took the checksum of the bytes, line ends and all.
    const checksum = createHash('sha256').update(text).digest('hex')
    await queryDatabase(gateway.server.database, `create database ${platform}_main`)
    await queryDatabase(
      `${platform}_main`,
      `create table _db_gateway_migrations (
         id serial primary key, migration_file text not null unique,
         checksum text not null, applied_at timestamptz default now());
       insert into _db_gateway_migrations (migration_file, checksum)
       values ('001_notes.pssql', '${checksum}');
       create table note (id serial primary key, body text not null)`,
    )
    const archive = await pack({ ...SMALL, 'migrations/001_notes.pssql': text })
    const { body } = await gateway.register(platform, archive)
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 0, functions_changed: 1 })
  })
})

describe('requests that are wrong', () => {
  test.each([
    [{}, 'platform is missing'],
    [{ platform: 'no spaces' }, 'platform must be'],
    [{ platform: 'x'.repeat(64) }, 'platform must be'],
    [{ platform: 'p', tenant_id: 'a/b' }, 'tenant_id must be'],
    [{ platform: 'p', tenant_id: 'MAIN' }, 'reserved'],
    [{ platform: 'p'.repeat(40), tenant_id: 't'.repeat(40) }, '81 bytes'],
  ])('name the field: %j', async (fields, message) => {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    form.set('schema', new Blob([(await pack(SMALL)) as Uint8Array<ArrayBuffer>]), 'x.tar.gz')
    const response = await fetch(`${gateway.url}/register`, { method: 'POST', body: form })
    const body = (await response.json()) as { error: string; message: string }
    expect([response.status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })

  test('without an archive', async () => {
    const form = new FormData()
    form.set('platform', 'p')
    const response = await fetch(`${gateway.url}/register`, { method: 'POST', body: form })
    const body = (await response.json()) as { message: string }
    expect([response.status, body.message]).toEqual([
      400,
      'schema is missing: the tar.gz of the postgresql folder, as a file',
    ])
  })

  test('with an archive that is none', async () => {
    const { status, body } = await gateway.register('p', Buffer.from('not a gzip'))
    expect([status, body.error]).toEqual([400, 'schema_extraction_failed'])
  })

  test('that are not multipart', async () => {
    const json = await gateway.post('/register', { platform: 'p' })
    expect([json.status, json.body.error]).toEqual([415, 'unsupported_media_type'])
    const broken = await gateway.post('/register', 'no parts', {
      'content-type': 'multipart/form-data; boundary=x',
    })
    expect([broken.status, broken.body.error]).toEqual([400, 'invalid_request'])
    const unbound = await gateway.post('/register', 'x', { 'content-type': 'multipart/form-data' })
    expect([unbound.status, unbound.body.error]).toEqual([400, 'invalid_request'])
  })

  test('that are larger than MAX_ARCHIVE_BYTES', async () => {
    const small = await startTestGateway({ MAX_ARCHIVE_BYTES: '1000' })
    try {
      for (const size of [1001, 5_000_000]) {
        const { status, body } = await small.register('p', new Uint8Array(size))
        expect([status, body.error]).toEqual([413, 'payload_too_large'])
      }
      expect((await small.get('/health')).status).toBe(200)
    } finally {
      await small.stop()
    }
  })
})

describe('at the same moment', () => {
  test('twenty containers with one archive: one deploy, twenty times "ready"', async () => {
    const platform = uniqueName('p')
    const archive = await pack(await clinicFiles())
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => gateway.register(platform, archive)),
    )
    expect(answers.map((answer) => answer.body.status)).toEqual(Array(20).fill('ready'))
    expect(answers.filter((answer) => answer.body.migrations_applied === 8)).toHaveLength(1)
    expect(
      await queryDatabase(`${platform}_main`, 'select from _db_gateway_deployments'),
    ).toHaveLength(1)
  })

  test('through two gateways too', async () => {
    const platform = uniqueName('p')
    const other = await startTestGateway({ DATABASE_URL: databaseUrlOf(gateway.server.database) })
    try {
      const archive = await pack(SMALL)
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) =>
          (i % 2 === 0 ? gateway : other).register(platform, archive),
        ),
      )
      expect(answers.map((answer) => answer.body.status)).toEqual(Array(10).fill('ready'))
      expect(
        await queryDatabase(`${platform}_main`, 'select from _db_gateway_deployments'),
      ).toHaveLength(1)
    } finally {
      await other.stop()
    }
  })

  test('ten new platforms', async () => {
    const archive = await pack(SMALL)
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => gateway.register(uniqueName('p'), archive)),
    )
    expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(200))
  })
})
