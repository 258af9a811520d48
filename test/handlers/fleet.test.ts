import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Json,
  queryDatabase,
  schemaForm,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ MIGRATE_CONCURRENCY: '3' })
})
afterAll(() => gateway.stop())

const V1: Files = {
  'migrations/001_item.pssql': 'create table item (id int);',
  ...textFunction('version', 'one'),
}
const V2: Files = {
  ...V1,
  'migrations/002_name.pssql': 'alter table item add name text;',
  ...textFunction('version', 'two'),
}

/** A platform with a main database and tenants t0, t1, … */
async function newFleet(tenants: number) {
  const platform = uniqueName('fleet')
  const archive = await pack(V1)
  await gateway.register(platform, archive)
  await Promise.all(
    Array.from({ length: tenants }, (_, i) => gateway.register(platform, archive, `t${i}`)),
  )
  const database = (i: number) => `${platform}_t${i}`
  /** The next deploy of V2 to this database fails. */
  const spoil = (name: string) => queryDatabase(name, 'alter table item add name int')
  const mend = (name: string) => queryDatabase(name, 'alter table item drop name')
  const migrate = async (flags: Record<string, string> = {}) =>
    gateway.migrate(platform, await pack(V2), undefined, flags)
  return { platform, main: `${platform}_main`, database, spoil, mend, migrate }
}

const statusesOf = (body: Json): Record<string, string> =>
  Object.fromEntries(body.results.map((one: Json) => [one.database, one.status]))

describe('a fleet', () => {
  test('is brought to the new schema, so many databases at a time', async () => {
    const { migrate, platform } = await newFleet(8)
    let most = 0
    let sampling = true
    const sampler = (async () => {
      while (sampling) {
        const [row] = await queryDatabase(
          gateway.server.database,
          `select count(*)::int as n from pg_stat_activity
           where datname like '${platform}%' and state <> 'idle'`,
        )
        most = Math.max(most, row.n)
      }
    })()
    const { status, body } = await migrate()
    sampling = false
    await sampler
    expect(status).toBe(200)
    expect(body.databases_updated).toHaveLength(9)
    expect(body).toMatchObject({ status: 'completed', migrations_applied: 1, functions_updated: 1 })
    expect(most).toBeLessThanOrEqual(3)
  })

  test('stops before anything else when the main database fails', async () => {
    const { migrate, main, spoil } = await newFleet(3)
    await spoil(main)
    for (const on_error of ['stop', 'continue']) {
      const { status, body } = await migrate({ on_error })
      expect(status).toBe(422)
      expect(body).toMatchObject({ error: 'migration_failed', database: main })
      expect(body.databases_updated).toEqual([])
      expect(body.not_started).toHaveLength(3)
    }
  })

  test('stops when the first tenant, the canary, fails', async () => {
    const { migrate, main, database, spoil } = await newFleet(4)
    await spoil(database(0))
    const { body } = await migrate({ on_error: 'continue' })
    expect(body.databases_updated).toEqual([main])
    expect(body.failed).toMatchObject([{ database: database(0), error: 'migration_failed' }])
    expect(body.failed[0].cause).toBe('column "name" of relation "item" already exists')
    expect(body.not_started).toEqual([database(1), database(2), database(3)])
  })

  test('starts no new ones after a later failure', async () => {
    const { migrate, database, spoil } = await newFleet(12)
    await spoil(database(1))
    const { status, body } = await migrate()
    expect(status).toBe(422)
    expect(statusesOf(body)[database(1)]).toBe('failed')
    expect(body.not_started.length).toBeGreaterThan(0)
    expect(body.databases_updated.length + body.not_started.length).toBe(12)
  })

  test('carries on after a later failure with on_error=continue; again does what is left', async () => {
    const { migrate, database, spoil, mend, platform } = await newFleet(6)
    await spoil(database(2))
    await spoil(database(4))
    const { status, body } = await migrate({ on_error: 'continue' })
    expect(status).toBe(422)
    expect(body.failed.map((one: Json) => one.database)).toEqual([database(2), database(4)])
    expect(body.not_started).toEqual([])
    expect(body.databases_updated).toHaveLength(5)

    await mend(database(2))
    await mend(database(4))
    const again = await migrate()
    expect(again.status).toBe(200)
    const worked = again.body.results.filter((one: Json) => one.migrations_applied > 0)
    expect(worked.map((one: Json) => one.database)).toEqual([database(2), database(4)])
    const answer = await gateway.call(platform, 'version', [], 't4')
    expect(answer.body.rows).toEqual([{ version: 'two' }])
  })

  test('is looked over with dry_run=true: a plan for each database, nothing changed', async () => {
    const { migrate, platform } = await newFleet(2)
    const { body } = await migrate({ dry_run: 'true' })
    expect(body.status).toBe('dry_run')
    expect(body.plan).toHaveLength(3)
    for (const plan of body.plan) {
      expect(plan).toMatchObject({
        pending_migrations: ['002_name.pssql'],
        functions: { create: [], change: ['public.version()'], drop: [] },
        table_changes: [{ table: 'item', column: 'name', change: 'column_added', class: 'safe' }],
        locks: [{ table: 'item', lock: 'AccessExclusive' }],
      })
    }
    const answer = await gateway.call(platform, 'version', [], 't1')
    expect(answer.body.rows).toEqual([{ version: 'one' }])
  })

  test('refuses an on_error that means nothing', async () => {
    const { migrate } = await newFleet(0)
    const { status, body } = await migrate({ on_error: 'ignore' })
    expect([status, body.message]).toEqual([400, 'on_error must be stop or continue; got "ignore"'])
  })
})

describe('with Accept: application/x-ndjson', () => {
  const stream = async (platform: string, files: Files, signal?: AbortSignal) =>
    fetch(`${gateway.url}/migrate`, {
      method: 'POST',
      headers: { accept: 'application/x-ndjson' },
      body: schemaForm(platform, await pack(files)),
      signal,
    })

  test('a line comes as each database ends, the summary last', async () => {
    const { platform, main } = await newFleet(3)
    const response = await stream(platform, V2)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toContain('application/x-ndjson')
    const lines: Json[] = (await response.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines).toHaveLength(5)
    expect(lines[0]).toMatchObject({ database: main, status: 'completed', migrations_applied: 1 })
    expect(lines[4]).toMatchObject({ status: 'completed', migrations_applied: 1 })
    expect(lines[4].databases_updated).toHaveLength(4)
  })

  test('a failure is the last line', async () => {
    const { platform, database, spoil } = await newFleet(2)
    await spoil(database(0))
    const lines: Json[] = (await (await stream(platform, V2)).text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(lines.at(-1)).toMatchObject({ error: 'migration_failed', not_started: [database(1)] })
  })

  test('a client that goes away stops nothing half way', async () => {
    const { platform } = await newFleet(5)
    const slow: Files = {
      ...V2,
      'migrations/003_slow.pssql': 'select pg_sleep(0.3); create table done ();',
    }
    const leaving = new AbortController()
    const response = await stream(platform, slow, leaving.signal)
    await response.body!.getReader().read()
    leaving.abort()
    const giveUpAt = Date.now() + 20_000
    for (;;) {
      const { body } = await gateway.get(`/admin/databases?platform=${platform}`)
      if (body.databases.every((one: Json) => !one.pending)) break
      expect(Date.now()).toBeLessThan(giveUpAt)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    for (let i = 0; i < 5; i++) {
      const found = await queryDatabase(
        `${platform}_t${i}`,
        `select to_regclass('done')::text as t`,
      )
      expect(found).toEqual([{ t: 'done' }])
    }
  })

  test('a long silence is broken by a heartbeat', async () => {
    const { platform } = await newFleet(0)
    const response = await stream(platform, {
      ...V2,
      'migrations/003_slow.pssql': 'select pg_sleep(6);',
    })
    const [first] = (await response.text()).split('\n')
    expect(JSON.parse(first!)).toEqual({ status: 'running' })
  }, 30_000)
})

describe('ops see', () => {
  test('who is behind', async () => {
    const { platform, migrate, database } = await newFleet(2)
    const list = async () => (await gateway.get(`/admin/databases?platform=${platform}`)).body
    const pending = async () => (await list()).databases.map((one: Json) => [one.name, one.pending])
    expect(await pending()).toEqual([
      [`${platform}_main`, false],
      [database(0), false],
      [database(1), false],
    ])
    await gateway.migrate(platform, await pack(V2), 't1')
    expect(await pending()).toEqual([
      [`${platform}_main`, true],
      [database(0), true],
      [database(1), false],
    ])
    const { body } = await migrate()
    expect(await pending()).toEqual([
      [`${platform}_main`, false],
      [database(0), false],
      [database(1), false],
    ])
    const [main] = (await list()).databases
    expect(main.schema_checksum).toBe(body.checksum)
    expect(Date.parse(main.last_deployed_at)).toBeGreaterThan(Date.now() - 60_000)
    // An older container changes nothing, and going back does not make its archive the newest one.
    const { body: older } = await gateway.register(platform, await pack(V1))
    expect(older).toMatchObject({ status: 'ready', superseded: true })
    expect((await pending())[0]).toEqual([`${platform}_main`, false])
    await gateway.register(platform, await pack(V1), undefined, { allow: 'older' })
    expect((await pending())[0]).toEqual([`${platform}_main`, true])
  })

  test('what was deployed when, by whom, and what failed', async () => {
    const { platform, migrate, main, database, spoil } = await newFleet(1)
    await spoil(database(0))
    await migrate()
    const { status, body } = await gateway.get(`/admin/deployments?platform=${platform}`)
    expect(status).toBe(200)
    expect(body.deployments.map((one: Json) => [one.database, one.status])).toEqual([
      [database(0), 'failed'],
      [main, 'completed'],
      [database(0), 'completed'],
      [main, 'completed'],
    ])
    expect(body.deployments[0]).toMatchObject({
      tenant_id: 't0',
      address: '127.0.0.1',
      error: { error: 'migration_failed', file: 'migrations/002_name.pssql' },
    })
    expect(body.deployments[1]).toMatchObject({
      migrations_applied: ['002_name.pssql'],
      functions_changed: 1,
      table_changes: [{ table: 'item', column: 'name', change: 'column_added' }],
      error: null,
    })
    expect(body.deployments[0].request_id).toBe(body.deployments[1].request_id)
  })

  test('as many as they ask for, of one tenant or the main database', async () => {
    const { platform, migrate, main, database } = await newFleet(1)
    await migrate()
    const of = async (query: string) =>
      (await gateway.get(`/admin/deployments?platform=${platform}&${query}`)).body
    expect((await of('limit=1')).count).toBe(1)
    expect((await of('tenant_id=t0')).deployments.map((one: Json) => one.database)).toEqual([
      database(0),
      database(0),
    ])
    expect((await of('tenant_id=')).deployments.map((one: Json) => one.database)).toEqual([
      main,
      main,
    ])
    expect((await of('limit=0')).message).toContain('limit must be')
    expect((await of('tenant_id=nobody')).error).toBe('database_not_found')
  })
})
