import { concurrently } from '../common/concurrently.ts'
import { mapInSlices } from '../common/in-slices.ts'
import { GatewayError } from '../errors.ts'
import { ownerKey } from '../tenancy/owner-identity.ts'
import { beginLeft, reduceLeft } from './fleet/left.ts'
import { type DatabaseResult, failureOf, unreached, untouched } from './fleet/results.ts'
import { findUnreachable, selectTargets, type Target } from './fleet/targets.ts'
import type { DeployParts } from './parts.ts'
import { type DeployRequest, update } from './register.ts'

export interface FleetRequest extends DeployRequest {
  /** What a failure means for databases that have not been started. */
  onError: 'stop' | 'continue'
  /** Names of databases or tenant ids that are left out. */
  skip: string[]
  /** Those alone that the last /migrate of this archive did not bring to it. */
  onlyFailed: boolean
  /** Told of each database as it ends. */
  onEnd?: (result: DatabaseResult) => void
}

/** Thrown by a database's turn where it is not to begin any more. */
const NOT_STARTED = Symbol('not started')

/**
 * Brings databases that exist to the archive's schema: the owner's, or with `owner.tenantId` null
 * every database of the platform, or of its schema. The main one comes first, then tenants one at a
 * time until one was reached, as a canary; if either fails nothing else is started. Then the rest,
 * MIGRATE_CONCURRENCY at a time. Databases that are done stay done, one that failed is as it was. A
 * database that cannot be reached fails, and stops nobody: unless PostgreSQL itself is away. When the
 * gateway stops, nothing new is started.
 * @throws {GatewayError} database_not_found; where any failed, an error with the `results` of all
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
  const failure = await failureOf(ordered)
  if (failure) throw failure
  return ordered
}

/**
 * Brings these databases, in this order, to the archive's schema, as `migrate`.
 * @returns what became of those that were started, and of those that cannot be reached
 */
export async function migrateTargets(
  parts: DeployParts,
  request: Omit<FleetRequest, 'skip' | 'onlyFailed'>,
  targets: Target[],
): Promise<Map<string, DatabaseResult>> {
  const results = new Map<string, DatabaseResult>()
  let hasFailed = false
  let isProven = false
  const mayStart = () => {
    const goesOn = !hasFailed || (isProven && request.onError === 'continue')
    return goesOn && !parts.isDraining()
  }
  const end = (result: DatabaseResult) => {
    results.set(result.database, result)
    if (result.status === 'failed' && result.isReached) hasFailed = true
    request.onEnd?.(result)
    return result
  }
  const run = async (target: Target) => {
    if (!mayStart()) return undefined
    const result = await migrateOne(parts, request, target, mayStart)
    return result && end(result)
  }

  const names = targets.map(({ database }) => database)
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

/** Undefined where it was not started: it waited for its turn, and is not to begin any more. */
async function migrateOne(
  parts: DeployParts,
  request: DeployRequest,
  target: Target,
  mayStart: () => boolean,
): Promise<DatabaseResult | undefined> {
  const { database } = target
  const started = performance.now()
  const elapsed = () => Math.round(performance.now() - started)
  let isReached = false
  try {
    const result = await update(parts, {
      ...request,
      owner: target,
      onTurn: () => {
        if (!mayStart()) throw NOT_STARTED
      },
      onOpen: () => {
        isReached = true
      },
    })
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

/** Where PostgreSQL itself is away, it is not for the database that it was not reached. */
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
  return new GatewayError('internal_error', 'The log says what went wrong')
}

/** What only=failed goes by. Where it cannot be written, more than what is left stays there. */
async function writeDown(
  { catalog, log }: DeployParts,
  { owner, archive }: FleetRequest,
  results: DatabaseResult[],
): Promise<void> {
  const done = results.filter((one) => one.status === 'completed').map((one) => one.database)
  try {
    await catalog.use((sql) => reduceLeft(sql, ownerKey(owner), archive.checksum, done))
  } catch (error) {
    log.warn('What a /migrate has left to do could not be written down', {
      platform: owner.platform,
      cause: (error as Error).message,
    })
  }
}
