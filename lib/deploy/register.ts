import type { SchemaArchive } from '../archive/archive.ts'
import { describeOwner } from '../catalog.ts'
import type { Gateway } from '../gateway.ts'
import { databaseName, type Owner } from '../names.ts'
import { isPostgresError } from '../postgres/errors.ts'
import { ensureDatabase } from './database.ts'
import { type DeployOrigin, type DeployResult, deploy } from './deploy.ts'
import { findInPlace } from './ledger.ts'

/** A deploy waits longer for a connection than a call does: it is not repeated so easily. */
const DEPLOY_WAIT_MS = 60_000

const UNDEFINED_TABLE = '42P01'

/**
 * Brings the owner's database to the archive's schema; creates it first where it does not exist.
 * One that this request created is dropped again if its first deploy fails.
 * @throws {GatewayError} name_conflict, or what `deploy` throws
 */
export async function register(
  gateway: Gateway,
  owner: Owner,
  archive: SchemaArchive,
  origin: DeployOrigin,
): Promise<{ database: string; result: DeployResult }> {
  const database = databaseName(owner)
  const inPlace = await findUnchanged(gateway, owner, archive)
  if (inPlace) return { database, result: inPlace }

  const result = await gateway.deploys.run(database, async () => {
    // Those that came at the same moment find the work of the first done.
    const unchanged = await findUnchanged(gateway, owner, archive)
    if (unchanged) return unchanged
    const deployIt = () => deployTo(gateway, owner, database, archive, origin)
    if (await gateway.catalog.findOwn(owner)) return deployIt()
    return (await ensureDatabase(gateway, owner, deployIt)) ?? deployIt()
  })
  return { database, result }
}

/** One deploy to a database that exists, and its line in the log. */
export async function deployTo(
  gateway: Gateway,
  owner: Owner,
  database: string,
  archive: SchemaArchive,
  origin: DeployOrigin,
): Promise<DeployResult> {
  const started = performance.now()
  const fields = () => ({
    platform: owner.platform,
    tenant_id: owner.tenantId,
    database,
    checksum: archive.checksum,
    ms: Math.round(performance.now() - started),
    request_id: origin.requestId,
    address: origin.address,
  })
  const lease = await gateway.pools.lease(database, DEPLOY_WAIT_MS)
  try {
    const result = await deploy(lease, database, archive, origin)
    gateway.log.info(`Deployed ${describeOwner(owner)}`, {
      migrations_applied: result.migrationsApplied.length,
      functions_deployed: result.functionsDeployed,
      functions_changed: result.functionsChanged,
      functions_dropped: result.functionsDropped.length,
      seeders_applied: result.seedersApplied,
      ...fields(),
    })
    return result
  } catch (error) {
    gateway.log.warn(`Deploy failed: ${describeOwner(owner)}`, {
      cause: (error as Error).message,
      ...fields(),
    })
    throw error
  } finally {
    gateway.signatures.forget(database)
    await lease.discard()
  }
}

/** What to answer where the archive is in place already; undefined where it is not. */
export async function findUnchanged(
  gateway: Gateway,
  owner: Owner,
  archive: SchemaArchive,
): Promise<DeployResult | undefined> {
  const database = await gateway.catalog.findOwn(owner)
  if (database === undefined) return undefined
  try {
    const functionsDeployed = await gateway.pools.use(
      database,
      (sql) => findInPlace(sql, archive.checksum),
      DEPLOY_WAIT_MS,
    )
    if (functionsDeployed === undefined) return undefined
    return {
      migrationsApplied: [],
      functionsDeployed,
      functionsChanged: 0,
      functionsDropped: [],
      seedersApplied: 0,
      warnings: [],
    }
  } catch (error) {
    if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return undefined
    if (isPostgresError(error) && error.code === '3D000') {
      gateway.catalog.forget(owner)
      return undefined
    }
    throw error
  }
}
