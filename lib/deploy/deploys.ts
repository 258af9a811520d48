import type { ArchiveLimits } from '../archive/archive.ts'
import type { JobEnd, JobResult } from '../jobs/jobs.ts'
import { forgetEntry } from '../tenancy/catalog/forget-entry.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { type Adopted, type AdoptRequest, adopt } from './adopt.ts'
import { createWithSchema } from './create.ts'
import { createTenant, type OnDatabase } from './database/database.ts'
import { findDrift } from './drift/drift.ts'
import type { DatabaseResult } from './fleet/results.ts'
import { type FleetRequest, migrate } from './fleet.ts'
import { type Copied, lookAt } from './older/look.ts'
import { findArchive } from './older/revert.ts'
import { migrateStored, type StoredDeploy, type StoredDeployed } from './original/migrate.ts'
import { migrateTenants, type StoredFleet } from './original/migrate-all.ts'
import { findTenants, type StoredScope, type StoredTargets } from './original/tenants.ts'
import type { DeployParts } from './parts.ts'
import { type DeployRequest, register } from './register.ts'
import type { DeployResult } from './result.ts'
import { type Proven, withProof } from './templates/proof.ts'

/** A request to take databases back to an earlier archive. */
export type RevertRequest = Omit<
  FleetRequest,
  'archive' | 'packed' | 'older' | 'onlyFailed' | 'flags'
> & { checksum: string; dryRun: boolean }

/** All that changes what is in databases: the face of this folder. */
export class Deploys {
  readonly #parts: DeployParts
  readonly #archiveLimits: ArchiveLimits

  constructor(parts: DeployParts, archiveLimits: ArchiveLimits) {
    this.#parts = parts
    this.#archiveLimits = archiveLimits
  }

  /** As `register`: brings a database to the archive's schema; creates it where it does not exist. */
  register(request: DeployRequest): Promise<DeployResult> {
    return register(this.#parts, request)
  }

  /** As `migrate`, with a proof that the archive makes a new tenant. */
  migrate(request: FleetRequest): Promise<Proven<DatabaseResult[]>> {
    return withProof(this.#parts, request, true, () => migrate(this.#parts, request))
  }

  /**
   * Takes the code of databases back to an archive that is kept.
   * @throws {GatewayError} not_found where it is not kept; as `migrate`
   */
  async revert({ checksum, dryRun, ...request }: RevertRequest): Promise<DatabaseResult[]> {
    const { catalog } = this.#parts
    const kept = await findArchive(
      (work) => catalog.use(work),
      request.owner,
      checksum,
      this.#archiveLimits,
    )
    const flags = { allow: new Set<never>(), repair: false, strict: false, dryRun }
    return migrate(this.#parts, { ...request, ...kept, flags, older: 'revert', onlyFailed: false })
  }

  /** As `createTenant`: creates an empty database, and gives its name. */
  createTenant(owner: Owner, onDatabase: OnDatabase): Promise<string> {
    return this.#parts.queue.run(databaseName(owner), () =>
      createTenant(this.#parts, owner, onDatabase),
    )
  }

  /** As `createWithSchema`: creates a database with an archive's schema. */
  create(request: DeployRequest): Promise<DeployResult> {
    return createWithSchema(this.#parts, request)
  }

  /** As `adopt`: takes a database that is there already into the catalog. */
  adopt(request: AdoptRequest): Promise<Adopted> {
    return this.#parts.queue.run(request.database, () => adopt(this.#parts, request))
  }

  /** As `forgetEntry`: takes a database that is not there any more out of the catalog. */
  async forget(owner: Owner): Promise<void> {
    const { queue, catalog } = this.#parts
    await queue.run(databaseName(owner), () => catalog.use((sql) => forgetEntry(sql, owner)))
    // Before its own notification comes: the next request has to see it.
    catalog.forget(owner)
  }

  /** As `migrateStored`: brings one database to a stored schema. */
  migrateStored(request: StoredDeploy): Promise<StoredDeployed> {
    return migrateStored(this.#parts, request)
  }

  /** The tenants that a stored schema is for, as `findTenants`. */
  findTenants(scope: StoredScope): Promise<StoredTargets> {
    return findTenants(scope)
  }

  /** As `migrateTenants`: brings tenants to a stored schema. */
  migrateTenants(
    fleet: StoredFleet,
    targets: StoredTargets,
    onResult: (result: JobResult) => void,
  ): Promise<JobEnd> {
    return migrateTenants(this.#parts, fleet, targets, onResult)
  }

  /** As `findDrift`: what the databases of a platform have that differs from its archive. */
  findDrift(platform: string): ReturnType<typeof findDrift> {
    return findDrift(this.#parts, platform)
  }

  /** As `lookAt`: reads in the databases' own ledgers which archive they have. */
  lookAt(databases: Copied[]): Promise<Set<string>> {
    return lookAt(this.#parts, databases)
  }

  /** Resolves when none is under way. */
  async drained(): Promise<void> {
    await this.#parts.queue.drained()
  }
}
