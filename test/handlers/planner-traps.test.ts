import { beforeAll, expect, test } from 'vitest'
import { exportTenant, findTools, importTenant } from '../helpers/dumps.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import {
  becomePlatform,
  connectTo,
  dropDatabase,
  type Json,
  queryDatabase,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// PostgreSQL's planner executes IMMUTABLE functions in expressions of indexes and statistics, with
// the rights of whoever queries the table. A platform may make tables that the gateway reads.

const FILES = textFunction('ping', 'pong')

const TRAPS = `
  create table caught (who name);
  create function catch_it() returns void language sql volatile
    as $$ insert into public.caught values (current_user) $$;
  create function trap(i integer) returns integer language plpgsql immutable
    as $$ begin perform public.catch_it(); return i; end $$;`

const gateway = await startOneGateway()
const platform = uniqueName('p')
let archive: Uint8Array
beforeAll(async () => {
  archive = await pack(FILES)
})

/** Makes a tenant with the traps, and runs SQL as the role of its platform. */
async function trapped(id: string, sql: string): Promise<string> {
  await gateway.register(platform, archive, id)
  const database = `${platform}_${id}`
  await queryDatabase(database, `${TRAPS} ${sql}`)
  return database
}

test.each([
  ['index', 'create index on original ((trap(1)))'],
  ['partial', 'create index on original (checksum) where trap(1) = 1'],
  ['statistics', 'create statistics planted on (trap(1)), checksum from original'],
])(
  'the ledger of an original gateway that a platform has made is not read: %s',
  async (id, sql) => {
    const table = '_stonescriptdb_gateway_migrations'
    await trapped(
      id,
      `create table ${table} (migration_file text, checksum text, applied_at timestamptz);
     ${sql.replaceAll('original', table)};
     truncate caught`,
    )
    // The ledger's key depends on the name, so that the next deploy hands the database over.
    const to = `${id}_renamed`
    await gateway.post('/admin/rename-tenant', { platform, tenant_id: id, to })
    expect((await gateway.register(platform, archive, to)).body.status).toBe('ready')
    const caught: Json[] = await queryDatabase(
      `${platform}_${to}`,
      'select distinct who from caught where who <> current_user',
    )
    expect(caught).toEqual([])
  },
)

test('a dump whose ledger has an index with an expression is not imported', async () => {
  const database = await trapped('source', '')
  const asGateway = { asGateway: true }
  await queryDatabase(
    database,
    'create index planted on public._db_gateway_files ((public.trap(1)))',
    asGateway,
  )
  const exported = await exportTenant(gateway, { platform, tenant_id: 'source' })
  if (!(await findTools())) {
    expect(exported.status).toBe(501)
    return
  }
  const { status, body } = await importTenant(
    gateway,
    { platform, tenant_id: 'copy' },
    exported.body!,
  )
  expect([status, body.error]).toEqual([422, 'import_failed'])
  expect(body.message).toContain('expressions of the index public.planted')
})

test('a view that takes the place of a ledger while a database is looked at is not read', async () => {
  await gateway.register(platform, archive)
  const database = `${platform}_taken`
  const asGateway = { asGateway: true }
  const [owner] = await queryDatabase(
    'postgres',
    `select owner_role from pg_database, pg_get_userbyid(datdba) owner_role where datname = '${platform}_main'`,
  )
  await queryDatabase(
    'postgres',
    `create database ${database} owner "${owner.owner_role}"`,
    asGateway,
  )
  const attacker = connectTo(database)
  try {
    await becomePlatform(attacker)
    const table = '_stonescriptdb_gateway_migrations'
    await attacker.unsafe(`
      create schema trap;
      create table trap.caught (who name);
      create function trap.name() returns text language plpgsql
        as $$ begin insert into trap.caught values (current_user); return 'x'; end $$;
      grant usage on schema trap to public;
      grant insert on trap.caught to public;
      create table ${table} (migration_file text, checksum text, applied_at timestamptz)
    `)
    await attacker.unsafe(`
      begin;
      alter table ${table} rename to moved;
      create view ${table} as select trap.name() as migration_file, now() as applied_at;
    `)
    const request = { platform, tenant_id: 'taken', database, dry_run: true }
    const answer = gateway.post('/admin/adopt', request)
    const waits = 'select from pg_locks where not granted'
    await until(async () => (await queryDatabase(database, waits, asGateway)).length > 0)
    await attacker.unsafe('commit')
    expect((await answer).body).toMatchObject({ status: 'dry_run', migrations_recorded: [] })
    expect(await queryDatabase(database, 'select who from trap.caught')).toEqual([])
  } finally {
    await attacker.end()
    await dropDatabase(database)
  }
})
