import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { startEmbedded } from '../../lib/postgres/embedded.ts'
import { afterTest } from '../helpers/after-test.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  PROJECT,
  schemaForm,
  sessionsRunning,
  startTestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import {
  eventually,
  freePort,
  startProcess,
  startProgram,
  temporaryFolder,
} from '../helpers/process.ts'

// Deploys that fail together, get in each other's way, or are stopped.

// Hundreds of tables, and several processes.
vi.setConfig({ testTimeout: 180_000 })

const GOOD: Files = textFunction('f', 'one')

describe('D5: registers that are alike', () => {
  test('fail together where they come together; the next one tries again', async () => {
    const gateway = await startTestGateway()
    afterTest(() => gateway.stop())
    const platform = uniqueName('same')
    await gateway.register(platform, await pack(GOOD))
    const bad = await pack({ ...GOOD, 'migrations/001_x.sql': 'select pg_sleep(2), nothing();' })
    const good = await pack({ ...GOOD, ...textFunction('g', 'two') })
    const failures = async () => {
      const { body } = await gateway.get(`/admin/deployments?platform=${platform}`)
      return body.deployments.filter((one: Json) => one.status === 'failed').length
    }
    const slow = await pack({
      ...GOOD,
      'migrations/001_x.sql': 'select pg_sleep(2);',
      'migrations/002_x.sql': 'select nothing();',
    })

    const answers = await Promise.all(
      Array.from({ length: 6 }, () => gateway.register(platform, slow)),
    )
    expect(answers.map((one) => [one.status, one.body.error])).toEqual(
      Array(6).fill([422, 'migration_failed']),
    )
    expect(answers[5]!.body).toMatchObject({ file: 'migrations/002_x.sql', line: 1 })
    expect(await failures()).toBe(1)
    expect((await gateway.register(platform, slow)).status).toBe(422)
    expect(await failures()).toBe(2)

    const [failed, done] = await Promise.all([
      gateway.register(platform, bad),
      gateway.register(platform, good),
    ])
    expect([failed.status, done.status]).toEqual([422, 200])
  })
})

describe('C10: many tables, many deploys at once', () => {
  /** As many locks as a small server has. */
  async function startSmallServer() {
    const dataDir = await mkdtemp(join(tmpdir(), 'db-gateway-small-'))
    const { url, stop } = await startEmbedded({
      dataDir,
      settings: { fsync: 'off', max_connections: '40', max_locks_per_transaction: '10' },
    })
    afterTest(async () => {
      await stop()
      await rm(dataDir, { recursive: true, force: true })
    })
    return url
  }

  test('what PostgreSQL has no memory for is tried again alone', async () => {
    const url = await startSmallServer()
    const gateway = await startTestGateway({ DATABASE_URL: url, MAX_TOTAL_CONNECTIONS: '30' })
    afterTest(() => gateway.stop())
    const platform = uniqueName('big')
    const tables = Array.from({ length: 400 }, (_, i) => `create table t${i} (id int primary key);`)
    const archive = await pack({
      ...GOOD,
      'migrations/001_tables.sql': `${tables.join('\n')}\nselect pg_sleep(2);`,
    })
    const tenants = ['a', 'b', 'c', 'd']
    const answers = await Promise.all(
      tenants.map((tenant) => gateway.register(platform, archive, tenant)),
    )
    expect(answers.map((one) => one.body.cause ?? one.status)).toEqual([200, 200, 200, 200])
    const short = gateway.logged.filter((one) => one.cause?.startsWith('out of shared memory'))
    expect(short.length).toBeGreaterThan(0)
    for (const tenant of tenants) {
      expect((await gateway.call(platform, 'f', [], tenant)).body.rows).toEqual([{ f: 'one' }])
    }
  })

  test('the embedded server has memory for 300 tables in 8 deploys at once', async () => {
    const gateway = await startProcess({
      DATA_DIR: await temporaryFolder(),
      MAX_TOTAL_CONNECTIONS: '50',
    })
    const tables = Array.from(
      { length: 300 },
      (_, i) => `create table t${i} (
        id bigserial primary key, name text not null unique, body jsonb,
        parent bigint references t${Math.max(0, i - 1)}
      ); create index on t${i} (body);`,
    )
    const counted = `
      create table counted as
      select count(*)::int as locks,
        current_setting('max_locks_per_transaction')::int * (
          current_setting('max_connections')::int
          + current_setting('max_prepared_transactions')::int
        ) as room
      from pg_locks where pid = pg_backend_pid() and not fastpath;`
    const platform = uniqueName('big')
    const registered = await gateway.register(platform, {
      'migrations/001_tables.sql': `${tables.join('\n')}\n${counted}`,
      'functions/counted.sql': `create function get_counted() returns setof counted
        language sql as $$ select * from counted $$;`,
    })
    expect(registered.body.cause ?? registered.status).toBe(200)
    const { body } = await gateway.call(platform, 'get_counted')
    const [{ locks, room }] = body.rows
    expect(locks).toBeGreaterThan(300 * 5)
    expect(locks * 8).toBeLessThan(room)
  })
})

describe('D7: SIGTERM in a fleet', () => {
  test('starts nothing new and says so; what is under way is finished', async () => {
    const url = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(url))
    const gateway = await startProcess({
      DATABASE_URL: url,
      MIGRATE_CONCURRENCY: '2',
      // A fleet goes on for half of it.
      SHUTDOWN_TIMEOUT_SECS: '6',
    })
    const platform = uniqueName('stop')
    const base = await gateway.url()
    const send = async (path: string, files: Files, tenant?: string) => {
      const body = schemaForm(platform, await pack(files), tenant)
      const response = await fetch(base + path, { method: 'POST', body })
      return { status: response.status, body: (await response.json()) as Json }
    }
    await send('/register', GOOD)
    const tenants = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const tenant of tenants) await send('/register', GOOD, tenant)

    const slow = { ...GOOD, 'migrations/001_slow.sql': 'select pg_sleep(2); create table done ();' }
    const migrating = send('/migrate', slow)
    await eventually('the tenants behind the canary are under way', () =>
      sessionsRunning(`${platform}_b`, 'pg_sleep').then((n) => n === 1),
    )
    gateway.kill('SIGTERM')
    const { status, body } = await migrating
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    expect(body.message).toMatch(/^The gateway is stopping: \d of 7 databases were not started/)
    expect(body.failed).toEqual([])
    expect(body.databases_updated.slice(0, 3)).toEqual(
      ['main', 'a', 'b'].map((name) => `${platform}_${name}`),
    )
    expect(body.not_started).toContain(`${platform}_f`)
    expect(body.not_started.length + body.databases_updated.length).toBe(7)
    expect(await gateway.exit).toMatchObject({ code: 0 })

    const next = await startProcess({ DATABASE_URL: url })
    const form = schemaForm(platform, await pack(slow), undefined, { only: 'failed' })
    const again = await fetch(`${await next.url()}/migrate`, { method: 'POST', body: form })
    expect(((await again.json()) as Json).databases_updated).toEqual(body.not_started)
  })
})

describe('G5: npm start', () => {
  test('SIGTERM to its process ends the gateway', async () => {
    const url = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(url))
    const port = await freePort()
    const env = { ...process.env, DATABASE_URL: url, GATEWAY_PORT: `${port}` }
    const program = startProgram('npm', ['start'], {
      cwd: PROJECT,
      env: { ...(env as Record<string, string>), GATEWAY_SECRET: 'x'.repeat(32) },
    })
    await program.line('Listening on ')
    program.kill('SIGTERM')
    expect(await program.exit).toEqual({ code: 0, signal: null })
    await program.line('"message":"Stopped"').catch(() => undefined)
    await expect(fetch(`http://127.0.0.1:${port}/live`)).rejects.toThrow()
  })
})
