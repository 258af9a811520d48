import type { Log } from '../log.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { readOrder, writeOrder } from '../tenancy/schemas/platform-archives.ts'
import { MAIN_SERVER } from './parse-servers.ts'

/** What it needs of the servers. */
interface AllServers {
  areSeveral: boolean
  placements: {
    serversOf(platform: string): string[]
    platformsOn(server: string): string[]
  }
  named(name: string): { catalog: { use<T>(work: (sql: Sql) => Promise<T>): Promise<T> } }
}

/**
 * Copies which archives platforms have, and their order, from the catalog of `main` to those of the
 * other servers, whose lists tell by it which databases are behind. A server that is away gets them
 * when it is opened, or with the platform's next deploy.
 */
export class SharedArchives {
  readonly #servers: AllServers
  readonly #log: Log
  /** What each server was given last, by server and platform. */
  readonly #given = new Map<string, string>()
  readonly #running = new Map<string, Promise<void>>()
  /** Platforms whose archives have changed while they were being copied. */
  readonly #again = new Set<string>()

  constructor(servers: AllServers, log: Log) {
    this.#servers = servers
    this.#log = log
  }

  /** Copies those of a platform, in the background; once more if it is being done. */
  share(platform: string): void {
    const servers = this.#servers
    if (!servers.areSeveral || servers.placements.serversOf(platform).length === 0) return
    if (this.#running.has(platform)) {
      this.#again.add(platform)
      return
    }
    const running = this.#share(platform)
      .catch((error: Error) =>
        this.#log.debug(`Archives of ${platform} are not known to all servers: ${error.message}`),
      )
      .finally(() => {
        this.#running.delete(platform)
        if (this.#again.delete(platform)) this.share(platform)
      })
    this.#running.set(platform, running)
  }

  /** Copies those of all platforms that have databases on a server that was opened. */
  opened(name: string): void {
    for (const key of [...this.#given.keys()])
      if (key.startsWith(`${name} `)) this.#given.delete(key)
    for (const platform of this.#servers.placements.platformsOn(name)) this.share(platform)
  }

  async #share(platform: string): Promise<void> {
    const servers = this.#servers
    const rows = await servers.named(MAIN_SERVER).catalog.use((sql) => readOrder(sql, platform))
    const give = async (name: string) => {
      const key = `${name} ${platform}`
      if (this.#given.get(key) === rows) return
      await servers.named(name).catalog.use((sql) => writeOrder(sql, platform, rows))
      this.#given.set(key, rows)
    }
    const given = await Promise.allSettled(servers.placements.serversOf(platform).map(give))
    for (const one of given) if (one.status === 'rejected') throw one.reason
  }
}
