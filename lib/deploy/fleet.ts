import type { SchemaArchive } from '../archive/archive.ts'
import type { CatalogEntry } from '../catalog.ts'
import { type ErrorDetails, GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Owner } from '../names.ts'
import type { DeployOrigin, DeployResult } from './deploy.ts'
import { deployTo, findUnchanged } from './register.ts'

/** What /migrate did to one database. */
export interface DatabaseResult {
  database: string
  status: 'completed' | 'failed' | 'not_started'
  migrationsApplied: string[]
  functionsDeployed: number
  functionsChanged: number
  executionTimeMs: number
  warnings: string[]
  error?: GatewayError
}

/**
 * Brings databases that exist to the archive's schema: the owner's, or with `owner.tenantId` null
 * every database of the platform, the main one first. The first that fails ends it; those that
 * were done stay done.
 * @throws {GatewayError} database_not_found; the error of the database that failed, with the
 *   `results` of all
 */
export async function migrate(
  gateway: Gateway,
  owner: Owner,
  archive: SchemaArchive,
  origin: DeployOrigin,
): Promise<DatabaseResult[]> {
  const entries = await targets(gateway, owner)
  const results: DatabaseResult[] = []
  for (const entry of entries) {
    const result = await migrateOne(gateway, entry, archive, origin)
    results.push(result)
    if (result.error) throw failure(result.error, [...results, ...notStarted(entries, results)])
  }
  return results
}

async function targets(gateway: Gateway, owner: Owner): Promise<CatalogEntry[]> {
  if (owner.tenantId !== null) return [{ ...owner, database: await gateway.catalog.find(owner) }]
  const entries = await gateway.catalog.list(owner.platform)
  if (entries.length > 0) return entries
  throw new GatewayError(
    'database_not_found',
    `Platform ${owner.platform} has no database; POST /register creates it`,
  )
}

async function migrateOne(
  gateway: Gateway,
  entry: CatalogEntry,
  archive: SchemaArchive,
  origin: DeployOrigin,
): Promise<DatabaseResult> {
  const started = performance.now()
  const outcome = (status: DatabaseResult['status'], result?: DeployResult) => ({
    database: entry.database,
    status,
    migrationsApplied: result?.migrationsApplied ?? [],
    functionsDeployed: result?.functionsDeployed ?? 0,
    functionsChanged: result?.functionsChanged ?? 0,
    executionTimeMs: Math.round(performance.now() - started),
    warnings: result?.warnings ?? [],
  })
  try {
    const result = await gateway.deploys.run(
      entry.database,
      async () =>
        (await findUnchanged(gateway, entry, archive)) ??
        deployTo(gateway, entry, entry.database, archive, origin),
    )
    return outcome('completed', result)
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    return { ...outcome('failed'), error }
  }
}

function notStarted(entries: CatalogEntry[], done: DatabaseResult[]): DatabaseResult[] {
  return entries.slice(done.length).map(({ database }) => ({
    database,
    status: 'not_started',
    migrationsApplied: [],
    functionsDeployed: 0,
    functionsChanged: 0,
    executionTimeMs: 0,
    warnings: [],
  }))
}

function failure(error: GatewayError, results: DatabaseResult[]): GatewayError {
  const details: ErrorDetails = { ...error.details, ...summarize(results) }
  return new GatewayError(error.code, error.message, details, error.status)
}

/** The fields of /migrate's answer that tell what was done. */
export function summarize(results: DatabaseResult[]) {
  const completed = results.filter((result) => result.status === 'completed')
  return {
    databases_updated: completed.map((result) => result.database),
    migrations_applied: new Set(completed.flatMap((result) => result.migrationsApplied)).size,
    functions_updated: Math.max(0, ...completed.map((result) => result.functionsDeployed)),
    results: results.map((result) => ({
      database: result.database,
      status: result.status,
      migrations_applied: result.migrationsApplied.length,
      functions_changed: result.functionsChanged,
      execution_time_ms: result.executionTimeMs,
      error: result.error ?? null,
    })),
  }
}
