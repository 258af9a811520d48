import { concurrently } from '../common/concurrently.ts'
import { mapInSlices } from '../common/in-slices.ts'
import { GatewayError } from '../errors.ts'
import type { Labels } from '../tenancy/labels.ts'
import { ownerKey } from '../tenancy/owner-identity.ts'
import { scopeOfOrigin, traced } from '../tracing/scope.ts'
import { beginLeft, reduceLeft } from './fleet/left.ts'
import type { FleetProgress } from './fleet/progress.ts'
import { type DatabaseResult, failureOf, unreached, untouched } from './fleet/results.ts'
import { findUnreachable, selectTargets, type Target } from './fleet/targets.ts'
import type { DeployParts } from './parts.ts'
import { type DeployRequest, update } from './register.ts'

/** A request to bring several databases to an archive. */
export interface FleetRequest extends DeployRequest, FleetProgress {
  /** Whether the remaining databases are still started after a failure. */
  onError: 'stop' | 'continue'
  /** Names of databases or tenant ids to leave out. */
  skip: string[]
  /** Restricts the request to tenants that have all of these labels, if there are any. */
  labels: Labels
  /**
   * Restricts the request to databases whose last deploy failed, and those that the last /migrate of
   * this archive did not bring to it.
   */
  onlyFailed: boolean
  /** Returns whether somebody has asked for no further database to be started. */
  isStopped?: () => boolean
}

/** Thrown when a database gets its turn after the fleet has stopped starting new ones. */
const NOT_STARTED = Symbol('not started')

/**
 * Brings existing databases to the archive's schema: the owner's database or, if `owner.tenantId`
 * is null, every database of the platform or of its schema.
 * The main database comes first. Tenants follow one at a time until one could be reached: the
 * canary. If the main database or the canary fails, nothing else is started. The rest run
 * MIGRATE_CONCURRENCY at a time.
 * Databases that are done stay done; one that failed is rolled back. A database that cannot be
 * reached fails without stopping the others, unless PostgreSQL itself is down. Nothing new is
 * started once the gateway is stopping, or `isStopped` is true.
 * @throws {GatewayError} database_not_found; if any database failed, an error with the `results` of
 *   all
 */
export async function migrate(
  parts: DeployParts,
  request: FleetRequest,
): Promise<DatabaseResult[]> {
  const { owner, archive, older, flags, onlyFailed } = request
  const selection = { ...request, archiveChecksum: archive.checksum }
  const { targets, skipped } = await selectTargets(parts.catalog, selection)
  const isKept = owner.tenantId === null && !flags.dryRun && older !== 'revert'
  const asked = targets.filter(({ database }) => !skipped.has(database))
  if (isKept && !onlyFailed) {
    const names = asked.map(({ database }) => database)
    await parts.catalog.use((sql) => beginLeft(sql, ownerKey(owner), archive.checksum, names))
  }

  const ended = await migrateTargets(parts, request, asked)
  const ordered = targets.map(({ database }) =>
    skipped.has(database)
      ? untouched(database, 'skipped')
      : (ended.get(database) ?? untouched(database, 'not_started')),
  )
  if (isKept) await writeDown(parts, request, ordered)
  const failure = await failureOf(ordered, request.isStopped?.())
  if (failure) throw failure
  return ordered
}

/**
 * Brings the targets to the archive's schema in the given order, by the rules of `migrate`.
 * @returns the results, by database name, of the databases that were started and of those that
 *   cannot be reached
 */
export async function migrateTargets(
  parts: DeployParts,
  request: Omit<FleetRequest, 'skip' | 'labels' | 'onlyFailed'>,
  targets: Target[],
): Promise<Map<string, DatabaseResult>> {
  const results = new Map<string, DatabaseResult>()
  let hasFailed = false
  let isProven = false
  const mayStart = () => {
    const goesOn = !hasFailed || (isProven && request.onError === 'continue')
    return goesOn && !parts.isEnding() && !request.isStopped?.()
  }
  const end = (result: DatabaseResult) => {
    results.set(result.database, result)
    if (result.status === 'failed' && result.isReached) hasFailed = true
    request.onEnd?.(result)
    return result
  }
  const run = async (target: Target) => {
    if (!mayStart()) return undefined
    const onTurn = () => {
      if (!mayStart()) throw NOT_STARTED
      request.onStart?.(target.database)
    }
    const result = await migrateOne(parts, { ...request, onTurn }, target)
    return result && end(result)
  }

  const names = targets.map(({ database }) => database)
  request.onBegin?.(names)
  const closed = await parts.catalog.use((sql) => findUnreachable(sql, names))
  await mapInSlices([...closed], ([database, error]) => end(unreached(database, error)))
  const open = targets.filter(({ database }) => !closed.has(database))
  let next = 0
  for (let isCanary = false; next < open.length && !isCanary && mayStart(); next++) {
    const target = open[next]!
    const result = await run(target)
    isCanary = target.tenantId !== null && result?.isReached === true
  }
  isProven = !hasFailed
  await concurrently(open.slice(next), parts.config.migrateConcurrency, async (target) => {
    await run(target)
  })
  return results
}

/**
 * Deploys to one database. Returns undefined if the fleet stopped starting databases while this one
 * waited for its turn.
 */
async function migrateOne(
  parts: DeployParts,
  request: DeployRequest,
  target: Target,
): Promise<DatabaseResult | undefined> {
  const { database } = target
  const started = performance.now()
  const elapsed = () => Math.round(performance.now() - started)
  let isReached = false
  try {
    const about = { 'db.namespace': database, 'db_gateway.platform': target.platform }
    const result = await traced(scopeOfOrigin(request.origin), 'database of fleet', about, (span) =>
      update(parts, {
        ...request,
        owner: target,
        span,
        onOpen: () => {
          isReached = true
        },
      }),
    )
    const status = request.flags.dryRun ? 'dry_run' : 'completed'
    return { database, status, result, isReached: true, executionTimeMs: elapsed() }
  } catch (error) {
    if (error === NOT_STARTED) return undefined
    const failure = toGatewayError(parts, request, database, error)
    if (isReached) {
      return { database, status: 'failed', error: failure, isReached, executionTimeMs: elapsed() }
    }
    return whyUnreached(parts, unreached(database, failure, elapsed()))
  }
}

/**
 * Tells a database that cannot be reached from a PostgreSQL server that is down. If the server is
 * down, the result counts as reached, so that the fleet stops.
 */
async function whyUnreached(parts: DeployParts, result: DatabaseResult): Promise<DatabaseResult> {
  const { database } = result
  try {
    const closed = await parts.catalog.use((sql) => findUnreachable(sql, [database]))
    return { ...result, error: closed.get(database) ?? result.error }
  } catch {
    return { ...result, isReached: true }
  }
}

function toGatewayError(
  { log }: DeployParts,
  { origin }: DeployRequest,
  database: string,
  error: unknown,
): GatewayError {
  if (error instanceof GatewayError) return error
  log.error('Deploy failed', {
    database,
    request_id: origin.requestId,
    error: (error as Error).stack,
  })
  return new GatewayError('internal_error', 'Something went wrong; the log says what')
}

/**
 * Records the databases that are done, for only=failed. If this fails, done databases stay listed
 * as left and run again, which is harmless.
 */
async function writeDown(
  { catalog, log }: DeployParts,
  { owner, archive }: FleetRequest,
  results: DatabaseResult[],
): Promise<void> {
  const done = results.filter((one) => one.status === 'completed').map((one) => one.database)
  try {
    await catalog.use((sql) => reduceLeft(sql, ownerKey(owner), archive.checksum, done))
  } catch (error) {
    log.warn('The list of databases that /migrate has not finished could not be updated', {
      platform: owner.platform,
      cause: (error as Error).message,
    })
  }
}
