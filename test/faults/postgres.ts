import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { layoutOf, readPasswords } from '../../lib/postgres/embedded/cluster.ts'
import { findServersOf, sendSignal } from '../../lib/postgres/embedded/processes.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../lib/postgres/embedded.ts'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/hosts/server.ts'
import type { Json } from '../helpers/gateway.ts'
import { eventually, freePort } from '../helpers/process.ts'
import { dataDirOf, registerProcess } from './setup.ts'

/** A server that can be killed, and comes back at the same addresses. */
export class MortalPostgres {
  readonly #folder: string
  readonly #port: number
  readonly #settings: Record<string, string>
  #server: Server | undefined
  #running: { embedded: EmbeddedPostgres; ended: Promise<void> } | undefined

  /** `settings` are of postgresql.conf. */
  static async start(
    folder: string,
    settings: Record<string, string> = {},
  ): Promise<MortalPostgres> {
    const one = new MortalPostgres(folder, await freePort(), settings)
    await mkdir(one.#socketFolder, { recursive: true })
    await chmod(one.#socketFolder, 0o777)
    await one.start()
    return one
  }

  private constructor(folder: string, port: number, settings: Record<string, string>) {
    this.#folder = folder
    this.#port = port
    this.#settings = settings
  }

  async start(): Promise<void> {
    let onEnd = () => {}
    const ended = new Promise<void>((resolve) => {
      onEnd = resolve
    })
    const embedded = await startEmbedded({
      dataDir: dataDirOf(this.#folder),
      // Commits reach the kernel, which outlives the processes that are killed here. Nothing else
      // may be left out: what was committed has to be there afterwards.
      settings: {
        listen_addresses: '127.0.0.1',
        port: `${this.#port}`,
        unix_socket_directories: this.#socketFolder,
        fsync: 'off',
        ...this.#settings,
      },
      onExit: () => onEnd(),
    })
    registerProcess(this.#folder, embedded.pid)
    this.#running = { embedded, ended }
    const { password } = parseDatabaseUrl(embedded.url)
    this.#server = parseDatabaseUrl(this.url('tcp', 'faults', password))
  }

  async stop(): Promise<void> {
    await this.#running?.embedded.stop()
    this.#running = undefined
  }

  /** What DATABASE_URL takes, to come over TCP or by the Unix-domain socket. */
  url(way: 'tcp' | 'socket', applicationName: string, password = this.#server!.password): string {
    const options = `application_name=${applicationName}`
    return way === 'tcp'
      ? `postgres://gateway:${password}@127.0.0.1:${this.#port}/gateway?${options}`
      : `postgres://gateway:${password}@/gateway?host=${this.#socketFolder}&port=${this.#port}&${options}`
  }

  /** Sends a signal to the postmaster, and waits until that is gone. */
  async kill(signal: 'SIGKILL' | 'SIGQUIT' | 'SIGINT'): Promise<void> {
    const { embedded, ended } = this.#running!
    process.kill(embedded.pid, signal)
    await ended
    this.#running = undefined
  }

  /** Stops all its processes in the middle of what they do, or lets them go on. */
  signalAll(signal: 'SIGSTOP' | 'SIGCONT'): void {
    for (const pid of findServersOf(this.cluster)) sendSignal(pid, signal)
  }

  /** The folder of its data: what is created for its tablespaces is of the same owner. */
  get cluster(): string {
    return join(dataDirOf(this.#folder), 'postgres/data')
  }

  get port(): number {
    return this.#port
  }

  /** A connection of its own, as the gateway's role. */
  connect(database = 'gateway'): postgres.Sql {
    const { user, password } = this.#server!
    return postgres({ ...this.#address, user, password, database, max: 1, onnotice: () => {} })
  }

  /** What the gateway's role may not do. */
  async queryAsSuperuser(text: string): Promise<void> {
    const { postgres: password } = await readPasswords(layoutOf(dataDirOf(this.#folder)))
    const sql = postgres({ ...this.#address, user: 'postgres', password, max: 1 })
    await sql.unsafe(text).finally(() => sql.end())
  }

  /** Does something with a connection of its own. */
  async use<T>(database: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
    const sql = this.connect(database)
    try {
      return await work(sql)
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  async query(text: string, database = 'gateway'): Promise<Json[]> {
    return this.use(database, (sql) => sql.unsafe(text))
  }

  /** Waits until it takes connections, as it does again when it has recovered from a crash. */
  async ready(): Promise<void> {
    await eventually('PostgreSQL takes connections', () =>
      this.query('select 1').then(
        () => true,
        () => sleep(50, false),
      ),
    )
  }

  get #address() {
    return { host: '127.0.0.1', port: this.#port, database: 'gateway' }
  }

  get #socketFolder(): string {
    return join(this.#folder, 'socket')
  }
}
