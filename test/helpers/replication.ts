import { execFile } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  mkdtemp,
  realpath,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { layoutOf, readPasswords } from '../../lib/postgres/embedded/cluster.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../lib/postgres/embedded.ts'
import type { Json } from './gateway.ts'
import { killServer } from './kill-server.ts'

const run = promisify(execFile)

const PORT = 5432
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }

/** A PostgreSQL server that keeps its address over restarts. */
export class ReplicationServer {
  readonly #folder: string
  readonly #settings: Record<string, string>
  /** Lines of its log. */
  readonly logged: string[] = []
  #running: EmbeddedPostgres | undefined
  #isFrozen = false
  readonly #onExit = () => this.thaw()

  /** @param folder folder of all files of the server */
  constructor(folder: string, settings: Record<string, string> = {}) {
    this.#folder = folder
    this.#settings = settings
  }

  async start(): Promise<void> {
    await mkdir(this.socketFolder, { recursive: true })
    await chmod(this.#folder, 0o755)
    await chmod(this.socketFolder, 0o777)
    this.#running = await startEmbedded({
      dataDir: this.dataDir,
      onLog: (line) => this.logged.push(line),
      settings: {
        unix_socket_directories: this.socketFolder,
        fsync: 'off',
        full_page_writes: 'off',
        ...this.#settings,
      },
    })
  }

  async stop(): Promise<void> {
    if (this.#isFrozen) this.thaw()
    await this.#running?.stop()
    this.#running = undefined
  }

  /** Ends the server as a crash does: without notice to clients and without a checkpoint. */
  async crash(): Promise<void> {
    process.kill(this.#running!.pid, 'SIGQUIT')
    await this.#running!.stop()
    this.#running = undefined
  }

  /** Ends all processes of the server with SIGKILL. */
  async kill(): Promise<void> {
    killServer(this.#running!.pid)
    await this.#running!.stop()
    this.#running = undefined
  }

  /**
   * Stops all processes of the server with SIGSTOP: it does not answer, and its connections stay
   * open.
   */
  freeze(): void {
    this.#isFrozen = true
    // A frozen server cannot be stopped: thaw it if the tests are interrupted.
    process.once('exit', this.#onExit)
    this.#signal('SIGSTOP')
  }

  thaw(): void {
    this.#isFrozen = false
    process.off('exit', this.#onExit)
    this.#signal('SIGCONT')
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#running!
    // Signal the postmaster first, so that it starts no more children.
    process.kill(pid, signal)
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    for (const one of children.trim().split(' ').map(Number)) {
      try {
        process.kill(one, signal)
      } catch (error) {
        // The child has just exited.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }

  /**
   * Makes the server start as a standby the next time: of `primary`, or of a primary that does not
   * exist.
   */
  async demote(primary?: ReplicationServer): Promise<void> {
    const source = (await primary?.source()) ?? `host=${this.#folder}/nowhere`
    await writeAsOwner(this.cluster, 'standby.signal', '')
    await appendFile(
      join(this.cluster, 'postgresql.auto.conf'),
      `primary_conninfo = '${source}'\nsynchronous_standby_names = ''\n`,
    )
  }

  /** Returns primary_conninfo for a standby of this server. */
  async source(): Promise<string> {
    const password = await this.password()
    return `host=${this.socketFolder} port=${PORT} user=postgres password=${password}`
  }

  get dataDir(): string {
    return join(this.#folder, 'data')
  }

  get cluster(): string {
    return layoutOf(this.dataDir).cluster
  }

  get socketFolder(): string {
    return join(this.#folder, 'socket')
  }

  /** Returns the connection URI with the gateway's role, as DATABASE_URL takes it. */
  async url(applicationName: string): Promise<string> {
    const { gateway } = await readPasswords(layoutOf(this.dataDir))
    const query = `host=${this.socketFolder}&port=${PORT}&application_name=${applicationName}`
    return `postgres://gateway:${gateway}@/gateway?${query}`
  }

  /** Returns the superuser's password; both servers of a pair have the same. */
  async password(): Promise<string> {
    return (await readPasswords(layoutOf(this.dataDir))).postgres
  }

  /** Runs SQL as the superuser. */
  async query(text: string, database = 'gateway'): Promise<Json[]> {
    const sql = postgres({
      host: this.socketFolder,
      port: PORT,
      user: 'postgres',
      password: await this.password(),
      database,
      max: 1,
      onnotice: () => {},
    })
    try {
      return await sql.unsafe(text)
    } finally {
      await sql.end()
    }
  }
}

/** Returns the DATABASE_URL for a primary and its copies. */
export async function urlOfHosts(
  servers: ReplicationServer[],
  applicationName: string,
): Promise<string> {
  const url = await servers[0]!.url(applicationName)
  const folders = servers.map(({ socketFolder }) => socketFolder).join(',')
  return url.replace(/host=[^&]*/, `host=${folders}`)
}

/** A server and its streaming replica. */
export interface ReplicationPair {
  primary: ReplicationServer
  standby: ReplicationServer
  /** Stops both servers and deletes their files. */
  end(): Promise<void>
}

/** Starts a server and a streaming replica, with additional settings for the replica. */
export async function startReplication(
  standbySettings: Record<string, string> = {},
): Promise<ReplicationPair> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'db-gateway-pair-')))
  // If the tests run as root, PostgreSQL runs as another user.
  await chmod(folder, 0o755)
  // Vitest exits at once when it is interrupted; the servers have been told to stop by then.
  const onExit = () => rmSync(folder, REMOVAL)
  process.once('exit', onExit)
  const primary = new ReplicationServer(join(folder, 'primary'))
  const standby = new ReplicationServer(join(folder, 'standby'), standbySettings)
  const end = async () => {
    await standby.stop()
    await primary.stop()
    process.off('exit', onExit)
    await rm(folder, REMOVAL)
  }
  try {
    // The files of a stopped server can be copied as they are.
    await primary.start()
    await primary.stop()
    await makeStandby(primary, standby, join(folder, 'standby'))
    await primary.start()
    await standby.start()
    return { primary, standby, end }
  } catch (error) {
    await end()
    throw error
  }
}

/**
 * Makes a copy of the primary into its standby (PostgreSQL manual, "Setting Up a Standby Server").
 */
async function makeStandby(
  primary: ReplicationServer,
  standby: ReplicationServer,
  folder: string,
): Promise<void> {
  await mkdir(folder)
  await run('cp', ['-Rp', primary.dataDir, standby.dataDir])
  await writeAsOwner(standby.cluster, 'standby.signal', '')
  const settings = `primary_conninfo = '${await primary.source()}'\nwal_retrieve_retry_interval = 100\n`
  await appendFile(join(standby.cluster, 'postgresql.auto.conf'), settings)
}

async function writeAsOwner(folder: string, name: string, text: string): Promise<void> {
  const { uid, gid } = await stat(folder)
  await writeFile(join(folder, name), text, { mode: 0o600 })
  await chown(join(folder, name), uid, gid)
}
