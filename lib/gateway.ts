import { GatewayAlerts } from './alerts/gateway-alerts.ts'
import { auditDueDrops } from './audit/due-drop.ts'
import { AuditTrail } from './audit/trail.ts'
import { Calls } from './call/calls.ts'
import { limitsOfStreams } from './call/run/limits-of-streams.ts'
import { StreamSlots } from './call/run/stream-slots.ts'
import { KnownFunctions } from './call/signatures/known-functions.ts'
import { Gateways, LOCK_CLASS } from './cluster/gateways.ts'
import {
  CHANNEL,
  forgetAll,
  onNotification,
  prepareNotifications,
  tellOthers,
} from './cluster/notifications.ts'
import type { ServiceOfWorker } from './cluster/service.ts'
import { shareConnections } from './cluster/share-connections.ts'
import { live, withSettings } from './config/live.ts'
import type { Config } from './config.ts'
import { deploysAtOnce } from './deploy/at-once.ts'
import { Deployments } from './deploy/deployments/deployments.ts'
import { Deploys } from './deploy/deploys.ts'
import { KeyedQueue } from './deploy/queue.ts'
import { KnownTemplates } from './deploy/templates/known-templates.ts'
import { Descriptions } from './description/descriptions.ts'
import type { Gateway } from './gateway-parts.ts'
import { Health } from './health.ts'
import { LongAnswers } from './http/answer/long-answers.ts'
import { ByteBudget } from './http/byte-budget.ts'
import { Jobs } from './jobs/jobs.ts'
import type { Log } from './log.ts'
import { Metrics } from './metrics/metrics.ts'
import { fleetsOf } from './operations/fleets.ts'
import { createOperations } from './operations/operations.ts'
import { isShortage } from './postgres/errors.ts'
import { Outages } from './postgres/hosts/outages.ts'
import { PrimaryWatch } from './postgres/hosts/primary-watch.ts'
import { probe } from './postgres/hosts/probe.ts'
import { Replicas } from './postgres/hosts/replicas.ts'
import { describeHost, type Server } from './postgres/hosts/server.ts'
import { Listener } from './postgres/listener.ts'
import type { Sql } from './postgres/pools/connection.ts'
import { Pools } from './postgres/pools/pools.ts'
import { useRepeatable } from './postgres/pools/use-repeatable.ts'
import { forDeploys } from './servers/for-deploys.ts'
import { MAIN_SERVER } from './servers/parse-servers.ts'
import { Placements } from './servers/placements.ts'
import { Servers } from './servers/servers.ts'
import { WrittenBefore } from './servers/written.ts'
import { Catalog } from './tenancy/catalog/catalog.ts'
import type { OpenCatalog } from './tenancy/catalog/open-catalog.ts'
import { databaseName } from './tenancy/names.ts'
import { Platforms } from './tenancy/platforms-of-catalog.ts'
import { Roles } from './tenancy/roles/roles.ts'
import { SecretChange } from './tenancy/secrets/secret-change.ts'
import { Tenants } from './tenancy/tenants.ts'
import { Usage } from './usage/usage.ts'

/**
 * Builds the parts for one PostgreSQL server; opens no connection. Those for a server of SERVERS have
 * those for `main` as their prototype, and share with them what they have not of their own.
 * @param server server with the database of the open catalog
 * @param main undefined for the server of DATABASE_URL
 * @param name of the server in SERVERS
 * @param service the service that this process is a worker of
 */
export function createGateway(
  config: Config,
  server: Server,
  log: Log,
  { id: catalogId, secrets }: OpenCatalog,
  main?: Gateway,
  name = MAIN_SERVER,
  service: ServiceOfWorker | undefined = main?.service,
): Gateway {
  const roles = new Roles({ secrets, isolation: config.isolation, catalog: catalogId })
  const credentialsOf = (database: string) => {
    if (database === server.database) return undefined
    const holder = catalog.holderOf(database)
    // Never fall back to the gateway's own role.
    if (!holder)
      throw new Error(`The owner of the database ${database} was not looked up before it was used`)
    return roles.credentialsOf(holder.role)
  }
  const mostForCalls = (database: string) => {
    const most = catalog.limits.of(database)?.maxConnections
    return most ? gateways.partOf(most) : undefined
  }
  const writtenBefore = new WrittenBefore()
  const limits = withSettings(config, {
    mostForCalls,
    atOpening: (name: string) => writtenBefore.ask(functions.atOpening(name)),
  })
  const platformOf = (database: string) => catalog.holderOf(database)?.platform
  const pools = new Pools(server, limits, platformOf, credentialsOf)
  pools.onMoved = (from, to) => {
    log.warn(`The primary has changed from ${describeHost(from)} to ${describeHost(to)}`)
    alerts.moved(describeHost(from), describeHost(to))
  }
  const later = () => gateway
  const use = <T>(work: (sql: Sql) => Promise<T>) => catalog.use(work)
  const waits = live(config, { maxWaiting: 'maxQueuePerDatabase', waitMs: 'poolWaitTimeoutMs' })
  const catalog = new Catalog(pools, server.database, waits)
  catalog.onHandover = (database) => {
    pools.renew(database)
    replicas?.renew(database)
  }
  catalog.limits.onChanged = (database, { connections, functions }) => {
    if (functions) gateway.calls.forget(database)
    if (connections) fit(database)
  }
  const fit = (database: string) => {
    for (const each of [pools, ...(replicas?.all() ?? [])]) each.fit(database)
  }
  const outages = main?.outages ?? new Outages(log)
  const replicas =
    config.readServers.length > 0
      ? new Replicas(pools, config.readServers, limits, log, outages, credentialsOf)
      : undefined
  const listener = new Listener(pools, {
    database: server.database,
    channel: CHANNEL,
    prepare: async (sql) => {
      await prepareNotifications(sql)
      await gateways.prepare(sql)
      await secretChange.tell(sql)
    },
    onNotification: (payload) => onNotification(gateway, payload),
    onLost: () => {
      log.debug('The connection that listens for notifications is lost')
      catalog.onSilence()
      watch.look()
    },
    onReturn: () => forgetAll(gateway),
  })
  const answers = {
    sinceLastAnswer: () => pools.sinceLastAnswer(),
    probe: (withinMs: number) => probe(listener, pools, server.database, withinMs),
  }
  const watch = new PrimaryWatch({ server, outages, ...answers })
  const gateways = new Gateways(CHANNEL, {
    log,
    use: (work) => listener.use(work),
    ...shareConnections(service, name, pools, replicas),
    countsLeft: !server.pooler,
    onMembers: () => {
      catalog.limits.databases().forEach(fit)
      if (!main) alerts.members.note(gateways.alive(), service?.isFirst)
    },
  })
  const alerts =
    main?.alerts ??
    new GatewayAlerts({
      settings: () => config,
      log,
      gateway: gateways.id,
      use,
      outages,
      servers: () => servers,
    })
  const metrics = main?.metrics ?? new Metrics(() => fleetsOf(servers))
  if (!main) metrics.requests.onUnreachable = (database) => alerts.unreachable.suspect(database)
  const secretChange = new SecretChange({
    secrets,
    log,
    use,
    setPasswords: (sql, secret) => roles.setPasswords(sql, secret),
    gatewaysLockClass: LOCK_CLASS,
  })
  const callableSchemas = (database: string) =>
    catalog.limits.of(database)?.callableSchemas ?? config.callableSchemas
  const functions = new KnownFunctions({
    callableSchemas,
    use: (database, work) => useRepeatable(pools, database, work),
    administer: use,
  })
  const usage = new Usage({ use, log, gateway: gateways.id, platformOf, limits: config })
  const deployments = new Deployments({
    onEnded: (deploy) => {
      usage.noteDeploy(databaseName(deploy.owner))
      metrics.deploys.note(deploy)
      gateway.events.noteFleet(deploy.owner.platform)
    },
    use,
    useDatabase: (database, work) => useRepeatable(pools, database, work),
    log,
    retentionDays: () => config.auditRetentionDays,
  })
  const audit =
    main?.audit ??
    new AuditTrail({
      onNote: (entry) => gateway.events.noteAudit(entry),
      onEnded: (...ended) => alerts.deploy(...ended),
      use,
      log,
      retentionDays: () => config.auditRetentionDays,
    })
  const deploys = new Deploys(
    {
      config,
      log,
      server,
      pools,
      catalog,
      roles,
      secrets,
      catalogId,
      functions,
      deployments,
      queue: new KeyedQueue({
        concurrency: () => deploysAtOnce(config, pools.capacity),
        maxWaiting: () => config.maxWaitingDeploys,
        isWorthAlone: isShortage,
      }),
      templates: new KnownTemplates(),
      registering: new Map(),
      replicas: () => replicas?.all() ?? [],
      forgetFunctions: (database) => gateway.calls.forget(database),
      catchUp: (database) => replicas?.catchUp(database),
      ...forDeploys(name, catalog, main?.catalog ?? catalog, log, later),
      ...tellOthers(later),
      tellProgress: (job) => gateway.events.noteJob(job),
      isEnding: () => (main ?? gateway).health.isEnding,
    },
    config.archive,
    main?.deploys,
  )
  const own = {
    ...createOperations(
      withSettings(config, {
        use,
        log,
        usage,
        gateways,
        service,
        server,
        catalogId,
        later,
        main,
      }),
    ),
    config,
    log,
    server,
    pools,
    replicas,
    writtenBefore,
    catalog,
    tenants: new Tenants(catalog),
    platforms: new Platforms(catalog, config.archive, config),
    roles,
    secrets,
    secretChange,
    catalogId,
    audit,
    health: new Health(answers),
    outages,
    watch,
    calls: new Calls(config, {
      pools,
      replicas,
      functions,
      usage,
      prepareAnswers: (database) => gateway.deploys.prepareAnswers(database),
      limits: {
        of: (database) => catalog.limits.of(database),
        gateways: () => gateways.count,
      },
      streams: new StreamSlots(limitsOfStreams(config, mostForCalls, () => pools.capacity)),
    }),
    gateways,
    service,
    listener,
    deployments,
    deploys,
    usage,
    dueDrops: deploys.dueDrops(auditDueDrops(audit)),
    descriptions: new Descriptions(callableSchemas, pools),
  }
  const gateway: Gateway = main
    ? Object.assign(Object.create(main) as Gateway, own)
    : {
        ...own,
        buffered: new ByteBudget(config.maxBufferedBytes),
        longAnswers: new LongAnswers(config),
        jobs: new Jobs({ use, log, gateway: gateways.id, onEnded: (job) => alerts.job(job) }),
        metrics,
        alerts,
        tracing: undefined,
        routes: [],
        routeCounters: [],
        startedAt: service?.startedAt ?? performance.now(),
        get servers() {
          return servers
        },
      }
  const servers =
    main?.servers ?? new Servers(gateway, new Placements(use, CHANNEL), config.servers.keys())
  return gateway
}
