import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Json } from '../../helpers/gateway.ts'
import { eventually, freePort, type GatewayProcess, startProcess } from '../../helpers/process.ts'
import { registerTenants } from '../calls-platform.ts'
import { registerProcess } from '../setup.ts'

export const APPLICATION = 'patroni-faults'

/** A gateway as a process, with a platform of some tenants. */
export class World {
  readonly url: string
  readonly #gateway: GatewayProcess

  static async start(
    folder: string,
    databaseUrl: string,
    settings: Record<string, string>,
  ): Promise<World> {
    const cwd = join(folder, 'patroni-gateway')
    await mkdir(cwd, { recursive: true })
    const port = await freePort()
    const gateway = await startProcess(
      { DATABASE_URL: databaseUrl, GATEWAY_PORT: `${port}`, LOG_LEVEL: 'warn', ...settings },
      cwd,
    )
    registerProcess(folder, gateway.pid)
    const world = new World(`http://127.0.0.1:${port}`, gateway)
    await eventually('the gateway answers', () =>
      world.health().then(
        ({ httpStatus }) => httpStatus === 200,
        () => false,
      ),
    )
    return world
  }

  private constructor(url: string, gateway: GatewayProcess) {
    this.url = url
    this.#gateway = gateway
  }

  register(platform: string, tenants: string[]): Promise<void> {
    return registerTenants(this.url, platform, tenants)
  }

  async health(): Promise<Json> {
    const response = await fetch(`${this.url}/health`)
    return { httpStatus: response.status, ...((await response.json()) as Json) }
  }

  /** Log entries of errors: none of what happens here is one. */
  bugs(): Json[] {
    return this.#gateway.entries().filter(({ level }) => level === 'error')
  }

  /** What the log tells of PostgreSQL's servers. */
  changes(): string[] {
    const lines = this.#gateway.entries().map(({ time, message }) => `${time} ${message}`)
    return lines.filter((line) => /The primary has changed|PostgreSQL at/.test(line))
  }

  async stop(): Promise<void> {
    this.#gateway.kill('SIGTERM')
    await this.#gateway.exit
  }
}
