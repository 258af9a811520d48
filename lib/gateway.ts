import { Signatures } from './call/signatures.ts'
import { Catalog } from './catalog.ts'
import type { Config } from './config.ts'
import { KeyedQueue } from './deploy/queue.ts'
import type { DeployResult } from './deploy/result.ts'
import type { Log } from './log.ts'
import type { RouteCounter } from './metrics/requests.ts'
import { Pools } from './postgres/pools.ts'
import { Replicas } from './postgres/replicas.ts'
import { describeHost, type Server } from './postgres/server.ts'

/** The parts of a gateway, put together once. */
export interface Gateway {
  config: Config
  log: Log
  /** The PostgreSQL server, as the gateway's own role sees it. */
  server: Server
  pools: Pools
  /** Of DATABASE_READ_URLS; undefined where that is not set. */
  replicas: Replicas | undefined
  catalog: Catalog
  signatures: Signatures
  /** Deploys wait here for their turn, by database. */
  deploys: KeyedQueue
  /** Registers that run, by owner and archive. */
  registering: Map<string, Promise<DeployResult>>
  /** One for each route, and one for all that is none. */
  routeCounters: RouteCounter[]
  /** `performance.now()` at the start. */
  startedAt: number
}

/** A deploy of a new database takes two connections: its own and one that holds the lock. */
const CONNECTIONS_PER_DEPLOY = 2

/** Puts the parts together; nothing is connected yet. */
export function createGateway(config: Config, server: Server, log: Log): Gateway {
  const pools = new Pools(server, config, (database) => catalog.platformOf(database))
  pools.onMoved = (from, to) =>
    log.warn(`The primary is ${describeHost(to)} now; it was ${describeHost(from)}`)
  const catalog = new Catalog(pools, server.database)
  // Half of the connections are left for calls, and one of the administrative database's for
  // everything else that asks there.
  const deploys = Math.min(
    config.migrateConcurrency,
    Math.floor(config.maxTotalConnections / 2 / CONNECTIONS_PER_DEPLOY),
    config.maxConnectionsPerPool - 1,
  )
  const { readServers } = config
  return {
    config,
    log,
    server,
    pools,
    replicas: readServers.length > 0 ? new Replicas(pools, readServers, config, log) : undefined,
    catalog,
    signatures: new Signatures(),
    deploys: new KeyedQueue(Math.max(1, deploys)),
    registering: new Map(),
    routeCounters: [],
    startedAt: performance.now(),
  }
}
