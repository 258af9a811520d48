import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { queryDatabase, uniqueName } from '../helpers/gateway.ts'
import { type Files, textFunction } from '../helpers/platforms.ts'
import { eventually, startProcess } from '../helpers/process.ts'

import { adminDatabase, connectionError, isRunning, SLEEPER, startSleeping } from './setup.ts'

describe('with an embedded PostgreSQL', () => {
  let folder: string
  let dataDir: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gateway-data-'))
    // PostgreSQL runs as another user where the tests run as root.
    await chmod(folder, 0o755)
    dataDir = join(folder, 'data')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const start = (settings = {}) => startProcess({ DATA_DIR: dataDir, ...settings })

  /** The process id of the PostgreSQL server that works in DATA_DIR. */
  async function postgresPid(): Promise<number | undefined> {
    const file = join(dataDir, 'postgres/data/postmaster.pid')
    return existsSync(file) ? Number.parseInt(await readFile(file, 'utf8'), 10) : undefined
  }

  it('creates DATA_DIR, answers, and on SIGTERM ends with exit code 0 and its PostgreSQL', async () => {
    const gateway = await start()
    expect(
      await gateway.register('shop', { ...SLEEPER, ...textFunction('ping', 'pong') }),
    ).toMatchObject({ status: 200 })
    const postgres = await postgresPid()
    expect(isRunning(postgres!)).toBe(true)
    // Its own databases are closed to the roles of platforms, so that there is nothing to warn of.
    expect(gateway.entries().filter(({ level }) => level === 'warn')).toEqual([])

    gateway.kill('SIGTERM')

    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(isRunning(postgres!)).toBe(false)
    expect(await postgresPid()).toBeUndefined()
    expect(gateway.entries().at(-1)).toMatchObject({ message: 'Stopped' })
  })

  it('has everything again after a restart, and ends on SIGINT as on SIGTERM', async () => {
    const gateway = await start()
    expect(await gateway.call('shop', 'ping')).toMatchObject({ body: { rows: [{ ping: 'pong' }] } })
    const postgres = await postgresPid()

    gateway.kill('SIGINT')

    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(isRunning(postgres!)).toBe(false)
  })

  it('answers a request that runs when SIGTERM comes, and refuses new connections', async () => {
    const gateway = await start()
    const url = await gateway.url()
    const { answer } = await startSleeping(gateway, 'shop', 1.5)

    gateway.kill('SIGTERM')
    await gateway.line('SIGTERM: stopping')

    expect(await connectionError(url)).toBe('ECONNREFUSED')
    expect(await answer).toMatchObject({ status: 200, body: { rows: [{ sleep: 'slept' }] } })
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    expect(gateway.entries().at(-2)).toMatchObject({ path: '/call', status: 200 })
  })

  it('starts again after SIGKILL, though that leaves its PostgreSQL behind', async () => {
    const killed = await start()
    await killed.url()
    const postgres = await postgresPid()
    killed.kill('SIGKILL')
    await killed.exit
    expect(isRunning(postgres!)).toBe(true)

    const gateway = await start()

    expect(await gateway.call('shop', 'ping')).toMatchObject({ status: 200 })
    expect(isRunning(postgres!)).toBe(false)
  })

  it('ends with exit code 1 when its PostgreSQL ends by itself', async () => {
    const gateway = await start({ RUST_LOG: 'debug' })
    await gateway.url()
    process.kill((await postgresPid())!, 'SIGKILL')

    expect(await gateway.exit).toEqual({ code: 1, signal: null })
    expect(gateway.entries().at(-1)).toMatchObject({
      level: 'error',
      message: 'The embedded PostgreSQL has exited unexpectedly',
    })
    // RUST_LOG counts where LOG_LEVEL is not set: what PostgreSQL says is debug.
    const debug = gateway.entries().filter(({ level }) => level === 'debug')
    expect(debug.map(({ message }) => message).join()).toContain('ready to accept connections')
  })
})

describe('killed in the middle of a deploy', () => {
  const before: Files = {
    'functions/has_bills.pssql': `
      create or replace function has_bills() returns boolean language sql
      as $$ select to_regclass('bills') is not null $$;`,
  }
  const after: Files = {
    ...before,
    'migrations/001_bills.pssql': 'create table bills (id integer primary key);',
    'migrations/002_slow.pssql': 'select pg_sleep(2);',
  }

  it('leaves a database as it was, and /register goes on after the restart: a new one is made anew', async () => {
    const settings = { DATABASE_URL: await adminDatabase() }
    const killed = await startProcess(settings)
    const [known, fresh] = [uniqueName('known'), uniqueName('fresh')]
    await killed.register(known, before)
    for (const platform of [known, fresh]) killed.register(platform, after).catch(() => {})
    await eventually('both deploys are at their second migration', async () => {
      const rows = await queryDatabase(
        parseDatabaseUrl(settings.DATABASE_URL).database,
        `select from pg_stat_activity
         where datname in ('${known}_main', '${fresh}_main') and wait_event = 'PgSleep'`,
      )
      return rows.length === 2
    })
    killed.kill('SIGKILL')
    await killed.exit

    const gateway = await startProcess(settings)

    expect((await gateway.call(known, 'has_bills')).body.rows).toEqual([{ has_bills: false }])
    expect(await gateway.call(fresh, 'has_bills')).toMatchObject({ status: 404 })
    const answers = await Promise.all(
      [known, fresh].map((platform) => gateway.register(platform, after)),
    )
    expect(answers).toMatchObject([
      { status: 200, body: { migrations_applied: 2 } },
      { status: 200, body: { migrations_applied: 2 } },
    ])
    expect((await gateway.call(fresh, 'has_bills')).body.rows).toEqual([{ has_bills: true }])
  })
})
