import { setTimeout as sleep } from 'node:timers/promises'
import packageJson from '../package.json' with { type: 'json' }
import { prepareStoredSchemas } from './call/signatures/stored-signatures.ts'
import { type Config, logSettings } from './config.ts'
import { prepareDrift } from './deploy/drift/table.ts'
import { prepareLeft } from './deploy/fleet/left.ts'
import { prepareTemplates } from './deploy/templates/table.ts'
import { createGateway } from './gateway.ts'
import type { Gateway } from './gateway-parts.ts'
import { describeNetworks } from './http/access/networks.ts'
import { createListener } from './http/app.ts'
import { type Listening, startListening } from './http/listener/listen.ts'
import { loadTls, logFailure, readTls, renewTls } from './http/listener/tls.ts'
import { forgetPeers } from './http/request.ts'
import { loadRoutes } from './http/routes.ts'
import { prepareJobs } from './jobs/table.ts'
import type { Log } from './log.ts'
import { openServer } from './open-server.ts'
import { type EmbeddedPostgres, startEmbedded } from './postgres/embedded.ts'
import { describeServer, parseDatabaseUrl } from './postgres/hosts/server.ts'
import { readServerCapacity, usableConnections } from './postgres/pools/capacity.ts'
import { Pools } from './postgres/pools/pools.ts'
import { preparePlatforms } from './tenancy/platforms.ts'
import { closeMaintenance } from './tenancy/roles/closed-databases.ts'
import { plansFrom, prepareExplain } from './tenancy/roles/explain-calls.ts'
import { checkLogIn, prepareIsolation } from './tenancy/roles/prepare-isolation.ts'
import { prepareStored } from './tenancy/schemas/stored-schemas.ts'

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
  /** Waits for running requests, closes all connections, and stops the embedded PostgreSQL. */
  stop(): Promise<void>
}

/**
 * Milliseconds that the last writes of a shutdown wait for PostgreSQL. A gateway that could not
 * delete its row loses its lock with its session, so that the others see it is dead.
 */
const LEAVE_LIMIT_MS = 2000

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
  const stop = async () => {
    if (gateway) gateway.health.isDraining = true
    gateway?.secretChange.stop()
    gateway?.watch.end()
    gateway?.dueDrops.stop()
    gateway?.events.close()
    const giveUpAt = performance.now() + config.shutdownTimeoutMs
    await listening?.close(config.shutdownTimeoutMs)
    // A deploy continues after its client has disconnected.
    const left = Math.max(0, giveUpAt - performance.now())
    const drained = Promise.all([gateway?.deploys.drained(), gateway?.jobs.drained()])
    await Promise.race([drained, sleep(left, undefined, { ref: false })])
    // pg_dump and pg_restore would go on without the gateway.
    const patienceWithTools = sleep(LEAVE_LIMIT_MS, undefined, { ref: false })
    await Promise.race([gateway?.deploys.end(), patienceWithTools])
    gateway?.jobs.end()
    gateway?.calls.end()
    await Promise.all([
      gateway?.audit.end(LEAVE_LIMIT_MS),
      gateway?.usage.end(LEAVE_LIMIT_MS),
      gateway?.alerts.stop(LEAVE_LIMIT_MS),
      gateway?.tracing?.end(LEAVE_LIMIT_MS),
    ])
    await Promise.all([gateway?.pools.end(), gateway?.replicas?.end()])
    const patience = sleep(LEAVE_LIMIT_MS, undefined, { ref: false })
    await Promise.race([gateway?.gateways.leave().catch(() => {}), patience])
    await gateway?.listener.end()
    await embedded?.stop()
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
    gateway.gateways.begin()
    const cap = await fitCapacity(gateway)
    await gateway.catalog.prepare()
    await gateway.catalog.use(prepareStoredSchemas)
    await gateway.catalog.use(prepareTemplates)
    await gateway.catalog.use(preparePlatforms)
    await gateway.catalog.use(prepareStored)
    await prepareIsolation(gateway)
    await prepareExplain(gateway)
    await gateway.audit.prepare()
    await gateway.catalog.use(prepareLeft)
    await gateway.catalog.use(prepareDrift)
    await gateway.catalog.use(prepareJobs)
    await gateway.deployments.prepare()
    await gateway.usage.prepare()
    await gateway.alerts.start()
    await gateway.listener.open()
    await gateway.gateways.join(cap)
    await checkLogIn(gateway)
    gateway.secretChange.start()
    gateway.replicas?.start()
    gateway.watch.start()
    gateway.tracing = await loadTracing(gateway)
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
    log.info(`Listening on ${listening.url}`, {
      socket: socket === undefined ? undefined : 'passed',
      postgres: version,
      server: embedded ? `embedded in ${config.dataDir}` : describeServer(home),
      routes: routes.length,
      ...describeAccess(config),
    })
    return { gateway, url: listening.url, reload: applier(gateway, listening), stop }
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

/** Returns what `systemctl status` shows: `40 of 200 connections, 3 deploys`. */
export function describeStatus({ pools, replicas, deploys }: Gateway): string {
  const { connections } = pools.status()
  const held = Math.max(connections, replicas?.held ?? 0)
  const { running } = deploys
  return `${held} of ${pools.capacity} connections, ${running} ${running === 1 ? 'deploy' : 'deploys'}`
}

/** Returns the function that puts other settings into force. */
function applier(gateway: Gateway, listening: Listening): (settings: Config) => void {
  const { config, log, gateways, calls, pools, replicas, buffered, alerts, usage } = gateway
  const { longAnswers } = gateway
  // Sessions have the settings of their role, and the timeout, that they were opened with.
  const renewSessions = () => {
    for (const each of [pools, ...(replicas?.all() ?? [])]) each.renewAll()
  }
  let explained = Promise.resolve()
  return ({ archive, tls, ...settings }) => {
    const { callableSchemas, statementTimeoutMs, warnings: known } = config
    const plansWere = plansFrom(config)
    // In place: all parts read their settings there.
    Object.assign(config.archive, archive)
    Object.assign(config, settings)
    log.configure(logSettings(config))
    for (const warning of settings.warnings) if (!known.includes(warning)) log.warn(warning)
    renewTls(tls, listening, log, (validUntil) => alerts.certificate.note(validUntil))
    forgetPeers()
    longAnswers.judge()
    listening.limit(config)
    buffered.capacity = config.maxBufferedBytes
    usage.slow.slowMs = config.slowCallMs || Infinity
    if (`${callableSchemas}` !== `${config.callableSchemas}`) calls.forgetAll()
    if (statementTimeoutMs !== config.statementTimeoutMs) renewSessions()
    if (plansWere !== plansFrom(config)) {
      // One after the other: the last has the last settings.
      explained = explained
        .then(() => prepareExplain(gateway))
        .then(renewSessions, ({ message }) => {
          log.warn(`The plans of slow calls are asked for as before: ${message}`)
        })
    }
    fitCapacity(gateway).then(
      (cap) => gateways.setCap(cap),
      (error) => log.warn(`MAX_TOTAL_CONNECTIONS was not changed: ${error.message}`),
    )
  }
}

/**
 * Reduces the gateway's connections to those that the server has for it.
 * @returns the number of connections that it may open if it is alone
 */
async function fitCapacity({ pools, server, config, log }: Gateway): Promise<number> {
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
