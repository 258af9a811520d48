import type { GatewayAlerts } from './alerts/gateway-alerts.ts'
import type { AuditTrail } from './audit/trail.ts'
import type { Calls } from './call/calls.ts'
import type { Gateways } from './cluster/gateways.ts'
import type { ServiceOfWorker } from './cluster/service.ts'
import type { Config } from './config.ts'
import type { Deployments } from './deploy/deployments/deployments.ts'
import type { Deploys } from './deploy/deploys.ts'
import type { DueDrops } from './deploy/drop/due-drops.ts'
import type { Descriptions } from './description/descriptions.ts'
import type { Health } from './health.ts'
import type { LongAnswers } from './http/answer/long-answers.ts'
import type { ByteBudget } from './http/byte-budget.ts'
import type { RequestContext } from './http/request.ts'
import type { Route } from './http/routes.ts'
import type { Jobs } from './jobs/jobs.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { RouteCounter } from './metrics/requests.ts'
import type { Operations } from './operations/operations.ts'
import type { Outages } from './postgres/hosts/outages.ts'
import type { PrimaryWatch } from './postgres/hosts/primary-watch.ts'
import type { Replicas } from './postgres/hosts/replicas.ts'
import type { Server } from './postgres/hosts/server.ts'
import type { Listener } from './postgres/listener.ts'
import type { Pools } from './postgres/pools/pools.ts'
import type { Servers } from './servers/servers.ts'
import type { WrittenBefore } from './servers/written.ts'
import type { Catalog } from './tenancy/catalog/catalog.ts'
import type { Platforms } from './tenancy/platforms-of-catalog.ts'
import type { Roles } from './tenancy/roles/roles.ts'
import type { SecretChange } from './tenancy/secrets/secret-change.ts'
import type { Secrets } from './tenancy/secrets/secrets.ts'
import type { Tenants } from './tenancy/tenants.ts'
import type { Tracing } from './tracing/start-tracing.ts'
import type { Usage } from './usage/usage.ts'

/**
 * The parts of a gateway for one of its PostgreSQL servers. All that handle requests have those for
 * `main`; `servers` has the others.
 */
export interface Gateway extends Operations {
  config: Config
  log: Log
  /** The PostgreSQL servers: `main`, which these parts are for unless they were found here, and others. */
  readonly servers: Servers<Gateway>
  /** The PostgreSQL server, as the gateway's own role sees it. */
  server: Server
  pools: Pools
  /** Replicas of DATABASE_READ_URLS; undefined if it is not set. */
  replicas: Replicas | undefined
  /** What the server is known to have written; nothing of `main`. */
  writtenBefore: WrittenBefore
  catalog: Catalog
  tenants: Tenants
  platforms: Platforms
  /** Roles of the platforms. */
  roles: Roles
  /** Secret in force, and during a change the other one. */
  secrets: Secrets
  secretChange: SecretChange
  /** UUID that tells this catalog from others on the server. */
  catalogId: string
  audit: AuditTrail
  /**
   * Memory budget of MAX_BUFFERED_BYTES for request bodies and for responses that are not sent yet.
   */
  buffered: ByteBudget
  longAnswers: LongAnswers
  health: Health
  /** Outages of PostgreSQL and of its replicas. */
  outages: Outages
  watch: PrimaryWatch
  calls: Calls
  /** Gateways that share this PostgreSQL. */
  gateways: Gateways
  /** The service that this process is a worker of; undefined: it is a gateway alone. */
  service: ServiceOfWorker | undefined
  /** Connection on which gateways notify each other of changes. */
  listener: Listener
  /** History of deploys of all databases. */
  deployments: Deployments
  deploys: Deploys
  /** Who has used how much, by day. */
  usage: Usage
  /** Drops of tenants that are to be dropped later. */
  dueDrops: DueDrops
  /** Work on many databases that may take longer than its request. */
  jobs: Jobs
  /** What databases offer their callers, for their documents. */
  descriptions: Descriptions
  metrics: Metrics
  /** What operators are told, by WEBHOOK_URL. */
  alerts: GatewayAlerts
  /** Spans of requests and deploys; undefined without OTEL_EXPORTER_OTLP_ENDPOINT. */
  tracing: Tracing | undefined
  /** The endpoints; empty until the start has loaded them. */
  routes: readonly Route[]
  /** One counter for each route, and one for requests that match none. */
  routeCounters: RouteCounter[]
  /** `performance.now()` at the start. */
  startedAt: number
}

declare module 'h3' {
  /** Content of `event.context` in handlers. */
  interface H3EventContext {
    gateway: Gateway
    request: RequestContext
  }
}
