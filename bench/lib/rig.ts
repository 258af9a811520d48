import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import postgres from 'postgres'
import { startEmbedded } from '../../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../../lib/postgres/server.ts'

const PROJECT = join(import.meta.dirname, '../..')

/** A PostgreSQL of its own, a gateway before it, and a folder: all gone when the work ends. */
export interface Rig {
  folder: string
  databaseUrl: string
  postmaster: number
  gatewayUrl: string
  gatewayPid: number
  /** Ends everything. */
  signal: AbortSignal
}

interface GatewayChild {
  url: string
  pid: number
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 15_000

/**
 * Starts a PostgreSQL with the settings that the gateway gives its embedded one, and a gateway in a
 * process of its own; stops both and removes their folder whatever becomes of the work.
 */
export async function withRig<T>(
  concurrency: number,
  stopping: AbortController,
  work: (rig: Rig) => Promise<T>,
): Promise<T> {
  const { signal } = stopping
  signal.throwIfAborted()
  const folder = await mkdtemp(join(tmpdir(), 'db-gateway-bench-'))
  try {
    // PostgreSQL runs as another user where this is root.
    await chmod(folder, 0o755)
    const server = await startEmbedded({
      dataDir: join(folder, 'data'),
      onExit: () => stopping.abort(new Error('PostgreSQL has ended by itself')),
    })
    try {
      signal.throwIfAborted()
      const gateway = await startGateway(folder, server.url, concurrency, stopping)
      try {
        return await work({
          folder,
          databaseUrl: server.url,
          postmaster: server.pid,
          gatewayUrl: gateway.url,
          gatewayPid: gateway.pid,
          signal,
        })
      } finally {
        await gateway.stop()
      }
    } finally {
      await server.stop()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Runs SQL past the gateway and psql, in the gateway's own database where none is given. */
export async function query(
  { databaseUrl }: Rig,
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

async function startGateway(
  cwd: string,
  databaseUrl: string,
  concurrency: number,
  stopping: AbortController,
): Promise<GatewayChild> {
  const { PATH, HOME, TMPDIR } = process.env
  const port = await freePort()
  const loader = pathToFileURL(join(PROJECT, 'node_modules/tsx/dist/loader.mjs')).href
  const child = spawn(process.execPath, ['--import', loader, join(PROJECT, 'server.ts')], {
    // A folder without a .env file.
    cwd,
    env: {
      ...{ PATH, HOME, TMPDIR },
      DATABASE_URL: databaseUrl,
      // Not 0: at this log level nothing tells which port it took.
      GATEWAY_PORT: `${port}`,
      LOG_LEVEL: 'warn',
      MIGRATE_CONCURRENCY: `${concurrency}`,
    },
    // Ctrl-C is for the benchmark alone, which then stops the gateway.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  let isStopping = false
  const closed = once(child, 'close').then(() => {
    if (!isStopping) stopping.abort(new Error(`The gateway has ended by itself:\n${output}`))
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
    return { url, pid: child.pid!, stop }
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
    if (performance.now() > giveUpAt) throw new Error('The gateway does not start')
    await sleep(50)
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
