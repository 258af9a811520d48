import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { hostAndPort, type Server } from '../postgres/hosts/server.ts'
import { Pools } from '../postgres/pools/pools.ts'
import { MAIN, type Shares } from './shares.ts'

/** Pause before each look. In it PostgreSQL notices the end of sessions that run nothing. */
const LOOK_EVERY_MS = 500

/**
 * The sessions that workers have left which were killed. PostgreSQL goes on with a statement whose client has
 * gone, and until it has ended the session is one of those that may be open.
 */
export class LeftSessions {
  readonly #shares: Pick<Shares, 'leftOf' | 'noteGone'>
  readonly #settings: { readonly config: Config }
  readonly #embedded: Server | undefined
  readonly #ending = new AbortController()

  /** @param embedded the server that the gateway has started itself */
  constructor(
    shares: Pick<Shares, 'leftOf' | 'noteGone'>,
    settings: { readonly config: Config },
    embedded: Server | undefined,
  ) {
    this.#shares = shares
    this.#settings = settings
    this.#embedded = embedded
  }

  /**
   * Looks for the sessions of a worker that has ended until there are none. Never rejects.
   * @param name of the division that they are counted in
   */
  async watch(name: string, worker: number): Promise<void> {
    const { signal } = this.#ending
    for (let isLeft = true; isLeft; ) {
      await sleep(LOOK_EVERY_MS, undefined, { ref: false, signal }).catch(() => {})
      if (signal.aborted) return
      const pids = this.#shares.leftOf(name, worker)
      const server = this.#serverOf(name)
      const still = pids.length > 0 && server ? await this.#look(server, pids) : []
      if (!still || signal.aborted) continue
      const gone = pids.filter((pid) => !still.includes(pid))
      isLeft = this.#shares.noteGone(name, worker, gone)
    }
  }

  end(): void {
    this.#ending.abort()
  }

  /** Returns those processes that PostgreSQL still has; undefined if it does not answer. */
  async #look(server: Server, pids: number[]): Promise<number[] | undefined> {
    const { config } = this.#settings
    const pools = new Pools(server, { ...config, maxTotalConnections: 1 })
    const list = `{${pids.join(',')}}`
    const asked = pools.use(
      server.database,
      (sql) => sql<{ pid: number }[]>`
        select pid from pg_stat_activity where pid = any (${list}::integer[])
      `,
    )
    const late = sleep(config.connectTimeoutMs, undefined, { ref: false })
    const rows = await Promise.race([asked, late]).catch(() => undefined)
    await pools.end().catch(() => {})
    return rows?.map(({ pid }) => pid)
  }

  /** Returns the server, or the replica, of a division; undefined if the settings have it no more. */
  #serverOf(name: string): Server | undefined {
    const { server, servers, readServers, serverReplicas } = this.#settings.config
    const slash = name.indexOf('/')
    const ofServer = slash < 0 ? name : name.slice(0, slash)
    if (slash >= 0) {
      const replicas = ofServer === MAIN ? readServers : serverReplicas.get(ofServer)
      return replicas?.find((one) => hostAndPort(one) === name.slice(slash + 1))
    }
    return ofServer === MAIN ? (server ?? this.#embedded) : servers.get(ofServer)
  }
}
