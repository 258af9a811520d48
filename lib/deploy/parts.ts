import type { KnownFunctions } from '../call/signatures/known-functions.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { Server } from '../postgres/hosts/server.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { Catalog } from '../tenancy/catalog/catalog.ts'
import type { Roles } from '../tenancy/roles/roles.ts'
import type { Secrets } from '../tenancy/secrets/secrets.ts'
import type { Deployments } from './deployments/deployments.ts'
import type { KeyedQueue } from './queue.ts'
import type { DeployResult } from './result.ts'
import type { KnownTemplates } from './templates/known-templates.ts'

/** What deploys need of the rest of the gateway. */
export interface DeployParts {
  config: Pick<
    Config,
    | 'baseTemplate'
    | 'databaseCopy'
    | 'keptArchives'
    | 'deployTimeoutMs'
    | 'lockTimeoutMs'
    | 'migrateConcurrency'
    | 'templates'
  >
  log: Log
  /** The PostgreSQL server, as the gateway's own role sees it; its database is the administrative one. */
  server: Server
  pools: Pools
  catalog: Catalog
  /** The roles of the platforms. */
  roles: Roles
  secrets: Secrets
  /** Tells this catalog from the others of the server. */
  catalogId: string
  /** What is known of functions. */
  functions: KnownFunctions
  /** The history of deploys of all databases. */
  deployments: Deployments
  /** Deploys wait here for their turn, by database. */
  queue: KeyedQueue
  templates: KnownTemplates
  /** Registers that run, by owner and archive. */
  registering: Map<string, Promise<DeployResult>>
  /** The connections to each replica. */
  replicas(): Pools[]
  /** What is known of the database's functions may be out of date. */
  forgetFunctions(database: string): void
  /** The replicas may run calls of the database again once they have replayed all that there is now. */
  catchUp(database: string): void
  /** Has all gateways close the sessions for calls of the database. */
  retireSessions(database: string): Promise<void>
  /** The gateway is being stopped: nothing new is started. */
  isDraining(): boolean
}
