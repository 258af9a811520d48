import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import postgres from 'postgres'
import { startEmbedded } from '../../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'

const PROJECT = join(import.meta.dirname, '../..')

/** A PostgreSQL of its own and a folder: both gone when the work ends. */
export interface PostgresRig {
  folder: string
  databaseUrl: string
  postmaster: number
  /** Ends everything. */
  signal: AbortSignal
  stopping: AbortController
}

/** The same with a gateway before it. */
export interface Rig extends PostgresRig {
  gatewayUrl: string
  gatewayPid: number
}

/** A process that answers HTTP. */
export interface Service {
  url: string
  port: number
  pid: number
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 15_000

/**
 * Starts a PostgreSQL with the settings that the gateway gives its embedded one and `settings` over
 * them; stops it and removes its folder whatever becomes of the work.
 */
export async function withPostgres<T>(
  stopping: AbortController,
  work: (rig: PostgresRig) => Promise<T>,
  settings: Record<string, string> = {},
): Promise<T> {
  const { signal } = stopping
  signal.throwIfAborted()
  const folder = await mkdtemp(join(tmpdir(), 'db-gateway-bench-'))
  try {
    // PostgreSQL runs as another user where this is root.
    await chmod(folder, 0o755)
    const server = await startEmbedded({
      dataDir: join(folder, 'data'),
      settings,
      onExit: () => stopping.abort(new Error('PostgreSQL has ended by itself')),
    })
    try {
      signal.throwIfAborted()
      const { url, pid } = server
      return await work({ folder, databaseUrl: url, postmaster: pid, signal, stopping })
    } finally {
      await server.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** As `withPostgres`, with a gateway in a process of its own, which is stopped as well. */
export async function withRig<T>(
  env: Record<string, string>,
  stopping: AbortController,
  work: (rig: Rig) => Promise<T>,
  settings: Record<string, string> = {},
): Promise<T> {
  return withPostgres(stopping, (rig) => withGateway(rig, env, work), settings)
}

/** Starts a gateway before the rig's PostgreSQL and stops it whatever becomes of the work. */
export async function withGateway<T>(
  rig: PostgresRig,
  env: Record<string, string>,
  work: (rig: Rig) => Promise<T>,
): Promise<T> {
  const gateway = await startGateway(rig, env)
  try {
    return await work({ ...rig, gatewayUrl: gateway.url, gatewayPid: gateway.pid })
  } finally {
    await gateway.stop()
  }
}

/** Runs SQL past the gateway and psql, in the gateway's own database where none is given. */
export async function query(
  { databaseUrl }: PostgresRig,
  database: string | undefined,
  text: string,
): Promise<string | undefined> {
  const server = parseDatabaseUrl(databaseUrl)
  const { host, port, user, password } = server
  const sql = postgres({
    host,
    port,
    user,
    password,
    database: database ?? server.database,
    max: 1,
  })
  try {
    const [row] = await sql.unsafe<{ text: string }[]>(text)
    return row?.text
  } finally {
    await sql.end()
  }
}

/**
 * Starts a gateway with these settings in a process of its own, as `npm start` does.
 * @param imports files that run in its main thread before it
 */
export async function startGateway(
  { folder, databaseUrl, stopping }: PostgresRig,
  env: Record<string, string>,
  imports: string[] = [],
): Promise<Service> {
  const files = [join(PROJECT, 'scripts/typescript.mjs'), ...imports]
  const port = await freePort()
  return startService(
    [
      ...files.flatMap((file) => ['--import', pathToFileURL(file).href]),
      join(PROJECT, 'server.ts'),
    ],
    { DATABASE_URL: databaseUrl, GATEWAY_PORT: `${port}`, ...env },
    { folder, port, stopping },
  )
}

/** Starts a Node process that answers on `port` with 200 for /health; its output goes to a file. */
export async function startService(
  args: string[],
  env: Record<string, string>,
  { folder, port, stopping }: { folder: string; port: number; stopping: AbortController },
): Promise<Service> {
  const { PATH, HOME, TMPDIR } = process.env
  const output = join(folder, `${port}.log`)
  const file = await open(output, 'w')
  const child = spawn(process.execPath, args, {
    // A folder without a .env file.
    cwd: folder,
    env: { PATH, HOME, TMPDIR, ...env },
    // Ctrl-C is for the benchmark alone, which then stops the service.
    detached: true,
    stdio: ['ignore', file.fd, file.fd],
  })
  let isStopping = false
  const closed = once(child, 'close').then(async () => {
    await file.close()
    if (isStopping) return
    const said = await readFile(output, 'utf8').catch(() => '')
    stopping.abort(new Error(`The service has ended by itself:\n${said.slice(-2000)}`))
  })
  const stop = async () => {
    isStopping = true
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await closed
    clearTimeout(timer)
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await waitForHealth(url, stopping.signal)
    return { url, port, pid: child.pid!, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function waitForHealth(url: string, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + START_TIMEOUT_MS
  for (;;) {
    signal.throwIfAborted()
    const isHealthy = await fetch(`${url}/health`, { signal }).then(
      (response) => response.ok,
      () => false,
    )
    if (isHealthy) return
    if (performance.now() > giveUpAt) throw new Error('The service does not start')
    await sleep(50)
  }
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
