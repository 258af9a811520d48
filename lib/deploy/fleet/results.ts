import { mapInSlices } from '../../common/in-slices.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import { type DeployResult, functionsChanged, toPlan, withoutOid } from '../result.ts'

/** What /migrate did to one database. */
export interface DatabaseResult {
  database: string
  status: 'completed' | 'dry_run' | 'failed' | 'not_started' | 'skipped'
  /** Undefined where it failed or was not started. */
  result?: DeployResult | undefined
  /** Of one that failed. */
  error?: GatewayError | undefined
  /** False: nothing of the archive was run, since the database could not be worked in. */
  isReached: boolean
  executionTimeMs: number
}

/** A database to which nothing was done. */
export function untouched(database: string, status: 'not_started' | 'skipped'): DatabaseResult {
  return { database, status, isReached: false, executionTimeMs: 0 }
}

/** A database that could not be reached. */
export function unreached(
  database: string,
  error: GatewayError,
  executionTimeMs = 0,
): DatabaseResult {
  return { database, status: 'failed', error, isReached: false, executionTimeMs }
}

/** The fields of /migrate's answer that tell what was done. */
export async function summarize(results: DatabaseResult[]) {
  const migrations = new Set<string>()
  let functions = 0
  for (const { result } of results) {
    for (const name of result?.migrationsApplied ?? []) migrations.add(name)
    functions = Math.max(functions, result?.functionsDeployed ?? 0)
  }
  return {
    databases_updated: namesOf(results, 'completed'),
    migrations_applied: migrations.size,
    functions_updated: functions,
    results: await mapInSlices(results, describeResult),
    skipped: namesOf(results, 'skipped'),
  }
}

/** One database of /migrate's answer. */
export function describeResult(one: DatabaseResult) {
  const { database, status, result, error, executionTimeMs } = one
  return {
    database,
    status,
    migrations_applied: result?.migrationsApplied.length ?? 0,
    functions_changed: result ? functionsChanged(result) : 0,
    functions_dropped: result?.functionsDropped ?? [],
    tables_created: result?.tablesCreated ?? [],
    schema_validation: result?.differences ?? null,
    incompatible_changes: result ? incompatibleChanges(result) : [],
    execution_time_ms: executionTimeMs,
    error: error ?? null,
  }
}

/** Changes to tables with which the code of before may fail, as they are answered. */
export function incompatibleChanges(result: DeployResult) {
  return result.tableChanges.filter((change) => change.class === 'incompatible').map(withoutOid)
}

/** The plan of each database of a dry run. */
export async function plansOf(results: DatabaseResult[]) {
  const plans = await mapInSlices(results, ({ database, result, executionTimeMs }) =>
    result ? [toPlan(database, result, executionTimeMs)] : [],
  )
  return plans.flat()
}

/**
 * The error of a /migrate that did not come to its end, with what became of all databases; undefined
 * where it did. What failed in a database goes before databases that could not be reached, and these
 * before databases that were not started. Different failures are migration_failed.
 */
export async function failureOf(results: DatabaseResult[]): Promise<GatewayError | undefined> {
  const failed = results.filter((one) => one.status === 'failed')
  const notStarted = namesOf(results, 'not_started')
  if (failed.length === 0 && notStarted.length === 0) return undefined
  const details = {
    ...(await summarize(results)),
    failed: await mapInSlices(failed, ({ database, error }) => ({ ...error?.toJSON(), database })),
    not_started: notStarted,
  }
  const broken = failed.filter((one) => one.isReached || one.error?.code === 'name_conflict')
  if (broken.length > 0) return firstOf(broken, details)
  if (failed.length > 0 && results.length === 1) return firstOf(failed, details)
  const count = (some: number) => `${some} of ${results.length} databases`
  if (failed.length > 0) {
    const { database, error } = failed[0]!
    const message = `${count(failed.length)} could not be reached; the first is ${database}: ${error!.message}`
    return new GatewayError('connection_failed', message, { database, ...details })
  }
  const message = `The gateway is stopping: ${count(notStarted.length)} were not started. Send it again`
  return new GatewayError('connection_failed', message, details)
}

function firstOf(failed: DatabaseResult[], about: ErrorDetails): GatewayError {
  const { database, error } = failed[0]!
  const { code, message, details, status } = error!
  const all = { ...details, database, ...about }
  return failed.every((one) => one.error!.code === code)
    ? new GatewayError(code, message, all, status)
    : new GatewayError('migration_failed', message, all)
}

function namesOf(results: DatabaseResult[], status: DatabaseResult['status']): string[] {
  return results.filter((one) => one.status === status).map((one) => one.database)
}
