import { expect, test } from 'vitest'
import { startOneGateway } from '../helpers/for-file.ts'
import { dropDatabase, type Json, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const hidden = uniqueName('hid')
const gateway = await startOneGateway({ PLATFORM_NETWORKS: `${hidden}=10.9.9.0/24` })
const admin = (text: string) => gateway.query(gateway.server.database, text)

const platform = uniqueName('fs')
const first = await pack(textFunction('ping', 'one'))
const second = await pack({
  ...textFunction('ping', 'two'),
  'migrations/001_people.pssql': 'create table people (id int);',
})
const broken = await pack({
  ...textFunction('ping', 'two'),
  'migrations/001_people.pssql': 'create table people (id int);\n\nselect 1 / 0;',
})

const fleet = async (query = `?platform=${platform}`) =>
  (await gateway.get(`/admin/fleet${query}`)).body
const stateOf = async (tenant: string): Promise<Json> =>
  (await fleet()).databases.find((one: Json) => one.tenant_id === tenant)

test('each database has its state, and each platform how many have which', async () => {
  for (const tenant of ['behind', 'bad', 'drifts', 'gone', 'odd', 'off'])
    await gateway.register(platform, first, tenant)
  // Databases are compared with the main one, since no template is built.
  await gateway.register(platform, second)
  for (const tenant of ['drifts', 'odd', 'off', 'gone'])
    expect((await gateway.migrate(platform, second, tenant)).status).toBe(200)
  expect((await gateway.migrate(platform, broken, 'bad')).body.error).toBe('migration_failed')
  await gateway.post('/admin/suspend-tenant', { platform, tenant_id: 'off' })
  await gateway.post('/admin/label-tenant', { platform, tenant_id: 'off', labels: { plan: 'pro' } })
  await dropDatabase(`${platform}_gone`)
  await gateway.query(`${platform}_drifts`, 'alter table people add column by_hand int')
  expect((await fleet()).platforms[0]).toMatchObject({ drifted: 0, drift_checked_at: null })
  await gateway.get(`/admin/drift?platform=${platform}`)

  const { platforms, databases, count } = await fleet()
  const [{ schema }] = platforms
  expect(platforms).toEqual([
    {
      platform,
      isolation: 'platform-roles',
      schema: expect.stringMatching(/^[0-9a-f]{32}/),
      databases: 7,
      synced: 2,
      pending: 1,
      drifted: 1,
      failed: 1,
      suspended: 1,
      missing: 1,
      drift_checked_at: expect.stringMatching(/^\d{4}-/),
    },
  ])
  expect(count).toBe(7)
  const states = databases.map((one: Json) => [one.tenant_id, one.state, one.pending])
  expect(states).toEqual([
    [null, 'synced', false],
    ['bad', 'failed', true],
    ['behind', 'pending', true],
    ['drifts', 'drifted', false],
    ['gone', 'missing', false],
    ['odd', 'synced', false],
    ['off', 'suspended', false],
  ])
  expect(databases[1].error).toMatchObject({
    code: 'migration_failed',
    message: expect.any(String),
    file: expect.stringContaining('001_people.pssql'),
    line: 3,
    archive: expect.any(String),
  })
  expect(databases[5]).toMatchObject({
    database: `${platform}_odd`,
    platform,
    schema_name: null,
    tenant_state: 'active',
    schema,
    error: null,
    held: false,
  })
  expect(databases[6]).toMatchObject({ tenant_state: 'suspended', labels: { plan: 'pro' } })
})

test('a deploy that succeeds ends a failure and a delay, and another look a difference', async () => {
  for (const tenant of ['bad', 'behind']) {
    expect((await gateway.migrate(platform, second, tenant)).status).toBe(200)
    expect(await stateOf(tenant)).toMatchObject({ state: 'synced', error: null })
  }
  await gateway.query(`${platform}_drifts`, 'alter table people drop column by_hand')
  await gateway.get(`/admin/drift?platform=${platform}`)
  expect((await stateOf('drifts')).state).toBe('synced')
})

test('a deploy that finds its archive in place ends a failure, and is in the history', async () => {
  for (const deploy of ['register', 'migrate'] as const) {
    await gateway[deploy](platform, broken, 'odd')
    expect(await stateOf('odd')).toMatchObject({ state: 'failed', pending: false })
    const planned = await gateway.migrate(platform, second, 'odd', { dry_run: 'true' })
    expect([planned.status, (await stateOf('odd')).state]).toEqual([200, 'failed'])
    expect((await gateway[deploy](platform, second, 'odd')).status).toBe(200)
    expect(await stateOf('odd')).toMatchObject({ state: 'synced', error: null })
  }
  const history = `/admin/deployments?platform=${platform}&tenant_id=odd`
  const count = async () => (await gateway.get(history)).body.deployments.length
  const { body } = await gateway.get(history)
  expect(body.deployments.slice(0, 4).map((one: Json) => one.status)).toEqual([
    'completed',
    'failed',
    'completed',
    'failed',
  ])
  const before = await count()
  await gateway.register(platform, second, 'odd')
  expect(await count()).toBe(before)
})

test('sizes come after the first request, and calls with those of this gateway', async () => {
  await gateway.call(platform, 'ping', [], 'odd')
  await gateway.call(platform, 'no_such', [], 'odd')
  await eventually('size and calls', async () => {
    const { size_bytes, calls, errors } = await stateOf('odd')
    return size_bytes > 1_000_000 && calls === 2 && errors === 1
  })
})

test('it is 304 for who has it, and says what cannot be done', async () => {
  const { status, headers, body } = await gateway.get('/admin/fleet')
  expect(status).toBe(200)
  const again = await gateway.get('/admin/fleet', { 'if-none-match': headers.get('etag')! })
  expect(again.status).toBe(304)
  expect(body.can).toMatchObject({ create: true, drift: true, revert: true })
  for (const one of Object.values(body.can)) {
    expect(one === true || (typeof one === 'string' && one.length > 10)).toBe(true)
  }
})

test('what two archives differ in is told, and what is not kept', async () => {
  const { archives } = (await gateway.get(`/admin/archives?platform=${platform}`)).body
  const changes = (query: string) => gateway.get(`/admin/changes?platform=${platform}&${query}`)
  const [to, from] = archives.map((one: Json) => one.checksum)
  const { status, body, headers } = await changes(`from=${from}&to=${to}`)
  expect({ status, body }).toMatchObject({
    status: 200,
    body: { platform, from, to, count: 2, files: [{ change: 'added' }, { change: 'changed' }] },
  })
  expect(body.files[0]).toMatchObject({
    path: 'migrations/001_people.pssql',
    diff: '@@ -0,0 +1 @@\n+create table people (id int);\n',
  })
  expect(body.files[1].diff).toContain("select 'two'")
  expect((await changes(`to=${to}`)).body).toEqual(body)
  expect((await changes(`to=${from}`)).body).toMatchObject({ from: null, count: 1 })
  expect(headers.get('etag')).toBeTruthy()
  expect((await changes(`to=${'0'.repeat(64)}`)).body.error).toBe('not_found')
  expect((await changes('to=x')).status).toBe(400)
})

test('platforms that the client may not name are not in it', async () => {
  await admin(`insert into _db_gateway_platforms (name, registered_at) values ('${hidden}', now())`)
  const { platforms, databases } = await fleet('')
  expect(platforms.map((one: Json) => one.platform)).toEqual([platform])
  expect(databases).toBeUndefined()
  expect((await gateway.get(`/admin/fleet?platform=${hidden}`)).status).toBe(403)
  expect((await gateway.get('/admin/fleet?platform=nobody')).body.error).toBe('not_found')
})

test('5,000 tenants are read from the catalog at once', async () => {
  const many = uniqueName('many')
  await admin(`
    insert into _db_gateway_databases (database, platform, tenant_id, schema_checksum, last_deployed_at)
    select '${many}_' || n, '${many}', n::text, md5('a'), now() - interval '1 day'
    from generate_series(1, 5000) n`)
  await admin(`
    insert into _db_gateway_deployments (database, platform, tenant_id, deployed_at, status, archive_checksum, request_id, deployment)
    select '${many}_' || n, '${many}', n::text, now() - d * interval '1 hour', 'completed', md5('a'), 'r', '{"error": null}'
    from generate_series(1, 5000) n, generate_series(1, 5) d`)
  try {
    await fleet(`?platform=${many}`)
    const started = performance.now()
    const { count, databases } = await fleet(`?platform=${many}`)
    const took = performance.now() - started
    expect(count).toBe(5000)
    expect(databases).toHaveLength(5000)
    expect(took).toBeLessThan(5000)
  } finally {
    await admin(`delete from _db_gateway_databases where platform = '${many}'`)
  }
})
