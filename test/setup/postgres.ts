import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {} from 'vitest'
import type { TestProject } from 'vitest/node'
import { layoutOf, readPasswords } from '../../lib/postgres/embedded/cluster.ts'
import { startEmbedded } from '../../lib/postgres/embedded.ts'
import { startMajor, type TestServer } from './majors.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL server for the tests, as the gateway's DATABASE_URL. */
    databaseUrl: string
    /** The same server as a superuser; undefined where TEST_SUPERUSER_URL does not give it. */
    superuserUrl: string | undefined
  }
}

/**
 * Provides `databaseUrl`: TEST_DATABASE_URL (and TEST_SUPERUSER_URL), or a server of its own that
 * ends with the tests, of the major version PG_MAJOR.
 */
export default async function setup(
  project: TestProject,
): Promise<(() => Promise<void>) | undefined> {
  const given = process.env.TEST_DATABASE_URL
  if (given) {
    project.provide('databaseUrl', given)
    project.provide('superuserUrl', process.env.TEST_SUPERUSER_URL)
    return undefined
  }
  const { url, superuserUrl, stop } = await startServer()
  project.provide('databaseUrl', url)
  project.provide('superuserUrl', superuserUrl)
  return stop
}

async function startServer(): Promise<TestServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'db-gateway-test-'))
  const settings = {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '300',
    checkpoint_timeout: '1h',
    max_wal_size: '2GB',
  }
  // Vitest exits at once when it is interrupted, without the teardown; the server is told to stop
  // by then, but works in this folder a moment longer.
  const onExit = () => {
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
  process.once('exit', onExit)
  const major = process.env.PG_MAJOR || '18'
  const starting =
    major === '18' ? startOwn(dataDir, settings) : startMajor(major, dataDir, settings)
  const server = await starting.catch(async (error) => {
    await rm(dataDir, { recursive: true, force: true })
    throw error
  })
  const stop = async () => {
    await server.stop()
    process.off('exit', onExit)
    await rm(dataDir, { recursive: true, force: true })
  }
  return { ...server, stop }
}

/** The PostgreSQL that comes with the gateway. */
async function startOwn(dataDir: string, settings: Record<string, string>): Promise<TestServer> {
  const { url, stop } = await startEmbedded({ dataDir, settings })
  const { postgres: password } = await readPasswords(layoutOf(dataDir))
  const superuserUrl = url.replace(/gateway:[^@]*@\/gateway/, `postgres:${password}@/postgres`)
  return { url, superuserUrl, stop }
}
