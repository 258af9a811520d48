import { setTimeout as sleep } from 'node:timers/promises'
import { prepareStoredSchemas } from '../call/signatures/stored-signatures.ts'
import { prepareDrift } from '../deploy/drift/table.ts'
import { prepareLeft } from '../deploy/fleet/left.ts'
import { prepareTemplates } from '../deploy/templates/table.ts'
import type { Gateway } from '../gateway-parts.ts'
import type { Log } from '../log.ts'
import { probe } from '../postgres/hosts/probe.ts'
import { readServerCapacity, usableConnections } from '../postgres/pools/capacity.ts'
import { joinInstallation } from '../tenancy/catalog/main-catalog.ts'
import { preparePlatforms } from '../tenancy/platforms.ts'
import { prepareExplain } from '../tenancy/roles/explain-calls.ts'
import { checkLogIn, prepareIsolation } from '../tenancy/roles/prepare-isolation.ts'
import { prepareStored } from '../tenancy/schemas/stored-schemas.ts'

/**
 * Milliseconds that the last writes of a shutdown wait for PostgreSQL. A gateway that could not
 * delete its row loses its lock with its session, so that the others see it is dead.
 */
export const LEAVE_LIMIT_MS = 2000

/**
 * Prepares the catalog of a server, with one connection.
 * @param mainId id of the catalog of `main`
 * @returns the number of connections that the gateway may open there if it is alone
 * @throws {Error} with a message of one line, such as where the catalog belongs to another installation
 */
export async function prepareParts(
  gateway: Gateway,
  mainId: string = gateway.catalogId,
): Promise<number> {
  gateway.gateways.begin()
  await gateway.catalog.use((sql) => joinInstallation(sql, mainId))
  const cap = await fitCapacity(gateway)
  await gateway.catalog.prepare()
  await gateway.catalog.use(prepareStoredSchemas)
  await gateway.catalog.use(prepareTemplates)
  await gateway.catalog.use(preparePlatforms)
  await gateway.catalog.use(prepareStored)
  const { log, service } = gateway
  // The first worker has told what is to be said of the server.
  const isTold = service && !service.isFirst
  await prepareIsolation(isTold ? partsFor(gateway, { ...log, warn: log.debug }) : gateway)
  await prepareExplain(gateway)
  await gateway.catalog.use(prepareLeft)
  await gateway.catalog.use(prepareDrift)
  await gateway.deployments.prepare()
  await gateway.usage.prepare()
  return cap
}

function partsFor({ config, server, pools, roles, catalogId }: Gateway, log: Log) {
  return { config, log, server, pools, roles, catalogId }
}

/** Joins the gateways on a server, and starts what watches it. */
export async function joinServer(gateway: Gateway, cap: number): Promise<void> {
  await gateway.listener.open()
  await gateway.gateways.join(cap)
  await checkLogIn(gateway)
  gateway.secretChange.start()
  gateway.replicas?.start()
  gateway.watch.start()
  // Where there are several servers, one that is away costs its own tenants alone.
  if (gateway.config.servers.size > 0) {
    const { listener, pools, server } = gateway
    pools.giveUpWhenSilent((withinMs) => probe(listener, pools, server.database, withinMs))
  }
}

/** Starts no more work on a server by itself; what runs goes on. */
export function beginStop(gateway: Gateway): void {
  gateway.health.isDraining = true
  gateway.secretChange.stop()
  gateway.watch.end()
  gateway.dueDrops.stop()
}

/** Waits for the deploys that run on a server, at most until `giveUpAt` by `performance.now()`. */
export async function endWork(gateway: Gateway, giveUpAt: number): Promise<void> {
  // A deploy continues after its client has disconnected.
  const left = Math.max(0, giveUpAt - performance.now())
  await Promise.race([gateway.deploys.drained(), sleep(left, undefined, { ref: false })])
  // pg_dump and pg_restore would go on without the gateway.
  const patienceWithTools = sleep(LEAVE_LIMIT_MS, undefined, { ref: false })
  await Promise.race([gateway.deploys.end(), patienceWithTools])
  gateway.calls.end()
  await gateway.usage.end(LEAVE_LIMIT_MS)
}

/** Closes all connections to a server. */
export async function leaveServer(gateway: Gateway): Promise<void> {
  await Promise.all([gateway.pools.end(), gateway.replicas?.end()])
  const patience = sleep(LEAVE_LIMIT_MS, undefined, { ref: false })
  await Promise.race([gateway.gateways.leave().catch(() => {}), patience])
  await gateway.listener.end()
}

/**
 * Reduces the gateway's connections to those that the server has for it.
 * @returns the number of connections that it may open if it is alone
 */
export async function fitCapacity({ pools, server, config, log }: Gateway): Promise<number> {
  const capacity = await pools.use(server.database, readServerCapacity)
  const usable = usableConnections(capacity)
  if (usable >= config.maxTotalConnections) return config.maxTotalConnections
  log.warn(
    `MAX_TOTAL_CONNECTIONS is ${config.maxTotalConnections}, but PostgreSQL has only ${usable} connections for the gateway: it opens at most ${usable}`,
    {
      max_connections: capacity.maxConnections,
      reserved_connections: capacity.reserved,
      role_connection_limit: capacity.roleLimit < 0 ? null : capacity.roleLimit,
    },
  )
  return usable
}
