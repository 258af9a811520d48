import type { ArchiveLimits } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import { changeLabels, readTenant } from '../tenancy/catalog/tenant-rows.ts'
import { type Labels, tooMany } from '../tenancy/labels.ts'
import { databaseName, type Owner } from '../tenancy/names.ts'
import { readNewest } from '../tenancy/schemas/archive-order.ts'
import { createAlone } from './create.ts'
import { createEmpty, type OnDatabase } from './database/database.ts'
import { findArchive } from './older/revert.ts'
import type { DeployParts } from './parts.ts'
import { type DeployRequest, register } from './register.ts'
import type { DeployOrigin, DeployResult } from './result.ts'
import { deployWithProof } from './templates/proof.ts'

/** A request for a new tenant. */
export interface TenantRequest {
  owner: Owner
  labels: Labels
  /** Whether the platform's newest archive is deployed; otherwise the database is empty. */
  hasSchema: boolean
  /**
   * Whether the tenant may exist. An existing tenant gets the labels, and the archive if none was
   * deployed to it.
   */
  mayExist: boolean
  origin: DeployOrigin
  onDatabase?: OnDatabase
}

/** Result of the request. */
export interface CreatedTenant {
  isNew: boolean
  /** The deployed archive; undefined if none was deployed. */
  deployed: { checksum: string; result: DeployResult } | undefined
}

/**
 * Creates a tenant's database. With the newest archive it is copied from the template if there is
 * one, and dropped again if the deploy fails.
 * @throws {GatewayError} database_already_exists, name_conflict; invalid_request for too many labels;
 *   not_found if the platform has no archive, or it is not kept; errors of a deploy
 */
export async function createTenant(
  parts: DeployParts,
  request: TenantRequest,
  limits: ArchiveLimits,
): Promise<CreatedTenant> {
  const { owner, labels, hasSchema, mayExist, onDatabase } = request
  const newest = hasSchema ? await findNewest(parts, request, limits) : undefined
  try {
    if (newest) {
      const result = await deployWithProof(parts, newest, () =>
        createAlone(parts, newest, { labels }),
      )
      return deployed(true, newest, result)
    }
    const database = databaseName(owner)
    await parts.queue.run(database, () => createEmpty(parts, owner, onDatabase, { labels }))
    return { isNew: true, deployed: undefined }
  } catch (error) {
    const isThere = error instanceof GatewayError && error.code === 'database_already_exists'
    if (!isThere || !mayExist) throw error
    return completeTenant(parts, request, newest)
  }
}

/** Gives an existing tenant the labels and the archive that it lacks. */
async function completeTenant(
  parts: DeployParts,
  { owner, labels }: TenantRequest,
  newest: DeployRequest | undefined,
): Promise<CreatedTenant> {
  const database = databaseName(owner)
  const tenant = await parts.catalog.use(async (sql) => {
    const isChanged = await changeLabels(sql, database, labels)
    const tenant = await readTenant(sql, database)
    if (tenant && !isChanged) throw tooMany()
    return tenant
  })
  if (!newest || tenant?.schemaChecksum) return { isNew: false, deployed: undefined }
  return deployed(false, newest, await register(parts, newest))
}

/** Returns a request to deploy the newest archive of the platform's databases without a schema. */
async function findNewest(
  { platformCatalog }: DeployParts,
  { owner, origin, onDatabase }: TenantRequest,
  limits: ArchiveLimits,
): Promise<DeployRequest> {
  const checksum = await platformCatalog.use((sql) => readNewest(sql, owner))
  if (checksum === undefined) {
    throw new GatewayError(
      'not_found',
      `No archive was deployed to platform ${owner.platform}: "deploy" takes the newest, which POST /register or /migrate brings`,
    )
  }
  const kept = await findArchive((work) => platformCatalog.use(work), owner, checksum, limits)
  return {
    owner,
    ...kept,
    older: 'whole',
    flags: { allow: new Set(), repair: false, dryRun: false, strict: false },
    origin,
    ...(onDatabase && { onDatabase }),
  }
}

function deployed(isNew: boolean, { archive }: DeployRequest, result: DeployResult): CreatedTenant {
  return { isNew, deployed: { checksum: archive.checksum, result } }
}
