import { setTimeout as sleep } from 'node:timers/promises'
import packageJson from '../package.json' with { type: 'json' }
import type { ServiceOfWorker } from './cluster/service.ts'
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
import type { Log, LogFields } from './log.ts'
import { openServer, startOwnServer } from './open-server.ts'
import { answerWorkers } from './operations/whole-service.ts'
import type { EmbeddedPostgres } from './postgres/embedded.ts'
import { describeServer, parseDatabaseUrl } from './postgres/hosts/server.ts'
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
import type { Load } from './systemd/describe-status.ts'

export interface StartOptions {
  /** Aborts a start that waits for PostgreSQL. */
  signal?: AbortSignal
  /** File descriptor of a listening socket; overrides host and port of the settings. */
  socket?: number | undefined
  /** Called if the embedded PostgreSQL exits without being stopped. */
  onPostgresExit?: () => void
  /** What the parent has given a worker; undefined: the process is a gateway alone. */
  worker?: StartedWorker
}

/** What a worker begins with. */
export interface StartedWorker {
  service: ServiceOfWorker
  /** Connection string of the embedded PostgreSQL, which the parent has started. */
  embeddedUrl: string | undefined
}

/** A running gateway. */
export interface RunningGateway {
  gateway: Gateway
  url: string
  /** What the log is told when it listens. */
  facts: LogFields
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
  /**
   * Waits for running requests, closes all connections, and stops the embedded PostgreSQL.
   * `isReplaced`: another worker goes on in place of this one.
   */
  stop(options?: { isReplaced?: boolean }): Promise<void>
}

/** SHUTDOWN_DELAY_SECS behind a proxy: a health check of each second fails twice in it. */
const BALANCER_MS = 5000

/**
 * Starts PostgreSQL (given or embedded), the catalog, the routes and the listener. If a step fails,
 * stops what was started.
 * @throws {Error} with a message of one line
 */
export async function startGateway(
  config: Config,
  log: Log,
  handlersFolder: string,
  { signal, socket, onPostgresExit, worker }: StartOptions = {},
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
  const stop = async ({ isReplaced = false } = {}) => {
    if (gateway) gateway.health.isReplaced = isReplaced
    const all = gateway?.servers.open() ?? []
    others?.stop()
    all.forEach(beginStop)
    // A fleet that is deployed in half of the time is deployed to its end, and so are imports and moves.
    const half = setTimeout(() => {
      if (gateway) gateway.health.isEnding = true
      for (const { deploys } of all) deploys.giveUp()
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
    if (!config.server && !worker) embedded = await startOwnServer(config, log, onPostgresExit)
    const server = config.server ?? parseDatabaseUrl(worker?.embeddedUrl ?? embedded!.url)
    // A worker has no connection of its own before it is given one.
    const limits = worker ? { ...config, maxTotalConnections: 1 } : config
    const { version, home, catalog } = await openServer(limits, server, log, signal)
    gateway = createGateway(config, home, log, catalog, undefined, undefined, worker?.service)
    gateway.routes = routes
    answerWorkers(gateway)
    answerMetrics(gateway)
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
    warnOfLacking(gateway)
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
      worker !== undefined,
    )
    gateway.dueDrops.start()
    moves.start()
    const facts = {
      socket: socket === undefined ? undefined : 'passed',
      postgres: version,
      server: !config.server ? `embedded in ${config.dataDir}` : describeServer(home),
      routes: routes.length,
      ...describeAccess(config),
    }
    // The parent tells it once, when all workers listen.
    log[worker ? 'debug' : 'info'](`Listening on ${listening.url}`, facts)
    const reload = applier(gateway, listening)
    return { gateway, url: listening.url, facts, reload, retire, stop }
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

/** Warns of servers that have databases, by the catalog, but are not in SERVERS. */
function warnOfLacking({ servers, log }: Gateway): void {
  const names = servers.names()
  for (const [server, databases] of servers.placements.counts()) {
    if (names.includes(server)) continue
    const fields = { server, databases }
    log.warn(`Server ${server} has databases but is not in SERVERS: they get no answers`, fields)
  }
}

/** Has a worker tell the others its metrics. */
function answerMetrics(gateway: Gateway): void {
  const { service, metrics } = gateway
  service?.answer('metrics', () => metrics.collect(gateway, service.worker))
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

/** Returns what the gateway, or this worker, does: the sums of all servers. */
export function loadOf({ servers }: Gateway): Load {
  const sums = { held: 0, capacity: 0, deploys: 0 }
  for (const { pools, replicas, deploys } of servers.open()) {
    sums.held += Math.max(pools.status().connections, replicas?.held ?? 0)
    sums.capacity += pools.capacity
    sums.deploys += deploys.running
  }
  const away = servers.entries().filter(({ parts }) => !parts?.watch.isUp)
  return { ...sums, away: servers.areSeveral ? away.map(({ name }) => name) : [] }
}
