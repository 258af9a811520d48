import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect as openConnection } from 'node:net'
import { promisify } from 'node:util'
import { processStart } from '../../lib/postgres/embedded/processes.ts'
import { afterTest } from '../helpers/after-test.ts'
import { createAdminDatabase, dropAdminDatabase } from '../helpers/gateway.ts'
import type { Files } from '../helpers/platforms.ts'
import { eventually, type GatewayProcess, startProcess } from '../helpers/process.ts'

export const run = promisify(execFile)

/** A platform that can be kept busy, and tells when it is. */
export const SLEEPER: Files = {
  'functions/sleep.pssql': `
    create or replace function sleep(seconds double precision) returns text language sql
    as $$ select 'slept' from pg_sleep(seconds) $$;`,
  'functions/sleepers.pssql': `
    create or replace function sleepers() returns integer language sql
    as $$ select count(*)::integer from pg_stat_activity
          where datname = current_database() and wait_event = 'PgSleep' $$;`,
}

/** A gateway whose PostgreSQL is the test server, with an administrative database of its own. */
export async function startOnTestServer(
  settings: Record<string, string> = {},
): Promise<GatewayProcess> {
  return startProcess({ DATABASE_URL: await adminDatabase(), ...settings })
}

export async function adminDatabase(): Promise<string> {
  const url = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(url))
  return url
}

/** A call of `sleep` that PostgreSQL is at work on. */
export async function startSleeping(gateway: GatewayProcess, platform: string, seconds: number) {
  const answer = gateway.call(platform, 'sleep', [seconds])
  answer.catch(() => {})
  await eventually('the call sleeps', async () => {
    const { body } = await gateway.call(platform, 'sleepers')
    return body.rows[0].sleepers === 1
  })
  return { answer }
}

/** The code of the error with which a new connection fails. */
export async function connectionError(url: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = openConnection(Number(port), hostname)
  try {
    await once(socket, 'connect')
    return 'none'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  } finally {
    socket.destroy()
  }
}

export async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const started = performance.now()
  const result = await work()
  return { result, ms: performance.now() - started }
}

export function isRunning(pid: number): boolean {
  return processStart(pid) !== undefined
}
