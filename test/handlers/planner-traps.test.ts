import { beforeAll, expect, test } from 'vitest'
import { exportTenant, findTools, importTenant } from '../helpers/dumps.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { type Json, queryDatabase, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

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
  expect([status, body.error]).toEqual([409, 'name_conflict'])
  expect(body.message).toContain('expressions of the index public.planted')
})
