import { rmSync } from 'node:fs'
import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ReplicationServer } from './replication.ts'

/** A PostgreSQL server beside the test server, for SERVERS. It keeps its address over restarts. */
export class OtherServer extends ReplicationServer {
  readonly #remove: () => Promise<void>
  /** Its URI with the gateway's role. */
  uri = ''

  constructor(folder: string, settings: Record<string, string>, remove: () => Promise<void>) {
    super(folder, settings)
    this.#remove = remove
  }

  /** Names of its databases. */
  async databases(): Promise<string[]> {
    return (await this.query('select datname from pg_database')).map(({ datname }) => datname)
  }

  /** Stops it and removes its files. */
  async remove(): Promise<void> {
    await this.stop()
    await this.#remove()
  }
}

/** Starts a server with a folder of its own. */
export async function startOtherServer(
  settings: Record<string, string> = {},
): Promise<OtherServer> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'db-gateway-server-')))
  await chmod(folder, 0o755)
  const removal = { recursive: true, force: true }
  // Vitest exits at once when it is interrupted.
  const onExit = () => rmSync(folder, removal)
  process.once('exit', onExit)
  const server = new OtherServer(folder, settings, async () => {
    process.off('exit', onExit)
    await rm(folder, removal)
  })
  await server.start()
  server.uri = await server.url('other')
  return server
}
