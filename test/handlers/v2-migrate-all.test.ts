import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  type Answer,
  connectTo,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { store } from '../helpers/stored.ts'

const {
  url,
  gateway: one,
  other,
} = await startTwoGateways(
  { MIGRATE_ALL_ANSWER_SECS: '60' },
  { MIGRATE_ALL_ANSWER_SECS: '1', PLATFORM_NETWORKS: 'bound=127.0.0.2' },
)

const SCHEMA = 'tenant_db'
const BASE: Files = {
  'tables/notes.sql': 'create table notes (id integer);',
  ...textFunction('ping', 'of before'),
}

/** A platform with the base database of a schema, and these tenants. */
async function newPlatform(tenants: string[]): Promise<string> {
  const platform = uniqueName('fleet')
  const archive = await pack(BASE)
  for (const uuid of ['', ...tenants]) {
    const ids = { schema_name: SCHEMA, ...(uuid && { uuid }) }
    const { status } = await one.register(platform, archive, undefined, ids)
    expect(status).toBe(200)
  }
  return platform
}

/** Waits in the databases in which somebody else has the lock. */
const WAITING: Files = {
  ...BASE,
  ...textFunction('ping', 'pong'),
  'migrations/001_wait.sql': 'select pg_advisory_xact_lock(4242);',
}

/** Has the lock in a database until the result is called. */
async function lockIn(database: string): Promise<() => Promise<void>> {
  const sql = connectTo(database)
  await sql`select pg_advisory_lock(4242)`
  let isOpen = true
  const release = async () => {
    if (isOpen) await sql.end()
    isOpen = false
  }
  afterTest(release)
  return release
}

const start = (gateway: Pick<TestGateway, 'post'>, platform: string, members = {}) =>
  gateway.post('/v2/migrate-all', { platform, schema_name: SCHEMA, ...members })

const statusOf = async (gateway: TestGateway, id: string): Promise<Json> =>
  (await gateway.get(`/v2/migrate-all/${id}`)).body

const pings = async (platform: string, uuids: (string | null)[]) =>
  Promise.all(
    uuids.map(async (uuid) => {
      const ask = { platform, schema_name: SCHEMA, uuid, function: 'ping' }
      return (await other.post('/call', ask)).body.rows?.[0].ping
    }),
  )

describe('POST /v2/migrate-all', () => {
  it('brings all tenants to the stored schema, and no base database', async () => {
    const platform = await newPlatform(['a', 'b'])
    await one.register(platform, await pack(BASE), undefined, { schema_name: 'else', uuid: 'c' })
    await one.register(platform, await pack(BASE), 'north')
    await store(one, platform, SCHEMA, {
      ...BASE,
      ...textFunction('ping', 'pong'),
      'migrations/001.sql': 'alter table notes add column text text;',
    })
    const { status, body } = await start(one, platform)
    const tenant = (uuid: string) => ({
      database: `${platform}_${SCHEMA}_${uuid}`,
      status: 'completed',
      migrations_applied: 1,
      tables_created: 0,
      functions_updated: 1,
      error: null,
      failure: null,
    })
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        job_id: expect.any(String),
        status: 'completed',
        platform,
        schema_name: SCHEMA,
        total_databases: 2,
        succeeded: 2,
        failed: 0,
        results: [tenant('a'), tenant('b')],
        schema_validation: {
          safe_changes: [
            expect.objectContaining({ change_type: 'AddColumn', table: 'notes', column: 'text' }),
          ],
          dataloss_changes: [],
          incompatible_changes: [],
        },
        warnings: [expect.stringMatching(/^Left out, .*_north\. POST/)],
        execution_time_ms: expect.any(Number),
      },
    })
    expect(await statusOf(other, body.job_id)).toEqual(body)
    expect(await pings(platform, ['a', 'b', null])).toEqual(['pong', 'pong', 'of before'])
  })

  it('starts no further tenant after a request to /migrate/stop, on whichever gateway', async () => {
    const platform = await newPlatform(['a', 'b'])
    await store(one, platform, SCHEMA, WAITING)
    const release = await lockIn(`${platform}_${SCHEMA}_a`)
    const id = randomUUID()
    const asked = { platform, schema_name: SCHEMA }
    const job = one.post('/v2/migrate-all', asked, { 'x-request-id': id })
    await eventually('the first waits', async () => {
      const [row] = await queryDatabase(
        `${platform}_${SCHEMA}_a`,
        "select from pg_stat_activity where wait_event = 'advisory' and datname = current_database()",
        { asGateway: true },
      )
      return row !== undefined
    })
    expect((await other.post('/migrate/stop', { platform, request_id: id })).status).toBe(202)
    await release()
    const { body } = await job
    expect(body).toMatchObject({ status: 'partial', succeeded: 1, failed: 0 })
    expect(body.results).toMatchObject([{ status: 'completed' }, { status: 'skipped' }])
  })

  it('tells of each that failed, and goes on behind the first', async () => {
    const platform = await newPlatform(['a', 'b', 'c'])
    await queryDatabase(`${platform}_${SCHEMA}_b`, 'create table more (id integer)')
    const next = { ...BASE, 'migrations/001.sql': 'create table more (id integer);' }
    await store(one, platform, SCHEMA, next)
    const { body } = await start(one, platform)
    const statuses = Object.fromEntries(
      body.results.map(({ database, status }: Json) => [database.at(-1), status]),
    )
    expect({ ...body, statuses }).toMatchObject({
      status: 'partial',
      succeeded: 2,
      failed: 1,
      statuses: { a: 'completed', b: 'failed', c: 'completed' },
    })
    expect(body.results.find((result: Json) => result.status === 'failed')).toMatchObject({
      error: 'Migration 001.sql failed: relation "more" already exists',
      failure: { error: 'migration_failed', file: 'migrations/001.sql' },
    })
    const lossy = { ...next, 'migrations/002.sql': 'drop table if exists more;' }
    await store(one, platform, SCHEMA, lossy)
    await queryDatabase(`${platform}_${SCHEMA}_a`, 'insert into more values (1)')
    const refused = await start(one, platform)
    expect(refused.body).toMatchObject({ status: 'failed', succeeded: 0, failed: 1 })
    expect(refused.body.results).toMatchObject([
      {
        status: 'failed',
        failure: { error: 'data_loss', hint: expect.stringContaining('"drop_table"') },
      },
      { status: 'skipped', error: null },
      { status: 'skipped', error: null },
    ])
    await queryDatabase(`${platform}_${SCHEMA}_b`, 'drop table more')
    expect((await start(one, platform, { allow: ['drop_table'] })).body).toMatchObject({
      status: 'completed',
      succeeded: 3,
    })
  })

  it('is done at once where there are none', async () => {
    const platform = await newPlatform([])
    await store(one, platform, SCHEMA, BASE)
    const { status, body } = await start(one, platform)
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { status: 'completed', total_databases: 0, succeeded: 0, failed: 0, results: [] },
    })
  })

  it('takes tenants that no schema names to releases, while no database is named with that of one', async () => {
    const platform = uniqueName('fleet')
    await one.register(platform, await pack(BASE))
    await one.register(platform, await pack(BASE), 'north')
    await store(one, platform, 'v1', { ...BASE, ...textFunction('ping', 'v1') })
    await store(one, platform, 'v2', { ...BASE, ...textFunction('ping', 'v2') })
    const first = await start(one, platform, { schema_name: 'v1' })
    expect(first.body.results).toMatchObject([{ database: `${platform}_north` }])
    const second = await start(one, platform, { schema_name: 'v2' })
    expect(second.body.results).toMatchObject([{ database: `${platform}_north` }])
    expect((await one.call(platform, 'ping', [], 'north')).body.rows).toEqual([{ ping: 'v2' }])
    await one.register(platform, await pack(BASE), undefined, { schema_name: 'v2', uuid: 'x' })
    await one.register(platform, await pack(BASE), 'east')
    await one.post('/admin/create-tenant', { platform, tenant_id: 'west' })
    const third = await start(one, platform, { schema_name: 'v2' })
    const left = `${platform}_east. POST /v2/migrate with database_id brings them to this one`
    expect(third.body).toMatchObject({
      total_databases: 3,
      warnings: [`Left out, because another archive was deployed there: ${left}`],
    })
    const databases = third.body.results.map((result: Json) => result.database)
    expect(databases.sort()).toEqual(['north', 'v2_x', 'west'].map((id) => `${platform}_${id}`))
  })

  it('is a job where it takes long: any gateway tells of it, and no second one begins', async () => {
    const platform = await newPlatform(['a', 'b'])
    await store(one, platform, SCHEMA, WAITING)
    const release = await lockIn(`${platform}_${SCHEMA}_b`)
    const { status, body } = await start(other, platform)
    expect({ status, body }).toEqual({
      status: 202,
      body: { job_id: expect.any(String), status: 'queued', total_databases: 2 },
    })
    const { entries } = (await one.get(`/admin/audit?platform=${platform}&limit=1`)).body
    expect(entries).toMatchObject([
      {
        action: 'migrate',
        status: 202,
        databases: ['a', 'b'].map((uuid) => `${platform}_${SCHEMA}_${uuid}`),
        summary: { job_id: body.job_id, job_status: 'running' },
      },
    ])
    await store(one, platform, SCHEMA.toUpperCase(), BASE)
    for (const schema_name of [SCHEMA, SCHEMA.toUpperCase()]) {
      expect(await start(one, platform, { schema_name })).toMatchObject({
        status: 409,
        body: {
          error: 'migration_running',
          message: expect.stringContaining(`${platform} to ${SCHEMA} is under way`),
          job_id: body.job_id,
        },
      })
    }
    const half = await eventually('the first result', async () => {
      const job = await statusOf(one, body.job_id)
      return job.results.length === 1 ? job : undefined
    })
    expect(half).toMatchObject({ job_id: body.job_id, status: 'running', succeeded: 1, failed: 0 })
    await release()
    const done = await eventually('the end', async () => {
      const job = await statusOf(one, body.job_id)
      return job.status === 'running' ? undefined : job
    })
    expect(done).toMatchObject({ status: 'completed', succeeded: 2 })
    expect(await pings(platform, ['a', 'b'])).toEqual(['pong', 'pong'])
  })

  it('is interrupted where its gateway is gone, and another start does what is left', async () => {
    const platform = await newPlatform(['a'])
    await store(one, platform, SCHEMA, { ...BASE, ...textFunction('ping', 'pong') })
    const id = randomUUID()
    const leave = (silent: string) =>
      one.query(
        one.server.database,
        `insert into _db_gateway_jobs (id, platform, schema_name, gateway, status, total, beat_at)
         values ('${id}', '${platform}', '${SCHEMA}', gen_random_uuid(), 'running', 2, now())
         on conflict (id) do update set beat_at = now() - interval '${silent}'`,
      )
    await leave('0 s')
    expect(await start(one, platform)).toMatchObject({ status: 409, body: { job_id: id } })
    expect(await statusOf(other, id)).toMatchObject({ status: 'running', total_databases: 2 })
    await leave('4 s')
    expect(await statusOf(other, id)).toMatchObject({ status: 'interrupted' })
    expect((await start(one, platform)).body).toMatchObject({ status: 'completed', succeeded: 1 })
    expect(await statusOf(other, id)).toMatchObject({ status: 'interrupted' })
  })

  it('is interrupted where its gateway lives, but has written nothing for a minute', async () => {
    const platform = await newPlatform(['a'])
    await store(one, platform, SCHEMA, { ...BASE, ...textFunction('ping', 'pong') })
    const id = randomUUID()
    const leave = (silent: string) =>
      one.query(
        one.server.database,
        `insert into _db_gateway_jobs (id, platform, schema_name, gateway, status, total, beat_at)
         select '${id}', '${platform}', '${SCHEMA}', g.id, 'running', 2, now()
         from _db_gateway_gateways g limit 1
         on conflict (id) do update set beat_at = now() - interval '${silent}'`,
      )
    await leave('0 s')
    await leave('40 s')
    expect(await statusOf(other, id)).toMatchObject({ status: 'running' })
    expect(await start(one, platform)).toMatchObject({ status: 409, body: { job_id: id } })
    await leave('61 s')
    expect(await statusOf(other, id)).toMatchObject({ status: 'interrupted' })
    expect((await start(one, platform)).body).toMatchObject({ status: 'completed', succeeded: 1 })
  })

  it('ends as interrupted where its gateway is stopped', async () => {
    const platform = await newPlatform(['a', 'b'])
    await store(one, platform, SCHEMA, WAITING)
    const release = await lockIn(`${platform}_${SCHEMA}_a`)
    const third = await startTestGateway({
      DATABASE_URL: url,
      MIGRATE_ALL_ANSWER_SECS: '1',
    })
    const { body } = await start(third, platform)
    const stopped = third.stop()
    // As half of SHUTDOWN_TIMEOUT_SECS later.
    third.gateway.health.isEnding = true
    await release()
    await stopped
    expect(await statusOf(one, body.job_id)).toMatchObject({ status: 'interrupted', succeeded: 1 })
  })

  it('answers 202 where its gateway is stopped before the answer', async () => {
    const platform = await newPlatform(['a', 'b'])
    await store(one, platform, SCHEMA, WAITING)
    const release = await lockIn(`${platform}_${SCHEMA}_a`)
    const third = await startTestGateway({
      DATABASE_URL: url,
      MIGRATE_ALL_ANSWER_SECS: '60',
    })
    const asked = start(third, platform)
    await eventually('the start', async () => {
      const rows = await one.query(
        one.server.database,
        `select id from _db_gateway_jobs where platform = '${platform}' and status = 'running'`,
      )
      return rows.length > 0 ? rows : undefined
    })
    const stopped = third.stop()
    // As half of SHUTDOWN_TIMEOUT_SECS later.
    third.gateway.health.isEnding = true
    await release()
    const { status, body } = await asked
    await stopped
    const expected = { job_id: expect.any(String), status: 'interrupted', total_databases: 2 }
    expect({ status, body }).toEqual({ status: 202, body: expected })
    expect(await statusOf(one, body.job_id)).toMatchObject({ status: 'interrupted' })
  })

  it('is one of a platform, also where an older version has let several of them begin', async () => {
    const catalog = connectTo(one.server.database)
    afterTest(() => catalog.end())
    const [newest, platform] = [randomUUID(), uniqueName('fleet')]
    await catalog.unsafe(`
      drop index _db_gateway_jobs_one_open;
      create unique index _db_gateway_jobs_open on _db_gateway_jobs (platform, schema_name)
        where status in ('queued', 'running');
      insert into _db_gateway_jobs (id, platform, schema_name, gateway, status, total)
      select id, '${platform}', name, (select id from _db_gateway_gateways limit 1), 'running', 1
      from (values (gen_random_uuid(), 'v1'), ('${newest}'::uuid, 'v2')) of_before (id, name)
    `)
    const third = await startTestGateway({ DATABASE_URL: url })
    await third.stop()
    const rows = await catalog`
      select schema_name, status from _db_gateway_jobs where platform = ${platform} order by number
    `
    expect(rows.map((row) => Object.values(row))).toEqual([
      ['v1', 'interrupted'],
      ['v2', 'running'],
    ])
    const indexes = await catalog`
      select indexname from pg_indexes where indexname like '_db_gateway_jobs%open' order by 1
    `
    expect(indexes.map((row) => row.indexname)).toEqual(['_db_gateway_jobs_one_open'])
  })

  it('is told to those alone who may name its platform', async () => {
    const id = randomUUID()
    await one.query(
      one.server.database,
      `insert into _db_gateway_jobs (id, platform, schema_name, gateway, status, total)
       values ('${id}', 'bound', '${SCHEMA}', gen_random_uuid(), 'completed', 1)`,
    )
    expect(await other.get(`/v2/migrate-all/${id}`)).toMatchObject({
      status: 403,
      body: { error: 'platform_isolation_violation' },
    })
    expect(await statusOf(one, id)).toMatchObject({ status: 'completed', platform: 'bound' })
  })

  it('knows no other job', async () => {
    const answers: Answer[] = await Promise.all(
      ['nothing', 'b0a6a4f4-0000-4000-8000-000000000000'].map((id) =>
        one.get(`/v2/migrate-all/${id}`),
      ),
    )
    for (const { status, body } of answers) expect([status, body.error]).toEqual([404, 'not_found'])
  })
})
