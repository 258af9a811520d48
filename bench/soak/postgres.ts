import { execFile } from 'node:child_process'
import { chown, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { layoutOf } from '../../lib/postgres/embedded/cluster.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { freePort } from '../lib/rig.ts'

const run = promisify(execFile)

/** What the gateway's connections are called in pg_stat_activity. */
const GATEWAY = 'soak-gateway'

/** The gateway's role and its administrative database. */
const NAME = 'gateway'

/** A PostgreSQL that is stopped and comes back at the same address. */
export class SoakPostgres {
  readonly #folder: string
  readonly #port: number
  readonly #onExit: () => void
  readonly #settings: Record<string, string>
  #password = ''
  #running: { embedded: EmbeddedPostgres; ended: Promise<void> } | undefined
  #isMeantToEnd = false
  #watch: postgres.Sql | undefined

  /** `onExit`: it has ended by itself. */
  static async start(folder: string, onExit: () => void): Promise<SoakPostgres> {
    const one = new SoakPostgres(folder, await freePort(), onExit)
    await one.#start()
    return one
  }

  private constructor(
    folder: string,
    port: number,
    onExit: () => void,
    settings: Record<string, string> = {},
  ) {
    this.#folder = folder
    this.#port = port
    this.#onExit = onExit
    this.#settings = settings
  }

  /** Starts a streaming replica of it in a folder that is there. Its files are copied while it is stopped. */
  async startReplica(folder: string): Promise<SoakPostgres> {
    const { embedded } = this.#running!
    const { password } = parseDatabaseUrl(embedded.superuserUrl)
    const source = `host=127.0.0.1 port=${this.#port} user=postgres password=${password}`
    const replica = new SoakPostgres(folder, await freePort(), this.#onExit, {
      primary_conninfo: source,
      // It comes back soon after a restart of the primary.
      wal_retrieve_retry_interval: '100',
    })
    await embedded.stop()
    await run('cp', ['-Rp', this.#dataDir, replica.#dataDir])
    const { cluster } = layoutOf(replica.#dataDir)
    const { uid, gid } = await stat(cluster)
    const file = join(cluster, 'standby.signal')
    await writeFile(file, '', { mode: 0o600 })
    await chown(file, uid, gid)
    await this.#start()
    await replica.#start()
    return replica
  }

  /** What DATABASE_URL takes. */
  get url(): string {
    const at = `127.0.0.1:${this.#port}`
    return `postgres://${NAME}:${this.#password}@${at}/${NAME}?application_name=${GATEWAY}`
  }

  /** Stops it as `pg_ctl stop -m fast` or `-m immediate` does, and starts it again. */
  async restart(mode: 'fast' | 'immediate'): Promise<void> {
    const { embedded, ended } = this.#running!
    this.#isMeantToEnd = true
    if (mode === 'fast') await embedded.stop()
    else {
      process.kill(embedded.pid, 'SIGQUIT')
      await ended
    }
    this.#isMeantToEnd = false
    await this.#start()
  }

  async stop(): Promise<void> {
    await this.#watch?.end({ timeout: 1 })
    await this.#running?.embedded.stop()
  }

  /** Ends some of the gateway's backends, and says how many. */
  async terminate(count: number): Promise<number> {
    const rows = await this.#sql()`
      select pg_terminate_backend(pid) from (
        select pid from pg_stat_activity
        where application_name = ${GATEWAY} and datname like 'soak\\_%'
        order by random() limit ${count}
      ) as chosen
    `
    return rows.length
  }

  /** How many connections the gateway has, as PostgreSQL sees it. */
  async connections(): Promise<number> {
    const [row] = await this.#sql()<{ count: number }[]>`
      select count(*)::integer as count from pg_stat_activity where application_name = ${GATEWAY}
    `
    return row!.count
  }

  /** Runs SQL in a database, past the gateway. */
  async query<Row>(database: string, text: string): Promise<Row[]> {
    const sql = this.#connect(database)
    try {
      return (await sql.unsafe(text)) as unknown as Row[]
    } finally {
      await sql.end()
    }
  }

  get #dataDir(): string {
    return join(this.#folder, 'data')
  }

  async #start(): Promise<void> {
    let onEnd = () => {}
    const ended = new Promise<void>((resolve) => {
      onEnd = resolve
    })
    const embedded = await startEmbedded({
      dataDir: this.#dataDir,
      settings: {
        listen_addresses: '127.0.0.1',
        port: `${this.#port}`,
        fsync: 'off',
        ...this.#settings,
      },
      onExit: () => {
        onEnd()
        if (!this.#isMeantToEnd) this.#onExit()
      },
    })
    this.#password = parseDatabaseUrl(embedded.url).password
    this.#running = { embedded, ended }
  }

  #sql(): postgres.Sql {
    this.#watch ??= this.#connect(NAME)
    return this.#watch
  }

  #connect(database: string): postgres.Sql {
    return postgres({
      host: '127.0.0.1',
      port: this.#port,
      user: NAME,
      password: this.#password,
      database,
      max: 1,
      connection: { application_name: 'soak-watch' },
      onnotice: () => {},
    })
  }
}
