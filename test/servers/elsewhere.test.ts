import { afterAll, beforeAll, expect, test } from 'vitest'
import { exportTenant, findTools, importTenant } from '../helpers/dumps.ts'
import {
  dropDatabase,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack } from '../helpers/platforms.ts'
import { OtherServer } from '../helpers/servers.ts'

// Exports, imports and drops that are due of tenants on eu1, while the server of DATABASE_URL has databases
// of the same names, which somebody has made. PG_MAJOR=15 has pg_dump and pg_restore of Debian 12.

const tools = await findTools()
const platform = uniqueName('else')
const name = (tenant: string) => `${platform}_${tenant}`
let eu1: AlikeServer
let gateway: TestGateway
beforeAll(async () => {
  eu1 = await startAlikeServer()
  gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
  const archive = await pack({
    'tables/note.pssql': 'create table note (text text)',
    'functions/note.pssql': `create function add_note(p_text text) returns text language sql
      as $$ insert into note values (p_text) returning text $$;
      create function notes() returns bigint language sql stable as $$ select count(*) from note $$`,
  })
  for (const tenant of ['a', 'b', 'w']) {
    const { body } = await gateway.register(platform, archive, tenant, { server: 'eu1' })
    expect(body.server).toBe('eu1')
    await makeAlike(tenant)
  }
  await gateway.call(platform, 'add_note', ['on eu1'], 'a')
})
afterAll(async () => {
  await gateway.stop()
  for (const tenant of ['a', 'b', 'c', 'd', 'w']) await dropDatabase(name(tenant))
  await eu1.remove()
})

/** Makes a database with a tenant's name on the server of DATABASE_URL. */
async function makeAlike(tenant: string) {
  await gateway.query(gateway.server.database, `create database ${name(tenant)} strategy file_copy`)
  await gateway.query(name(tenant), "create table note as select 'by hand' as text")
}

/** What the database on the server of DATABASE_URL has. */
const byHand = async (tenant: string) =>
  (await gateway.query(name(tenant), 'select text from note')).map(({ text }) => text)

const tenant = (id: string) => ({ platform, tenant_id: id })
const server = () => gateway.gateway.servers.named('eu1')

/** Resolves when all gateways have carried out the drop of a tenant. */
async function dropsOf(id: string) {
  const databases = async () => {
    await Promise.all([server().dueDrops.run(), gateway.gateway.dueDrops.run()])
    return eu1.databases()
  }
  await expect.poll(databases, { timeout: 15_000 }).not.toContain(name(id))
}

test('a drop that is due is carried out on the server of the tenant', async () => {
  const asked = { ...tenant('b'), confirm: name('b'), dump: false }
  const soon = await gateway.post('/admin/drop-tenant', { ...asked, after_hours: 0.00001 })
  expect([soon.status, soon.body.drop_at]).toEqual([200, expect.any(String)])
  await dropsOf('b')
  expect(await byHand('b')).toEqual(['by hand'])
  expect((await gateway.call(platform, 'notes', [], 'b')).status).toBe(404)
  const { body } = await gateway.get(`/admin/audit?platform=${platform}&tenant_id=b`)
  expect(body.entries.map(({ action }: Json) => action)).toContain('drop_tenant')
})

test('a drop that is due while its server is away waits for it, and touches nothing here', async () => {
  const away = eu1
  if (!(away instanceof OtherServer)) return
  await server().catalog.use(
    (sql) => sql`
      update _db_gateway_databases set suspended_at = now(), drop_at = now() + interval '1 second',
        drop_dump = false
      where database = ${name('w')}
    `,
  )
  await away.stop()
  const asked = { ...tenant('w'), confirm: name('w'), dump: false }
  const told = await gateway.post('/admin/drop-tenant', asked)
  expect(told).toMatchObject({ status: 503, body: { error: 'connection_failed' } })
  const { servers } = (await gateway.get('/health')).body
  expect(servers[1]).toMatchObject({ name: 'eu1', connected: false })
  await Promise.all([server().dueDrops.run(), gateway.gateway.dueDrops.run()])
  await away.start()
  await dropsOf('w')
  expect(await byHand('w')).toEqual(['by hand'])
})

test.runIf(tools)(
  'an export has the rows of the server of the tenant, and an import goes there',
  async () => {
    const dump = new Uint8Array(await (await exportTenant(gateway, tenant('a'))).arrayBuffer())
    const imported = await importTenant(gateway, { ...tenant('c'), server: 'eu1' }, dump)
    expect(imported).toMatchObject({ status: 201, body: { server: 'eu1' } })
    expect((await gateway.call(platform, 'notes', [], 'c')).body.rows).toEqual([{ notes: 1 }])
    expect(await eu1.databases()).toContain(name('c'))
    await makeAlike('d')
    const alike = await importTenant(gateway, { ...tenant('d'), server: 'eu1' }, dump)
    expect(alike).toMatchObject({ status: 201, body: { server: 'eu1' } })
    for (const one of ['a', 'd']) expect(await byHand(one)).toEqual(['by hand'])
  },
)
