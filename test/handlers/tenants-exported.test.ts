import { beforeAll, describe, expect, test } from 'vitest'
import { type Dump, dumpByHand, exportTenant, findTools, importTenant } from '../helpers/dumps.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  dropDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

// Export and import of tenants. PostgreSQL 15, where CI runs them too, has its pg_dump at hand.

const FILES: Files = {
  ...textFunction('ping', 'pong'),
  'migrations/001_notes.pgsql': `
    create table notes (id integer primary key, text text);
    create materialized view restored_by as select session_user::text as name;`,
  'functions/is_fine.pssql': `
    create or replace function is_fine(key integer) returns boolean language sql immutable
    as $$ select true $$;`,
  'functions/add_note.pssql': `
    create or replace function add_note(key integer) returns void language sql
    as $$ insert into notes values (key, 'note ' || key) $$;`,
  'functions/count_notes.pssql': `
    create or replace function count_notes() returns bigint language sql stable
    as $$ select count(*) from notes $$;`,
}

/** Its index calls a function that finds another one by the search_path. */
const BARE: Files = {
  'migrations/001_names.pgsql': `
    create function low(text) returns text language sql immutable as $$ select lower($1) $$;
    create function slug(text) returns text language plpgsql immutable
      as $$ begin return low($1); end $$;
    create table names (name text);
    create index names_slug on names (slug(name));
    insert into names values ('A');`,
}

const { url, gateway: one, other: two, query } = await startTwoGateways()

const platform = uniqueName('p')
const tenant = { platform, tenant_id: 't' }
const copy = { platform, tenant_id: 'copy' }
const COPY = `${platform}_copy`
let archive: Uint8Array
/** Folder of pg_dump; undefined where none of the server's version is installed. */
let tools: string | undefined
let dump: Uint8Array<ArrayBuffer>
beforeAll(async () => {
  tools = await findTools()
  archive = await pack(FILES)
  await one.register(platform, archive, 't')
  await one.call(platform, 'add_note', [1], 't')
  if (tools) dump = new Uint8Array(await (await exportTenant(one, tenant)).arrayBuffer())
})

const exists = async (name = COPY): Promise<boolean> =>
  (await query(`select from pg_database where datname = '${name}'`)).length > 0
const isKnown = async (): Promise<boolean> =>
  (await two.get(`/admin/tenants?platform=${platform}`)).body.tenants.some(
    (one: Json) => one.tenant_id === 'copy',
  )
/** The last import in the audit; the entry of the export before it may come later. */
const latest = async (): Promise<Json> =>
  (await one.get(`/admin/audit?platform=${platform}`)).body.entries.find(
    ({ action }: Json) => action === 'import_tenant',
  )

test('a tenant is exported by one gateway and imported by another, which registers nothing anew', async () => {
  if (!tools) return expectNotAvailable()
  const exported = await exportTenant(one, tenant)
  expect(exported.status).toBe(200)
  expect(exported.headers.get('content-type')).toBe('application/octet-stream')
  expect(exported.headers.get('content-disposition')).toContain(`"${platform}_t.dump"`)
  expect((await two.call(platform, 'count_notes', [], 'copy')).status).toBe(404)
  const label = 'plan:pro,region:eu'
  const { status, body } = await importTenant(two, { ...copy, label }, exported.body!)
  expect([status, body]).toEqual([
    201,
    expect.objectContaining({
      status: 'imported',
      ...copy,
      database: COPY,
      state: 'active',
      labels: { plan: 'pro', region: 'eu' },
      schema_checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: expect.any(Number),
    }),
  ])
  expect(await latest()).toMatchObject({
    action: 'import_tenant',
    tenant_id: 'copy',
    databases: [COPY],
    status: 201,
    summary: { database_created: true, bytes: body.bytes, labels: { plan: 'pro' } },
  })
  const [, before] = (await one.get(`/admin/audit?platform=${platform}&limit=2`)).body.entries
  expect(before).toMatchObject({
    action: 'export_tenant',
    tenant_id: 't',
    status: 200,
    summary: { bytes: body.bytes },
  })
  await eventually('the other gateway knows', async () => {
    return (await one.call(platform, 'ping', [], 'copy')).status === 200
  })
  expect((await one.call(platform, 'count_notes', [], 'copy')).body.rows).toEqual([
    { count_notes: 1 },
  ])
  const history = await one.get(`/admin/deployments?platform=${platform}&tenant_id=copy`)
  expect(history.body.deployments).toMatchObject([{ status: 'completed' }])
  const again = await one.register(platform, archive, 'copy')
  expect(again.body).toMatchObject({
    status: 'ready',
    migrations_applied: 0,
    functions_changed: 0,
    warnings: [],
  })
  const next = await pack({ ...FILES, ...textFunction('ping', 'new') })
  expect((await two.register(platform, next, 'copy')).body).toMatchObject({
    status: 'ready',
    migrations_applied: 0,
    functions_changed: 1,
  })

  const role = `gw_${platform}`
  // The dump was restored as the platform's role, by its own log-in.
  expect(await queryDatabase(COPY, 'select name from restored_by')).toEqual([{ name: role }])
  const [owners] = await queryDatabase(
    COPY,
    `select pg_get_userbyid(datdba) as database,
       (select pg_get_userbyid(relowner) from pg_class where relname = 'notes') as notes,
       (select pg_get_userbyid(relowner) from pg_class where relname = '_db_gateway_files') as ledger,
       exists (select from aclexplode(datacl) where grantee = 0) as is_open
     from pg_database where datname = current_database()`,
    { asGateway: true },
  )
  const { user } = one.server
  expect(owners).toEqual({ database: role, notes: role, ledger: user, is_open: false })
  const taken = await importTenant(one, copy, dump)
  expect([taken.status, taken.body.error]).toEqual([409, 'database_already_exists'])
  expect((await one.call(platform, 'ping', [], 'copy')).body.rows).toEqual([{ ping: 'new' }])
  await one.post('/admin/drop-tenant', { ...copy, confirm: COPY, dump: false })
})

test('what a killed gateway left of an import is made anew', async () => {
  await query(`create database ${COPY} template template0`)
  await queryDatabase(COPY, 'create table public._db_gateway_migrations (half text)', {
    asGateway: true,
  })
  await query(`insert into _db_gateway_creations (database, oid, is_import)
    select datname, oid, true from pg_database where datname = '${COPY}'`)
  const { body } = await one.register(platform, archive, 'copy')
  expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
  await one.post('/admin/drop-tenant', { ...copy, confirm: COPY, dump: false })
})

test('a database that has the name of an import which never made its own is left alone', async () => {
  if (!tools) return expectNotAvailable()
  await query(`create database ${COPY} template template0`)
  await queryDatabase(COPY, 'create table public.mine ()', { asGateway: true })
  await query(`insert into _db_gateway_creations (database, oid, is_import)
    values ('${COPY}', 0, true)`)
  const { status, body } = await importTenant(one, copy, dump)
  expect([status, body.error]).toEqual([409, 'database_already_exists'])
  expect(await queryDatabase(COPY, 'select from mine', { asGateway: true })).toEqual([])
  await dropDatabase(COPY)
})

test('a sequence of BASE_TEMPLATE gives no value after an import that a crash would let it give again', async () => {
  if (!tools) return
  const base = uniqueName('base')
  await queryDatabase('postgres', `create database ${base}`, { asGateway: true })
  const made = 'create sequence ticket; select nextval($$ticket$$)'
  await queryDatabase(base, made, { asGateway: true })
  const env = { DATABASE_URL: url, BASE_TEMPLATE: base, DATABASE_COPY: 'wal_log' }
  const gateway = await startTestGateway(env)
  const based = { platform, tenant_id: 'based' }
  expect((await importTenant(gateway, based, dump)).status).toBe(201)
  const logged = 'select last_value::int, log_cnt::int from ticket'
  expect(await queryDatabase(`${platform}_based`, logged, { asGateway: true })).toEqual([
    { last_value: 1, log_cnt: 0 },
  ])
  await gateway.stop()
  await dropDatabase(base)
})

describe('refuses', () => {
  test.each([
    ['application/json', '', 415, 'send application/octet-stream'],
    ['application/octet-stream', '&labels=a:b', 400, 'labels'],
    ['application/octet-stream', '&label=a', 400, 'label takes key:value'],
  ])('an import with %s and %s', async (type, more, status, message) => {
    const response = await fetch(
      `${one.url}/admin/import?platform=${platform}&tenant_id=copy${more}`,
      { method: 'POST', headers: { 'content-type': type }, body: 'x' },
    )
    expect(response.status).toBe(status)
    expect(((await response.json()) as Json).message).toContain(message)
  })

  test('an import where platforms share the role of the gateway', async () => {
    const url = await createAdminDatabase()
    const shared = await startTestGateway({ DATABASE_URL: url, ISOLATION: 'shared' })
    const { status, body } = await importTenant(shared, copy, dump ?? 'x')
    expect([status, body.message]).toEqual([501, expect.stringContaining('ISOLATION=shared')])
    await shared.stop()
    await dropAdminDatabase(url)
  })

  test('an export of nobody, or of no tenant', async () => {
    expect((await exportTenant(one, { platform, tenant_id: 'nobody' })).status).toBe(404)
    expect((await exportTenant(one, { platform, tenant_id: '' })).status).toBe(400)
  })

  test('what is not a dump of the platform, and leaves nothing', async () => {
    if (!tools) return expectNotAvailable()
    const other = uniqueName('o')
    await one.register(other, await pack(textFunction('other', 'x')), 't')
    const foreign = await exportTenant(one, { platform: other, tenant_id: 't' })
    const bare = uniqueName('bare')
    await query(`create database ${bare} template template0`)
    const empty = await dumpByHand(tools, `${platform}_t`, ['--schema-only'])
    const cases: [Dump, number, string, string][] = [
      ['nonsense', 400, 'invalid_request', 'not a dump in pg_dump'],
      [dump.slice(0, dump.length - 500), 422, 'import_failed', 'cannot be restored'],
      [foreign.body!, 422, 'import_failed', 'of another platform'],
      [new Uint8Array(await dumpByHand(tools, bare)), 422, 'import_failed', 'has no ledger'],
      [new Uint8Array(empty), 422, 'import_failed', 'ledger without its rows'],
    ]
    for (const [body, status, error, message] of cases) {
      const answer = await importTenant(one, copy, body)
      expect([answer.status, answer.body.error]).toEqual([status, error])
      expect(answer.body.message).toContain(message)
      expect([await exists(), await isKnown()]).toEqual([false, false])
      expect(await latest()).toMatchObject({ action: 'import_tenant', error })
    }
    await dropDatabase(bare)
  })

  test('both where the temporary folder cannot be written, and says so', async () => {
    if (!tools) return expectNotAvailable()
    const { TMPDIR } = process.env
    process.env.TMPDIR = '/dev/null/no-folder'
    try {
      const { status, body } = await importTenant(one, copy, dump)
      expect([status, body.error, body.cause]).toEqual([
        500,
        'import_failed',
        'ENOTDIR: not a directory',
      ])
      expect(body.message).toContain('temporary folder')
      const exported = await exportTenant(one, tenant)
      expect([exported.status, await exported.json()]).toEqual([
        500,
        expect.objectContaining({ error: 'dump_failed', cause: 'ENOTDIR: not a directory' }),
      ])
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR
      else process.env.TMPDIR = TMPDIR
    }
    expect([await exists(), await isKnown()]).toEqual([false, false])
  })

  test('a dump whose functions need a search_path, and says what to do', async () => {
    if (!tools) return expectNotAvailable()
    await one.register(platform, await pack(BARE), 'bare')
    const bare = await exportTenant(one, { platform, tenant_id: 'bare' })
    const { status, body } = await importTenant(one, copy, bare.body!)
    expect([status, body.error]).toEqual([422, 'import_failed'])
    expect(body.cause).toContain('function low(text) does not exist')
    expect(body.hint).toContain('empty search_path')
  })

  /** The dump with other statements in the place of a function's. */
  const dumpWith = (statements: string): Buffer<ArrayBuffer> => {
    const changed = Buffer.from(dump)
    const begin = changed.indexOf('CREATE FUNCTION public.is_fine(')
    const length = changed.indexOf('$$;', begin) + 3 - begin
    expect(statements.length).toBeLessThanOrEqual(length)
    changed.write(statements.padEnd(length), begin)
    return changed
  }

  test('a dump that fails once it has made its database a template, and leaves nothing', async () => {
    if (!tools) return expectNotAvailable()
    const evil = dumpWith(`alter database ${COPY} is_template true;commit;select 1/0;`)
    const { status, body } = await importTenant(one, copy, evil)
    expect([status, body.cause]).toEqual([422, expect.stringContaining('division by zero')])
    expect([await exists(), await isKnown()]).toEqual([false, false])
  })

  test('a dump with objects where the gateway keeps its own', async () => {
    if (!tools) return expectNotAvailable()
    const evil = dumpWith('create schema _db_gateway; create table _db_gateway.functions(a int);')
    const { status, body } = await importTenant(one, copy, evil)
    expect([status, body.error, body.hint]).toEqual([422, 'import_failed', undefined])
    expect(body.message).toContain('table _db_gateway.functions')
    expect([await exists(), await isKnown()]).toEqual([false, false])
  })

  test('a dump that PostgreSQL refuses, with its first error', async () => {
    if (!tools) return expectNotAvailable()
    await queryDatabase(
      `${platform}_t`,
      `alter table notes add constraint fine check (is_fine(id));
       create or replace function is_fine(key integer) returns boolean language sql immutable
         as $$ select false $$`,
    )
    const broken = await exportTenant(two, tenant)
    const { status, body } = await importTenant(two, copy, broken.body!)
    expect([status, body.error, body.database]).toEqual([422, 'import_failed', COPY])
    expect(body.cause).toContain('violates check constraint "fine"')
    expect(body.cause).not.toContain('Command was')
    expect([await exists(), await isKnown()]).toEqual([false, false])
    expect(await latest()).toMatchObject({
      status: 422,
      summary: { database_created: true, database_dropped: true },
    })
    await queryDatabase(`${platform}_t`, 'alter table notes drop constraint fine')
  })

  test('an export whose rows the role cannot read, before it begins', async () => {
    if (!tools) return expectNotAvailable()
    const forced = 'alter table notes enable row level security, force row level security'
    await queryDatabase(`${platform}_t`, forced)
    const answer = await exportTenant(one, tenant)
    expect([answer.status, (await answer.json()) as Json]).toEqual([
      500,
      expect.objectContaining({
        error: 'dump_failed',
        message: expect.stringContaining('row level security is forced on notes'),
      }),
    ])
    const plain = 'alter table notes disable row level security, no force row level security'
    await queryDatabase(`${platform}_t`, plain)
  })
})

/** Without pg_dump, both are refused with what to install. */
async function expectNotAvailable(): Promise<void> {
  const exported = await exportTenant(one, tenant)
  const imported = await importTenant(one, copy, 'x')
  const told = [
    [exported.status, ((await exported.json()) as Json).message],
    [imported.status, imported.body.message],
  ]
  expect(told).toEqual([
    [501, expect.stringMatching(/finds no pg_dump of PostgreSQL \d+, .* install it/)],
    [501, expect.stringMatching(/finds no pg_restore of PostgreSQL \d+, .* install it/)],
  ])
}
