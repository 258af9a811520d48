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

const run = promisify(execFile)

const PORT = 5432
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }

/** A server that keeps its address when it is stopped and started again. */
export class ReplicationServer {
  readonly #folder: string
  readonly #settings: Record<string, string>
  #running: EmbeddedPostgres | undefined
  #isFrozen = false
  readonly #onExit = () => this.thaw()

  /** `folder`: where all of it is. */
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

  /** Ends it as a crash would: nobody is told, nothing is finished. */
  async crash(): Promise<void> {
    process.kill(this.#running!.pid, 'SIGQUIT')
    await this.#running!.stop()
    this.#running = undefined
  }

  /** Has all of it stand still: it answers nobody, and nobody is told. */
  freeze(): void {
    this.#isFrozen = true
    // Tests that are interrupted leave none that cannot end.
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
    // First, so that it starts no more of them.
    process.kill(pid, signal)
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    for (const one of children.trim().split(' ').map(Number)) {
      try {
        process.kill(one, signal)
      } catch (error) {
        // It has ended just now.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
  }

  /** Has it be a standby when it is started again: of `primary`, or of none that is there. */
  async demote(primary?: ReplicationServer): Promise<void> {
    const source = (await primary?.source()) ?? `host=${this.#folder}/nowhere`
    await writeAsOwner(this.cluster, 'standby.signal', '')
    await appendFile(
      join(this.cluster, 'postgresql.auto.conf'),
      `primary_conninfo = '${source}'\nsynchronous_standby_names = ''\n`,
    )
  }

  /** What a standby of it has as primary_conninfo. */
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

  /** As the gateway's role; what DATABASE_URL takes. */
  async url(applicationName: string): Promise<string> {
    const { gateway } = await readPasswords(layoutOf(this.dataDir))
    const query = `host=${this.socketFolder}&port=${PORT}&application_name=${applicationName}`
    return `postgres://gateway:${gateway}@/gateway?${query}`
  }

  /** Of the superuser; both servers of a pair have the same. */
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

/** Of servers of which one is the primary, and the others are copies: what DATABASE_URL takes. */
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
  /** Stops both, and leaves nothing. */
  end(): Promise<void>
}

/** Starts a server and a streaming replica of it, with these settings of the replica's own. */
export async function startReplication(
  standbySettings: Record<string, string> = {},
): Promise<ReplicationPair> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'db-gateway-pair-')))
  // PostgreSQL runs as another user where the tests run as root.
  await chmod(folder, 0o755)
  // Vitest exits at once when it is interrupted; the servers are told to stop by then.
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
    // A server that is stopped can be copied as it is.
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

/** PostgreSQL manual, "Setting Up a Standby Server". */
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
