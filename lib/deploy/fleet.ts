import { concurrently } from '../concurrently.ts'
import { type ErrorDetails, GatewayError } from '../errors.ts'
import type { Gateway } from '../gateway.ts'
import type { Owner } from '../names.ts'
import { type DeployRequest, update } from './register.ts'
import { type DeployResult, functionsChanged, toPlan } from './result.ts'

/** One database to be brought to the schema. */
type Target = Owner & { database: string }

/** What /migrate did to one database. */
export interface DatabaseResult {
  database: string
  status: 'completed' | 'dry_run' | 'failed' | 'not_started'
  /** Undefined where it failed or was not started. */
  result: DeployResult | undefined
  error: GatewayError | undefined
  executionTimeMs: number
}

export interface FleetRequest extends DeployRequest {
  /** What a failure means for databases that have not been started. */
  onError: 'stop' | 'continue'
  /** Told of each database as it ends. */
  onEnd?: (result: DatabaseResult) => void
}

/**
 * Brings databases that exist to the archive's schema: the owner's, or with `owner.tenantId` null
 * every database of the platform. The main one comes first, then one tenant as a canary; if either
 * fails nothing else is started. Then the rest, MIGRATE_CONCURRENCY at a time. Databases that are
 * done stay done, one that failed is as it was.
 * @throws {GatewayError} database_not_found; where any failed, an error with the `results` of all
 */
export async function migrate(gateway: Gateway, request: FleetRequest): Promise<DatabaseResult[]> {
  const [main, canary, ...rest] = await targets(gateway, request)
  const results: DatabaseResult[] = []
  const run = async (entry: Target) => {
    const result = await migrateOne(gateway, request, entry)
    results.push(result)
    request.onEnd?.(result)
  }

  await run(main!)
  if (canary && !hasFailed(results)) await run(canary)
  if (!hasFailed(results)) {
    await concurrently(rest, gateway.config.migrateConcurrency, async (entry) => {
      if (request.onError === 'continue' || !hasFailed(results)) await run(entry)
    })
  }

  const entries = [main!, ...(canary ? [canary] : []), ...rest]
  const ordered = entries.map(
    ({ database }) => results.find((one) => one.database === database) ?? notStarted(database),
  )
  if (hasFailed(results)) throw failure(ordered)
  return ordered
}

function hasFailed(results: DatabaseResult[]): boolean {
  return results.some((result) => result.status === 'failed')
}

async function targets(gateway: Gateway, { owner }: DeployRequest): Promise<Target[]> {
  if (owner.tenantId !== null) {
    return [{ ...owner, database: await gateway.catalog.find(owner, { anew: true }) }]
  }
  const entries = await gateway.catalog.list(owner.platform)
  if (entries.length > 0) return entries
  throw new GatewayError(
    'database_not_found',
    `Platform ${owner.platform} has no database; POST /register creates it`,
  )
}

async function migrateOne(
  gateway: Gateway,
  request: FleetRequest,
  entry: Target,
): Promise<DatabaseResult> {
  const started = performance.now()
  const outcome = (result?: DeployResult, error?: GatewayError): DatabaseResult => ({
    database: entry.database,
    status: error ? 'failed' : request.flags.dryRun ? 'dry_run' : 'completed',
    result,
    error,
    executionTimeMs: Math.round(performance.now() - started),
  })
  try {
    return outcome(await update(gateway, { ...request, owner: entry }))
  } catch (error) {
    if (error instanceof GatewayError) return outcome(undefined, error)
    gateway.log.error('Deploy failed', {
      database: entry.database,
      request_id: request.origin.requestId,
      error: (error as Error).stack,
    })
    return outcome(undefined, new GatewayError('internal_error', 'The log says what went wrong'))
  }
}

function notStarted(database: string): DatabaseResult {
  return {
    database,
    status: 'not_started',
    result: undefined,
    error: undefined,
    executionTimeMs: 0,
  }
}

/** The first failure, with what became of all databases. Different failures are migration_failed. */
function failure(results: DatabaseResult[]): GatewayError {
  const failed = results.filter((result) => result.status === 'failed')
  const first = failed[0]!.error!
  const isOneKind = failed.every(({ error }) => error?.code === first.code)
  const details: ErrorDetails = {
    ...first.details,
    database: failed[0]!.database,
    ...summarize(results),
    failed: failed.map(({ database, error }) => ({ ...error?.toJSON(), database })),
    not_started: results
      .filter((result) => result.status === 'not_started')
      .map((result) => result.database),
  }
  return isOneKind
    ? new GatewayError(first.code, first.message, details, first.status)
    : new GatewayError('migration_failed', first.message, details)
}

/** The fields of /migrate's answer that tell what was done. */
export function summarize(results: DatabaseResult[]) {
  const done = results.flatMap(({ result }) => result ?? [])
  return {
    databases_updated: results
      .filter((result) => result.status === 'completed')
      .map((result) => result.database),
    migrations_applied: new Set(done.flatMap((result) => result.migrationsApplied)).size,
    functions_updated: Math.max(0, ...done.map((result) => result.functionsDeployed)),
    results: results.map(describeResult),
  }
}

/** One database of /migrate's answer. */
export function describeResult({
  database,
  status,
  result,
  error,
  executionTimeMs,
}: DatabaseResult) {
  return {
    database,
    status,
    migrations_applied: result?.migrationsApplied.length ?? 0,
    functions_changed: result ? functionsChanged(result) : 0,
    execution_time_ms: executionTimeMs,
    error: error ?? null,
  }
}

/** The plan of each database of a dry run. */
export function plansOf(results: DatabaseResult[]) {
  return results.flatMap(({ database, result, executionTimeMs }) =>
    result ? [toPlan(database, result, executionTimeMs)] : [],
  )
}
