import type { KnownFunctions } from '../call/signatures/known-functions.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { Server } from '../postgres/hosts/server.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { Catalog } from '../tenancy/catalog/catalog.ts'
import type { Roles } from '../tenancy/roles/roles.ts'
import type { Secrets } from '../tenancy/secrets/secrets.ts'
import type { Deployments } from './deployments/deployments.ts'
import type { FleetJob } from './fleet/watched.ts'
import type { KeyedQueue } from './queue.ts'
import type { DeployResult } from './result.ts'
import type { KnownTemplates } from './templates/known-templates.ts'

/** The parts of the gateway that deploys use. */
export interface DeployParts {
  config: Pick<
    Config,
    | 'baseTemplate'
    | 'databaseCopy'
    | 'keptArchives'
    | 'deployTimeoutMs'
    | 'dumpDir'
    | 'lockTimeoutMs'
    | 'migrateConcurrency'
    | 'poolWaitTimeoutMs'
    | 'statementTimeoutMs'
    | 'tenantDumpDays'
    | 'templates'
  >
  log: Log
  /** The PostgreSQL server, with the gateway's own role and the administrative database. */
  server: Server
  pools: Pools
  catalog: Catalog
  /** Roles of the platforms. */
  roles: Roles
  secrets: Secrets
  /** Identifies this catalog among all gateway catalogs on the server. */
  catalogId: string
  /** Cache of function signatures and verdicts. */
  functions: KnownFunctions
  /** History of the deploys to all databases. */
  deployments: Deployments
  /** Queue of deploys, keyed by database. */
  queue: KeyedQueue
  templates: KnownTemplates
  /** Running /register deploys, keyed by owner and archive checksum. */
  registering: Map<string, Promise<DeployResult>>
  /** Returns the connection pools of each replica. */
  replicas(): Pools[]
  /** Marks the cached functions of the database as possibly stale. */
  forgetFunctions(database: string): void
  /**
   * Keeps calls of the database off each replica until it has replayed everything written so far.
   */
  catchUp(database: string): void
  /** Tells all gateways to close their call sessions of the database. */
  retireSessions(database: string): Promise<void>
  /** Tells the other gateways to start no further database of the fleet of a request. */
  tellToStop(platform: string, requestId: string): Promise<void>
  /** Tells operators how far a deploy to several databases has come. */
  tellProgress(this: void, job: FleetJob): void
  /** Tells operators that something of a platform has changed that the catalog does not notify. */
  tellFleet(platform: string): void
  /** Returns whether the gateway stops soon: work on many databases begins with no further one. */
  isEnding(): boolean
}
