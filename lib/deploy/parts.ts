import type { KnownFunctions } from '../call/signatures/known-functions.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { Server } from '../postgres/hosts/server.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Pools } from '../postgres/pools/pools.ts'
import type { Catalog } from '../tenancy/catalog/catalog.ts'
import type { Owner } from '../tenancy/names.ts'
import type { Roles } from '../tenancy/roles/roles.ts'
import type { CatalogAccess } from '../tenancy/schemas/stored-archives.ts'
import type { Secrets } from '../tenancy/secrets/secrets.ts'
import type { Deployments } from './deployments/deployments.ts'
import type { FleetJob } from './fleet/watched.ts'
import type { KeyedQueue } from './queue.ts'
import type { DeployResult } from './result.ts'
import type { KnownTemplates } from './templates/known-templates.ts'

/** Which server a database is on, as the catalog of `main` has it (see lib/servers). */
export interface Places {
  /**
   * Records that the owner's database is about to be made on this server.
   * @param admin session that holds the lock of its name (see `withDatabaseLock`)
   * @throws {GatewayError} name_conflict if it is on another one
   */
  take(admin: Sql, owner: Owner): Promise<void>
  /** Forgets it if this server's catalog does not have the database; never rejects. */
  leave(admin: Sql, database: string): Promise<void>
  /** @throws {MovedAway} if the database was moved from this server a moment ago */
  checkNotMoved(admin: Sql, owner: Owner): Promise<void>
  /** As `leave`, unless somebody is making the database. */
  leaveUnmade(database: string): Promise<void>
}

/** A server that has databases of a platform, beside `main`. */
export interface FleetServer {
  name: string
  /** Undefined if it has not answered since the start. */
  parts: DeployParts | undefined
  /** Why it has not, as a predicate. */
  trouble: string | undefined
  /** Reads which databases it has, from the catalog of `main`. */
  placed(): Promise<(Owner & { database: string })[]>
}

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
  /**
   * Runs work in the catalog of `main`, which has what belongs to platforms: their archives, the order
   * of these, and stored schemas. The same as `catalog` on `main`.
   */
  platformCatalog: CatalogAccess
  places: Places
  /** Returns the other servers that have databases of a platform; none where this one is not `main`. */
  serversOf(platform: string): FleetServer[]
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
