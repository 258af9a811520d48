import { setTimeout as sleep } from 'node:timers/promises'
import { withSettings } from '../config/live.ts'
import type { Config } from '../config.ts'
import { createGateway } from '../gateway.ts'
import type { Gateway } from '../gateway-parts.ts'
import { logWith } from '../log.ts'
import { openServer } from '../open-server.ts'
import { describeServer, hostAndPort, hostsAndPorts } from '../postgres/hosts/server.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { checkIdentity, noteIdentity, WrongServer } from '../servers/check-identity.ts'
import { checkNotOlder, OlderCopy } from '../servers/older-copy.ts'
import { reconcile } from '../servers/reconcile.ts'
import { beginStop, endWork, joinServer, leaveServer, prepareParts } from './parts.ts'

/** How long the start waits for servers that do not answer at once. */
const START_WAIT_MS = 2000

const RETRY_EVERY_MS = 2000

/** How often it is looked whether a server that is open has become an older copy of itself. */
const LOOK_EVERY_MS = 5000

/**
 * Opens the servers of SERVERS. One that does not answer is tried again until it does: until then its
 * tenants are answered 503, and nothing else waits for it.
 */
export class OtherServers {
  readonly #main: Gateway
  readonly #ending = new AbortController()
  readonly #signal: AbortSignal

  /** @param main the parts for `main`, which have joined the gateways */
  constructor(main: Gateway, signal: AbortSignal | undefined) {
    this.#main = main
    this.#signal = signal ? AbortSignal.any([signal, this.#ending.signal]) : this.#ending.signal
  }

  /** Opens all that answer within 2 s; goes on with the others in the background. */
  async open(): Promise<void> {
    const { config } = this.#main
    this.#nameHosts()
    const opening = [...config.servers.keys()].map((name) => this.#open(name))
    if (opening.length === 0) return
    const patience = sleep(START_WAIT_MS, undefined, { ref: false, signal: this.#signal })
    await Promise.race([Promise.all(opening), patience.catch(() => {})])
  }

  /** Opens no further server. */
  stop(): void {
    this.#ending.abort()
  }

  /** Has the server be told as gone, also where it has never been open. */
  #noteGone(name: string, what: string): void {
    const { config, outages } = this.#main
    const hosts = hostsAndPorts(config.servers.get(name)!)
    outages.begin(hosts, 'primary', { kind: 'silent', what })
  }

  /** Gives the hosts of each server its name in what is told of outages. */
  #nameHosts(): void {
    const { config, outages } = this.#main
    for (const [name, server] of config.servers) {
      const replicas = config.serverReplicas.get(name) ?? []
      for (const hosts of [hostsAndPorts(server), ...replicas.map(hostAndPort)]) {
        outages.setName(hosts, name)
      }
    }
  }

  /** Tries until the server is open, or `stop`. Never rejects. */
  async #open(name: string): Promise<void> {
    const { log, servers } = this.#main
    let told: string | undefined
    while (!this.#signal.aborted) {
      try {
        const there = await this.#openOnce(name)
        void this.#watch(name, there).then(() => this.#open(name))
        return
      } catch (error) {
        if (this.#signal.aborted) return
        const { message } = error as Error
        servers.noteTrouble(name, message)
        this.#noteGone(name, message)
        if (message !== told) {
          log.error(`Server ${name} ${message}; its tenants get no answers until it works`, {
            server: name,
          })
        }
        told = message
      }
      await sleep(RETRY_EVERY_MS, undefined, { ref: false, signal: this.#signal }).catch(() => {})
    }
  }

  /**
   * Looks as long as a server is open whether it is still itself: PostgreSQL may have been stopped, and
   * started with an older copy of its files. Resolves when it is not, and is closed, or at `stop`. Never
   * rejects.
   */
  async #watch(name: string, there: Gateway): Promise<void> {
    const { log, servers } = this.#main
    while (!this.#signal.aborted) {
      const later = sleep(LOOK_EVERY_MS, undefined, { ref: false, signal: this.#signal })
      const heard = there.writtenBefore.heard()
      await Promise.race([later.catch(() => {}), heard])
      if (this.#signal.aborted) return
      const trouble = await lookAt(there)
      if (trouble === undefined) continue
      servers.noteTrouble(name, trouble)
      log.error(`Server ${name} ${trouble}; its tenants get no answers`, { server: name })
      await close(there).catch((cause) => log.warn(`${name} was not closed: ${cause.message}`))
      return
    }
  }

  /**
   * @returns the parts for the server
   * @throws {Error} with a predicate of one line
   */
  async #openOnce(name: string): Promise<Gateway> {
    const main = this.#main
    const config = settingsOf(main.config, name)
    const log = logWith(main.log, { server: name })
    const { version, home, catalog } = await openServer(
      config,
      main.config.servers.get(name)!,
      log,
      this.#signal,
      main.catalogId,
    ).catch((error) => {
      throw new Error(`is not usable: ${(error as Error).message}`)
    })
    const itself = { name, catalog: catalog.id }
    await checkIdentity(useOf(main), itself, main.catalogId)
    const gateway = createGateway(config, home, log, catalog, main, name)
    const { writtenBefore } = gateway
    writtenBefore.check = async () =>
      writtenBefore.note(await checkNotOlder(useOf(main), useOf(gateway), name))
    try {
      await writtenBefore.check()
      await joinServer(gateway, await prepareParts(gateway, main.catalogId))
      // Last: a server that is refused leaves no row.
      if (await noteIdentity(useOf(main), itself)) await writtenBefore.check()
      if (this.#signal.aborted) throw new Error('is not opened: the gateway is stopping')
    } catch (error) {
      await close(gateway)
      if (error instanceof OlderCopy || error instanceof WrongServer) throw error
      throw new Error(`cannot be prepared: ${(error as Error).message}`)
    }
    main.servers.note(name, gateway)
    reconcile(name, gateway, main.servers.placements, main.log).catch((error) =>
      main.log.warn(`The places of databases on ${name} were not looked at: ${error.message}`),
    )
    gateway.dueDrops.start()
    main.log.info(`Server ${name} is open`, { server: describeServer(home), postgres: version })
    return gateway
  }
}

function useOf({ catalog }: Gateway) {
  return <T>(work: (sql: Sql) => Promise<T>) => catalog.use(work)
}

/** Returns why a server is not to be used any more; undefined also where it does not answer. */
async function lookAt({ writtenBefore }: Gateway): Promise<string | undefined> {
  try {
    await writtenBefore.check?.()
    return undefined
  } catch (error) {
    return error instanceof OlderCopy ? error.message : undefined
  }
}

async function close(gateway: Gateway): Promise<void> {
  beginStop(gateway)
  await endWork(gateway, performance.now())
  await leaveServer(gateway)
}

/** The settings of a server of SERVERS: those of the gateway, but for what is the server's own. */
function settingsOf(config: Config, name: string): Config {
  const { servers, serverReplicas, serverConnections } = config
  return withSettings(config, {
    server: servers.get(name),
    readServers: serverReplicas.get(name) ?? [],
    get maxTotalConnections() {
      return serverConnections.get(name) ?? config.maxTotalConnections
    },
    // Tried once: `OtherServers` tries again.
    startTimeoutMs: 0,
  }) as Config
}
