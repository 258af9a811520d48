import { setTimeout as sleep } from 'node:timers/promises'
import packageJson from '../package.json' with { type: 'json' }
import type { Config } from './config.ts'
import { Moves } from './deploy/relocate/moves.ts'
import { createGateway } from './gateway.ts'
import type { Gateway } from './gateway-parts.ts'
import { describeNetworks } from './http/access/networks.ts'
import { createListener } from './http/app.ts'
import { type Listening, startListening } from './http/listener/listen.ts'
import { loadTls, logFailure, readTls } from './http/listener/tls.ts'
import { loadRoutes } from './http/routes.ts'
import { prepareJobs } from './jobs/table.ts'
import type { Log } from './log.ts'
import { openServer } from './open-server.ts'
import { type EmbeddedPostgres, startEmbedded } from './postgres/embedded.ts'
import { describeServer, parseDatabaseUrl } from './postgres/hosts/server.ts'
import { Pools } from './postgres/pools/pools.ts'
import { applier } from './start/apply-settings.ts'
import { OtherServers } from './start/other-servers.ts'
import {
  beginStop,
  endWork,
  joinServer,
  LEAVE_LIMIT_MS,
  leaveServer,
  prepareParts,
} from './start/parts.ts'
import { closeMaintenance } from './tenancy/roles/closed-databases.ts'

export interface StartOptions {
  /** Aborts a start that waits for PostgreSQL. */
  signal?: AbortSignal
  /** File descriptor of a listening socket; overrides host and port of the settings. */
  socket?: number | undefined
  /** Called if the embedded PostgreSQL exits without being stopped. */
  onPostgresExit?: () => void
}

/** A running gateway. */
export interface RunningGateway {
  gateway: Gateway
  url: string
  /**
   * Uses other settings, but for those that need a restart, and loads the listener's TLS certificate
   * again. Nothing that runs is broken off but what `LongAnswers` tells.
   */
  reload(settings: Config): void
  /**
   * Has /ready answer 503, and goes on for SHUTDOWN_DELAY_SECS, in which load balancers turn to other
   * gateways.
   */
  retire(): Promise<void>
  /** Waits for running requests, closes all connections, and stops the embedded PostgreSQL. */
  stop(): Promise<void>
}

/** SHUTDOWN_DELAY_SECS behind a proxy: a health check of each second fails twice in it. */
const BALANCER_MS = 5000

/** Extra connections of the embedded PostgreSQL: its superuser reserve and psql sessions. */
const SPARE_CONNECTIONS = 20

/**
 * Starts PostgreSQL (given or embedded), the catalog, the routes and the listener. If a step fails,
 * stops what was started.
 * @throws {Error} with a message of one line
 */
export async function startGateway(
  config: Config,
  log: Log,
  handlersFolder: string,
  { signal, socket, onPostgresExit }: StartOptions = {},
): Promise<RunningGateway> {
  for (const warning of config.warnings) log.warn(warning)
  const routes = await loadRoutes(handlersFolder)
  // Report a bad certificate before waiting for PostgreSQL.
  if (config.tls) readTls(config.tls)
  let embedded: EmbeddedPostgres | undefined
  let gateway: Gateway | undefined
  let listening: Listening | undefined
  let others: OtherServers | undefined
  let moves: Moves | undefined
  const stop = async () => {
    const all = gateway?.servers.open() ?? []
    others?.stop()
    all.forEach(beginStop)
    // A fleet that is deployed in half of the time is deployed to its end.
    const half = setTimeout(() => {
      if (gateway) gateway.health.isEnding = true
    }, config.shutdownTimeoutMs / 2)
    moves?.stop()
    gateway?.events.close()
    const giveUpAt = performance.now() + config.shutdownTimeoutMs
    await listening?.close(config.shutdownTimeoutMs)
    const left = Math.max(0, giveUpAt - performance.now())
    const drained = gateway?.jobs.drained()
    await Promise.all([
      ...all.map((one) => endWork(one, giveUpAt)),
      Promise.race([drained, sleep(left, undefined, { ref: false })]),
    ])
    clearTimeout(half)
    gateway?.jobs.end()
    await Promise.all([
      gateway?.audit.end(LEAVE_LIMIT_MS),
      gateway?.alerts.stop(LEAVE_LIMIT_MS),
      gateway?.tracing?.end(LEAVE_LIMIT_MS),
    ])
    await Promise.all(all.map(leaveServer))
    await embedded?.stop()
  }
  const retire = async () => {
    if (!gateway || !listening) return
    gateway.health.isDraining = true
    listening.announceClose()
    await sleep(config.shutdownDelayMs ?? (config.trustedProxies.length > 0 ? BALANCER_MS : 0))
  }
  try {
    if (!config.server) {
      embedded = await startEmbedded({
        dataDir: config.dataDir,
        settings: { max_connections: `${config.maxTotalConnections + SPARE_CONNECTIONS}` },
        onProgress: (line) => log.info(line),
        onLog: (line) => log.debug(line),
        onExit: ({ code, signal }) => {
          log.error('The embedded PostgreSQL has exited unexpectedly', { code, signal })
          onPostgresExit?.()
        },
      })
    }
    if (embedded) await closeOwnServer(embedded, config)
    const server = config.server ?? parseDatabaseUrl(embedded!.url)
    const { version, home, catalog } = await openServer(config, server, log, signal)
    gateway = createGateway(config, home, log, catalog)
    gateway.routes = routes
    const cap = await prepareParts(gateway)
    await gateway.audit.prepare()
    await gateway.catalog.use(prepareJobs)
    await gateway.servers.placements.prepare()
    moves = new Moves(gateway, log, gateway.servers)
    await moves.prepare()
    await gateway.alerts.start()
    await joinServer(gateway, cap)
    gateway.tracing = await loadTracing(gateway)
    others = new OtherServers(gateway, signal)
    await others.open()
    const { certificate } = gateway.alerts
    const onCertificate = (validUntil: Date) => certificate.note(validUntil)
    listening = await startListening(
      createListener(gateway, routes),
      socket === undefined ? { host: config.host, port: config.port } : { fd: socket },
      config,
      log,
      config.tls && {
        tls: loadTls(config.tls, log, onCertificate),
        onFailure: (error) => logFailure(error, log),
      },
    )
    gateway.dueDrops.start()
    moves.start()
    log.info(`Listening on ${listening.url}`, {
      socket: socket === undefined ? undefined : 'passed',
      postgres: version,
      server: embedded ? `embedded in ${config.dataDir}` : describeServer(home),
      routes: routes.length,
      ...describeAccess(config),
    })
    return { gateway, url: listening.url, reload: applier(gateway, listening), retire, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/**
 * Returns the fields of the start-up line: the version, the isolation, and the networks and tokens
 * that control access.
 */
function describeAccess(config: Config) {
  const { isolation, allowedNetworks, adminNetworks, platformNetworks } = config
  return {
    version: packageJson.version,
    isolation,
    networks: describeNetworks(allowedNetworks),
    admin_networks: adminNetworks && describeNetworks(adminNetworks),
    platform_networks: platformNetworks?.size,
    admin_token: config.adminToken === undefined ? 'none' : 'set',
    platform_tokens: config.platformTokens,
  }
}

/**
 * Revokes CONNECT on the maintenance databases of the embedded server, which only the gateway and
 * the platforms' roles use. Ignores failures, such as a superuser password changed by hand:
 * `prepareIsolation` logs the databases that stay open.
 */
async function closeOwnServer({ superuserUrl }: EmbeddedPostgres, config: Config): Promise<void> {
  const server = parseDatabaseUrl(superuserUrl)
  const pools = new Pools(server, config)
  await pools.use(server.database, closeMaintenance).catch(() => {})
  await pools.end()
}

/** Loads what makes and sends spans, where the settings name a collector. */
async function loadTracing({ config, gateways, server, log }: Gateway) {
  const { otlpEndpoint, otlpTracesEndpoint, otelExporter, otelDisabled } = config
  if (!(otlpEndpoint ?? otlpTracesEndpoint)) return undefined
  if (otelExporter === 'none' || otelDisabled === 'true') return undefined
  const { startTracing } = await import('./tracing/start-tracing.ts')
  const { version } = packageJson
  return startTracing(config, { version, gateway: gateways.id, server, log })
}

/** Returns what `systemctl status` shows: `40 of 200 connections, 3 deploys`, the sums of all servers. */
export function describeStatus({ servers }: Gateway): string {
  const sums = { held: 0, capacity: 0, running: 0 }
  for (const { pools, replicas, deploys } of servers.open()) {
    sums.held += Math.max(pools.status().connections, replicas?.held ?? 0)
    sums.capacity += pools.capacity
    sums.running += deploys.running
  }
  const away = servers.entries().filter(({ parts }) => !parts?.watch.isUp)
  const { held, capacity, running } = sums
  const deploys = `${running} ${running === 1 ? 'deploy' : 'deploys'}`
  const missing =
    servers.areSeveral && away.length > 0
      ? `; away: ${away.map(({ name }) => name).join(', ')}`
      : ''
  return `${held} of ${capacity} connections, ${deploys}${missing}`
}
