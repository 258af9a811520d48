import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { FaultProxy } from '../helpers/fault-proxy.ts'
import type { Json } from '../helpers/gateway.ts'
import { eventually, freePort, type GatewayProcess, startProcess } from '../helpers/process.ts'
import { registerTenants } from './calls-platform.ts'
import type { MortalPostgres } from './postgres.ts'
import { registerProcess } from './setup.ts'

/** Reserved for names that no resolver knows (RFC 2606). */
const HOST = 'postgres.invalid'

/** What it takes until a gateway has closed what is dead and opened what it needs. */
const LEAK_PATIENCE_MS = 20_000

/** The gateway as a process, behind a proxy, with some tenants. */
export class CallsWorld {
  readonly postgres: MortalPostgres
  readonly proxy: FaultProxy
  readonly url: string
  readonly #gateway: GatewayProcess
  readonly #unresolved: string
  readonly #applicationName: string

  static async start(
    postgres: MortalPostgres,
    folder: string,
    settings: Record<string, string>,
  ): Promise<CallsWorld> {
    const cwd = join(folder, 'calls-gateway')
    const unresolved = join(folder, 'unresolved')
    await mkdir(cwd, { recursive: true })
    await rm(unresolved, { force: true })
    const proxy = await FaultProxy.start({ host: '127.0.0.1', port: postgres.port })
    const port = await freePort()
    const applicationName = `calls-${proxy.port}`
    const url = postgres
      .url('tcp', applicationName)
      .replace(`127.0.0.1:${postgres.port}`, `${HOST}:${proxy.port}`)
    const gateway = await startProcess(
      {
        DATABASE_URL: `${url}&sslmode=disable`,
        NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'resolver.mjs'))}`,
        RESOLVED_NAME: HOST,
        UNRESOLVED_WHILE: unresolved,
        GATEWAY_PORT: `${port}`,
        // A line of log for each call is much work for the tests.
        LOG_LEVEL: 'warn',
        ...settings,
      },
      cwd,
    )
    registerProcess(folder, gateway.pid)
    await eventually('the gateway answers', () =>
      fetch(`http://127.0.0.1:${port}/health`).then(
        ({ ok }) => ok,
        () => false,
      ),
    )
    return new CallsWorld(
      postgres,
      proxy,
      gateway,
      `http://127.0.0.1:${port}`,
      unresolved,
      applicationName,
    )
  }

  private constructor(
    postgres: MortalPostgres,
    proxy: FaultProxy,
    gateway: GatewayProcess,
    url: string,
    unresolved: string,
    applicationName: string,
  ) {
    this.postgres = postgres
    this.proxy = proxy
    this.url = url
    this.#gateway = gateway
    this.#unresolved = unresolved
    this.#applicationName = applicationName
  }

  register(platform: string, tenants: string[]): Promise<void> {
    return registerTenants(this.url, platform, tenants)
  }

  async forgetHost(isForgotten: boolean): Promise<void> {
    if (isForgotten) await writeFile(this.#unresolved, '')
    else await rm(this.#unresolved)
  }

  /** Log entries of errors: none of what happens here is one. */
  bugs(): Json[] {
    return this.#gateway.entries().filter(({ level }) => level === 'error')
  }

  /** Resident memory, in MiB. */
  async rss(): Promise<number> {
    const status = await readFile(`/proc/${this.#gateway.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  }

  /**
   * Waits until the gateway and PostgreSQL agree on how many connections there are, none of which
   * does anything.
   * @returns their number
   */
  async withoutLeak(): Promise<number> {
    let seen: Json
    const look = async () => {
      const [row] = await this.postgres.query(`
        select count(*)::integer as open,
          count(*) filter (where state <> 'idle')::integer as busy
        from pg_stat_activity where application_name = '${this.#applicationName}'
      `)
      const health = (await (await fetch(`${this.url}/health`)).json()) as Json
      seen = { ...row, permits: health.total_connections, status: health.status }
      return seen.busy === 0 && seen.open === seen.permits && seen.status === 'healthy'
    }
    await eventually('permits and connections agree', look, LEAK_PATIENCE_MS).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(seen)}`)
    })
    return seen.permits
  }

  async stop(): Promise<void> {
    this.#gateway.kill('SIGTERM')
    await this.#gateway.exit
    await this.proxy.stop()
  }
}
