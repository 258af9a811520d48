import type { ArchiveLimits } from '../archive/archive.ts'
import type { JobEnd, JobResult } from '../jobs/jobs.ts'
import { forgetEntry } from '../tenancy/catalog/forget-entry.ts'
import type { Tenant } from '../tenancy/catalog/tenant-rows.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { type Adopted, type AdoptRequest, adopt } from './adopt.ts'
import { createWithSchema } from './create.ts'
import { type CreatedTenant, createTenant, type TenantRequest } from './create-tenant.ts'
import { findDrift } from './drift/drift.ts'
import { recordDrift } from './drift/table.ts'
import { type DroppedTenant, dropTenant } from './drop/drop-tenant.ts'
import { DueDrops, type OnDropped } from './drop/due-drops.ts'
import { requirePgDump } from './drop/dumps.ts'
import type { DatabaseResult } from './fleet/results.ts'
import { RunningFleets } from './fleet/stops.ts'
import { watched } from './fleet/watched.ts'
import { type FleetRequest, findTargets, migrate } from './fleet.ts'
import { prepareAnswers } from './ledger/prepare-answers.ts'
import { type Cloned, type CloneRequest, cloneTenant } from './move/clone-tenant.ts'
import { CopyTime } from './move/copy-time.ts'
import { renameTenant } from './move/rename-tenant.ts'
import { type Copied, lookAt } from './older/look.ts'
import { findArchive } from './older/revert.ts'
import { migrateStored, type StoredDeploy, type StoredDeployed } from './original/migrate.ts'
import { migrateTenants, type StoredFleet } from './original/migrate-all.ts'
import { findTenants, type StoredScope, type StoredTargets } from './original/tenants.ts'
import type { DeployParts } from './parts.ts'
import { type DeployRequest, register } from './register.ts'
import type { DeployResult } from './result.ts'
import { type Proven, withProof } from './templates/proof.ts'
import { type DumpSink, exportDatabase } from './transfer/export.ts'
import { type Imported, type ImportRequest, importTenant } from './transfer/import.ts'
import { Transfers } from './transfer/transfers.ts'

/** A request to take the functions, views and triggers of databases back to an earlier archive. */
export type RevertRequest = Omit<
  FleetRequest,
  'archive' | 'packed' | 'older' | 'onlyFailed' | 'flags'
> & { checksum: string; dryRun: boolean }

/** All operations that change databases; the interface of this folder to handlers. */
export class Deploys {
  readonly parts: DeployParts
  readonly #archiveLimits: ArchiveLimits
  readonly #copyTime: CopyTime
  /** The exports, imports and moves to other servers that run. */
  readonly transfers: Transfers
  readonly #fleets: RunningFleets

  /** @param main those of `main`, for another server: who stops a fleet asks `main` */
  constructor(parts: DeployParts, archiveLimits: ArchiveLimits, main?: Deploys) {
    this.#fleets = main ? main.#fleets : new RunningFleets()
    this.parts = parts
    this.#archiveLimits = archiveLimits
    this.#copyTime = new CopyTime(parts.config.databaseCopy)
    this.transfers = new Transfers(() => parts.pools.capacity)
  }

  /**
   * Creates the database if it does not exist and brings it to the archive's schema. See
   * `register`.
   */
  register(request: DeployRequest): Promise<DeployResult> {
    return register(this.parts, request)
  }

  /**
   * Brings databases to the archive's schema and checks that the archive can create a new tenant.
   * See `migrate` and `withProof`.
   */
  async migrate(request: FleetRequest): Promise<Proven<DatabaseResult[]>> {
    const warnings = new Set<string>()
    const onWarning = (warning: string) => void warnings.add(warning)
    const find = () => findTargets(this.parts, request)
    const proven = await withProof(this.parts, { ...request, find }, true, () =>
      this.#migrate({ ...request, onWarning }),
    )
    for (const warning of proven.warnings) warnings.add(warning)
    return { value: proven.value, warnings: [...warnings] }
  }

  /**
   * Has the /migrate, revert or /v2/migrate-all of a request start no further database, on whichever gateway it runs.
   * @param requestId its X-Request-Id
   */
  async stop(platform: string, requestId: string): Promise<void> {
    this.stopHere(platform, requestId)
    await this.parts.tellToStop(platform, requestId)
  }

  /** As `stop`, on this gateway alone. */
  stopHere(platform: string, requestId: string): void {
    this.#fleets.stop(platform, requestId)
  }

  /**
   * Takes the functions, views and triggers of databases back to a kept archive; everything else
   * stays.
   * @throws {GatewayError} not_found if the archive is not kept; any error of `migrate`
   */
  async revert({ checksum, dryRun, ...request }: RevertRequest): Promise<DatabaseResult[]> {
    const { platformCatalog } = this.parts
    const kept = await findArchive(
      (work) => platformCatalog.use(work),
      archivesOf(request.owner),
      checksum,
      this.#archiveLimits,
    )
    const flags = { allow: new Set<never>(), repair: false, strict: false, dryRun }
    return this.#migrate({ ...request, ...kept, flags, older: 'revert', onlyFailed: false })
  }

  #migrate(request: FleetRequest): Promise<DatabaseResult[]> {
    const { platform } = request.owner
    const id = request.origin.requestId
    return this.#fleets.run(platform, id, (isStopped) =>
      watched(
        { platform, id, dry_run: request.flags.dryRun },
        request,
        this.parts.tellProgress,
        (progress) => migrate(this.parts, { ...request, ...progress, isStopped }),
      ),
    )
  }

  /**
   * Creates a tenant's database, empty or with the platform's newest archive. See `createTenant`.
   */
  createTenant(request: TenantRequest): Promise<CreatedTenant> {
    return createTenant(this.parts, request, this.#archiveLimits)
  }

  /** Creates a database with a stored schema, and records its name. See `createWithSchema`. */
  async createStored(request: DeployRequest, schemaName: string): Promise<DeployResult> {
    const { owner } = request
    const result = await createWithSchema(this.parts, request)
    await this.parts.catalog.recordStored(owner.platform, databaseName(owner), schemaName)
    return result
  }

  /** Enters an existing database into the catalog. See `adopt`. */
  adopt(request: AdoptRequest): Promise<Adopted> {
    return this.parts.queue.run(request.database, () => adopt(this.parts, request))
  }

  /** Removes the catalog entry of a database that no longer exists. See `forgetEntry`. */
  async forget(owner: Owner): Promise<void> {
    const { queue, catalog, places } = this.parts
    const database = databaseName(owner)
    await queue.run(database, async () => {
      await catalog.use((sql) => forgetEntry(sql, owner))
      await places.leaveUnmade(database)
    })
    // Drops the cache entry now, since the catalog's notification may come after the next request.
    catalog.forget(owner)
  }

  /** Gives up the place of a database that was not made here. See `Places`. */
  leaveUnmade(database: string): Promise<void> {
    return this.parts.places.leaveUnmade(database)
  }

  /** Drops a tenant now. See `dropTenant`. */
  dropTenant(owner: Owner, isDumped: boolean): Promise<DroppedTenant> {
    return dropTenant(this.parts, owner, isDumped)
  }

  /** Renames a tenant and its database. See `renameTenant`. */
  renameTenant(from: Owner, to: Owner, isHeld: boolean, gone: AbortSignal): Promise<Tenant> {
    return renameTenant(this.parts, from, to, isHeld, gone)
  }

  /** Copies a tenant with its database. See `cloneTenant`. */
  cloneTenant(request: CloneRequest): Promise<Cloned> {
    return cloneTenant(this.parts, this.#copyTime, request)
  }

  /**
   * Checks that this gateway has a pg_dump of the server's version.
   * @throws {GatewayError} dump_not_available
   */
  async checkDumps(): Promise<void> {
    await this.parts.catalog.use(requirePgDump)
  }

  /** Returns the timers of scheduled drops; they call `onDropped` for each dropped tenant. */
  dueDrops(onDropped: OnDropped): DueDrops {
    return new DueDrops(this.parts, onDropped)
  }

  /** Dumps a tenant's database into `sink`; returns the bytes of the dump. See `exportDatabase`. */
  exportTenant(owner: Owner, sink: DumpSink): Promise<number> {
    return exportDatabase(this.parts, this.transfers, owner, sink)
  }

  /** Creates a tenant's database from a dump. See `importTenant`. */
  importTenant(request: ImportRequest): Promise<Imported> {
    return importTenant(this.parts, this.transfers, request)
  }

  /** Brings one database to a stored schema. See `migrateStored`. */
  migrateStored(request: StoredDeploy): Promise<StoredDeployed> {
    return migrateStored(this.parts, request)
  }

  /** Returns the tenants that a stored schema applies to. See `findTenants`. */
  findTenants(scope: Omit<StoredScope, 'limits'>): Promise<StoredTargets> {
    return findTenants(this.parts, { ...scope, limits: this.#archiveLimits })
  }

  /** Brings tenants to a stored schema. See `migrateTenants`. */
  migrateTenants(
    fleet: Omit<StoredFleet, 'isStopped'>,
    targets: StoredTargets,
    onResult: (result: JobResult) => void,
  ): Promise<JobEnd> {
    return this.#fleets.run(fleet.platform, fleet.origin.requestId, (isStopped) =>
      migrateTenants(this.parts, { ...fleet, isStopped }, targets, onResult),
    )
  }

  /**
   * Returns how the databases of a platform differ from its archive, and records which do. See
   * `findDrift`.
   */
  async findDrift(platform: string): ReturnType<typeof findDrift> {
    const drift = await findDrift(this.parts, platform)
    const others = this.parts.serversOf(platform).flatMap(({ parts }) => parts ?? [])
    const [own] = await Promise.allSettled(
      [this.parts, ...others].map(({ catalog }) =>
        catalog.use((sql) => recordDrift(sql, platform, drift.groups)),
      ),
    )
    if (own!.status === 'rejected') throw own!.reason
    this.parts.tellFleet(platform)
    return drift
  }

  /**
   * Reads from the databases' own ledgers which archive each has, and corrects the catalog.
   * @returns the databases that could not be read. See `lookAt`.
   */
  lookAt(databases: Copied[]): Promise<Set<string>> {
    return lookAt(this.parts, databases)
  }

  /** Creates the table of kept answers in a database that has none. See `prepareAnswers`. */
  prepareAnswers(database: string): Promise<void> {
    return prepareAnswers(this.parts, database)
  }

  /** Number of deploys to one database that run. */
  get running(): number {
    return this.parts.queue.running
  }

  /** Number of deploys to one database that wait for their turn. */
  get waiting(): number {
    return this.parts.queue.waiting
  }

  /** Resolves when no deploy runs or waits, and no export or import runs. */
  async drained(): Promise<void> {
    await Promise.all([this.parts.queue.drained(), this.transfers.drained()])
  }

  /** Ends the imports and moves that run, which are undone and answered. */
  giveUp(): void {
    this.transfers.giveUp()
  }

  /** Ends the exports and imports that still run; a half made database is dropped. */
  end(): Promise<void> {
    return this.transfers.end()
  }
}

/** The owner whose archives a request means: the main database, in the schema `main`, has no schema. */
function archivesOf({ platform, schema }: Owner): Pick<Owner, 'platform' | 'schema'> {
  return { platform, schema: schema === 'main' ? null : schema }
}
