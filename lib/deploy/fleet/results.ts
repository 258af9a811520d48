import { mapInSlices } from '../../common/in-slices.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import { type DeployResult, functionsChanged, toPlan, withoutOid } from '../result.ts'

/** Result of /migrate for one database. */
export interface DatabaseResult {
  database: string
  status: 'completed' | 'dry_run' | 'failed' | 'not_started' | 'skipped'
  /** Undefined if the deploy failed or was not started. */
  result?: DeployResult | undefined
  /** Error of a failed deploy. */
  error?: GatewayError | undefined
  /** False if no statement of the archive ran because the database could not be reached. */
  isReached: boolean
  executionTimeMs: number
}

/** Returns the result of a database that was not touched. */
export function untouched(database: string, status: 'not_started' | 'skipped'): DatabaseResult {
  return { database, status, isReached: false, executionTimeMs: 0 }
}

/** Returns the result of a database that could not be reached. */
export function unreached(
  database: string,
  error: GatewayError,
  executionTimeMs = 0,
): DatabaseResult {
  return { database, status: 'failed', error, isReached: false, executionTimeMs }
}

/** Returns the fields of /migrate's response that summarise the results. */
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

/** Returns the entry of one database in /migrate's response. */
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

/**
 * Returns the changes to tables that may break the previous version of the application code, in the
 * form of the response.
 */
export function incompatibleChanges(result: DeployResult) {
  return result.tableChanges.filter((change) => change.class === 'incompatible').map(withoutOid)
}

/** Returns the plan of each database of a dry run. */
export async function plansOf(results: DatabaseResult[]) {
  const plans = await mapInSlices(results, ({ database, result, executionTimeMs }) =>
    result ? [toPlan(database, result, executionTimeMs)] : [],
  )
  return plans.flat()
}

/**
 * Returns the error of a /migrate that did not finish, with the results of all databases; undefined
 * if it did. Failed deploys take precedence over databases that could not be reached, and these
 * over databases that were not started. Failures with different codes become migration_failed.
 * @param isStopped whether a request to /migrate/stop has ended it
 */
export async function failureOf(
  results: DatabaseResult[],
  isStopped = false,
): Promise<GatewayError | undefined> {
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
  if (isStopped) {
    const message = `Stopped by a request to /migrate/stop: ${count(notStarted.length)} were not started. The same request again does what is left`
    return new GatewayError('migration_stopped', message, details)
  }
  const message = `The gateway is stopping: ${count(notStarted.length)} were not started. Send the request again`
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
