import type { Labels } from '../tenancy/labels.ts'
import { ownerKey } from '../tenancy/owner-identity.ts'
import { beginLeft, reduceLeft } from './fleet/left.ts'
import { migrateSites, type SitesRequest } from './fleet/migrate-sites.ts'
import { warnOfOvertaken } from './fleet/overtaken.ts'
import { type DatabaseResult, failureOf, untouched } from './fleet/results.ts'
import { type Selected, selectTargets, type Target } from './fleet/targets.ts'
import type { DeployParts } from './parts.ts'

/** A request to bring several databases to an archive. */
export interface FleetRequest extends SitesRequest {
  /** Names of databases or tenant ids to leave out. */
  skip: string[]
  /** Restricts the request to tenants that have all of these labels, if there are any. */
  labels: Labels
  /**
   * Restricts the request to databases whose last deploy failed, and those that a /migrate of this
   * archive has begun with and did not bring to it.
   */
  onlyFailed: boolean
}

/**
 * Returns the databases of the request.
 * @throws {GatewayError} database_not_found; invalid_request, as `selectTargets`
 */
export function findTargets(parts: DeployParts, request: FleetRequest): Promise<Selected> {
  return selectTargets(parts, { ...request, archiveChecksum: request.archive.checksum })
}

/**
 * Brings existing databases to the archive's schema: the owner's database or, if `owner.tenantId`
 * is null, every database of the platform or of its schema, on all servers.
 * Databases that are done stay done; one that failed is rolled back. See `migrateSites`.
 * @throws {GatewayError} database_not_found; if any database failed, an error with the `results` of
 *   all
 */
export async function migrate(
  parts: DeployParts,
  request: FleetRequest,
): Promise<DatabaseResult[]> {
  const { owner, archive, older, flags, onlyFailed } = request
  const { sites, targets, skipped } = await findTargets(parts, request)
  const isKept = owner.tenantId === null && !flags.dryRun && older !== 'revert'
  const isAsked = ({ database }: Target) => !skipped.has(database)
  if (isKept && !onlyFailed) {
    const names = targets.filter(isAsked).map(({ database }) => database)
    await parts.platformCatalog.use((sql) =>
      beginLeft(sql, ownerKey(owner), archive.checksum, names),
    )
  }

  const asked = sites.map((site) => ({ ...site, targets: site.targets.filter(isAsked) }))
  const ended = await migrateSites(request, asked)
  const ordered = targets.map(({ database }) =>
    skipped.has(database)
      ? untouched(database, 'skipped')
      : (ended.get(database) ?? untouched(database, 'not_started')),
  )
  if (isKept) await writeDown(parts, request, ordered)
  if (!flags.dryRun) await warnOfOvertaken(sites, ordered, archive.checksum)
  const failure = await failureOf(ordered, request.isStopped?.())
  if (failure) throw failure
  return ordered
}

/**
 * Records the databases that are done, for only=failed. If this fails, done databases stay listed
 * as left and run again, which is harmless.
 */
async function writeDown(
  { platformCatalog, log }: DeployParts,
  { owner, archive }: FleetRequest,
  results: DatabaseResult[],
): Promise<void> {
  const done = results.filter((one) => one.status === 'completed').map((one) => one.database)
  try {
    await platformCatalog.use((sql) => reduceLeft(sql, ownerKey(owner), archive.checksum, done))
  } catch (error) {
    log.warn('The list of databases that /migrate has not finished could not be updated', {
      platform: owner.platform,
      cause: (error as Error).message,
    })
  }
}
