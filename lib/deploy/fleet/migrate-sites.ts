import { concurrently } from '../../common/concurrently.ts'
import { mapInSlices } from '../../common/in-slices.ts'
import { GatewayError } from '../../errors.ts'
import { BeingMoved, MovedAway } from '../../tenancy/catalog/moved-away.ts'
import { scopeOfOrigin, traced } from '../../tracing/scope.ts'
import type { DeployParts } from '../parts.ts'
import { type DeployRequest, update } from '../register.ts'
import { prove, withProof } from '../templates/proof.ts'
import { afterMoves, type Moving } from './after-moves.ts'
import type { FleetProgress } from './progress.ts'
import { type DatabaseResult, unreached } from './results.ts'
import { isAway, type Site } from './sites.ts'
import { findUnreachable, type Target } from './targets.ts'
import { whyUnreached } from './why-unreached.ts'

/** What is deployed to the databases, and how. */
export interface SitesRequest extends DeployRequest, FleetProgress {
  /** Whether the remaining databases are still started after a failure. */
  onError: 'stop' | 'continue'
  /** Returns whether somebody has asked for no further database to be started. */
  isStopped?: () => boolean
  /** Called with each warning about new tenants on another server than the first. */
  onWarning?: (warning: string) => void
}

/** What the servers of a fleet know of each other. */
interface Fleet {
  /** A deploy has failed, on any server. */
  hasFailed: boolean
  /** A deploy has failed on a server before one of its tenants had succeeded. */
  isBad: boolean
  end(result: DatabaseResult): void
  /** Databases whose turn comes when they have been moved. */
  moving: Moving[]
}

/** Thrown when a database gets its turn after the fleet has stopped starting new ones. */
const NOT_STARTED = Symbol('not started')

/**
 * Brings the databases to the archive's schema, those of each server in the given order and all servers
 * side by side. On each server the main database comes first; tenants follow one at a time until one
 * could be reached: the canary. If a main database or a canary fails, nothing else is started on any
 * server. The rest run MIGRATE_CONCURRENCY at a time on each server. With `strict` the archive is proven
 * on all of them before.
 * Those that are being moved to another server come last, when they have been moved (see `afterMoves`).
 * A database that cannot be reached fails without stopping the others, and so do all of another server
 * that does not answer; if this server does not, nothing else is started. Nothing new is started once
 * the gateway is stopping, or `isStopped` is true.
 * @param sites those of this server first
 * @returns the results, by database name, of the databases that were started and of those that
 *   cannot be reached
 */
export async function migrateSites(
  request: SitesRequest,
  sites: Site<Target>[],
): Promise<Map<string, DatabaseResult>> {
  const results = new Map<string, DatabaseResult>()
  const end = (result: DatabaseResult) => {
    results.set(result.database, result)
    request.onEnd?.(result)
  }
  const fleet: Fleet = { hasFailed: false, isBad: false, end, moving: [] }
  request.onBegin?.(sites.flatMap(({ targets }) => targets.map(({ database }) => database)))
  const [own, ...others] = sites
  if (request.flags.strict) await Promise.all(others.map((site) => proveOther(request, site)))
  const first = own?.parts && migrateSite(own.parts, request, own.targets, fleet, true)
  const settled = await Promise.allSettled([
    first,
    ...others.map((site) => migrateOther(request, site, fleet)),
  ])
  for (const one of settled) if (one.status === 'rejected') throw one.reason
  if (own?.parts) await migrateMoved(own.parts, request, fleet)
  return results
}

/**
 * Proves that a tenant can be made with the archive on another server, which may have other extensions,
 * settings, or another version than the first, whose proof has come before. One that does not answer is
 * not asked: nothing is deployed there.
 */
async function proveOther(
  request: SitesRequest,
  { name, parts, targets }: Site<Target>,
): Promise<void> {
  if (!parts || targets.length === 0) return
  try {
    await prove(parts, request)
  } catch (error) {
    if (isAway(error)) return
    if (!(error instanceof GatewayError)) throw error
    const { code, message, details } = error
    throw new GatewayError(code, message, { server: name, ...details })
  }
}

/** As `migrateSite`, for another server; builds the archive's template there, for its new tenants. */
async function migrateOther(
  request: SitesRequest,
  { name, parts, away, targets }: Site<Target>,
  fleet: Fleet,
): Promise<void> {
  if (!parts) {
    await mapInSlices(targets, ({ database }) => fleet.end(unreached(database, away)))
    return
  }
  if (targets.length === 0) return
  const work = () => migrateSite(parts, request, targets, fleet, false)
  if (request.older === 'revert') return work()
  // What was asked to be proven was proven before anything is deployed.
  const proof = { ...request, flags: { ...request.flags, strict: false } }
  const { warnings } = await withProof(parts, proof, true, work)
  for (const warning of warnings) request.onWarning?.(`${warning} (on the server ${name})`)
}

/** @param isFirst whether nothing else is started anywhere if this server does not answer */
async function migrateSite(
  parts: DeployParts,
  request: SitesRequest,
  targets: Target[],
  fleet: Fleet,
  isFirst: boolean,
): Promise<void> {
  if (targets.length === 0) return
  let isProven = false
  let down: GatewayError | undefined
  const ended = new Set<string>()
  const mayStart = () => !down && goesOn(parts, request, fleet)
  const end = (result: DatabaseResult) => {
    ended.add(result.database)
    const { error } = result
    const target = targets.find(({ database }) => database === result.database)
    if (target && isMoving(error)) {
      fleet.moving.push({ target, error })
      request.onPutOff?.(target.database)
      return { ...result, isReached: false }
    }
    if (result.status === 'failed' && result.isReached) {
      fleet.hasFailed = true
      if (!isProven) fleet.isBad = true
    }
    fleet.end(result)
    return result
  }
  const run = async (target: Target) => {
    if (!mayStart()) return undefined
    const onTurn = () => {
      if (!mayStart()) throw NOT_STARTED
      request.onStart?.(target.database)
    }
    const result = await migrateOne(parts, { ...request, onTurn }, target)
    if (!result?.error) return result && end(result)
    // A server that is lost in the middle of a deploy says nothing about the archive.
    if (result.isReached && (isFirst || !isAway(result.error))) return end(result)
    const why = await whyUnreached(parts, result.database, result.error)
    // A server that has no connection for one has none for the next either, after seconds each.
    const isDown = why.isDown || (!isFirst && why.isFull)
    if (!isDown) return end(result.isReached ? result : { ...result, error: why.error })
    // If the first server is down, the fleet stops.
    if (isFirst) return end({ ...result, isReached: true })
    down = why.error
    return end({ ...result, isReached: false })
  }

  const names = targets.map(({ database }) => database)
  let closed: Map<string, GatewayError>
  try {
    closed = await parts.catalog.use((sql) => findUnreachable(sql, names))
  } catch (error) {
    if (isFirst || !(error instanceof GatewayError)) throw error
    closed = new Map(names.map((database) => [database, error]))
  }
  await mapInSlices([...closed], ([database, error]) => end(unreached(database, error)))
  const open = targets.filter(({ database }) => !closed.has(database))
  let next = 0
  for (let isCanary = false; next < open.length && !isCanary && mayStart(); next++) {
    const target = open[next]!
    const result = await run(target)
    isCanary = target.tenantId !== null && result?.isReached === true
  }
  isProven = !fleet.isBad
  await concurrently(open.slice(next), parts.config.migrateConcurrency, async (target) => {
    await run(target)
  })
  const error = down
  if (!error) return
  const left = open.filter(({ database }) => !ended.has(database))
  await mapInSlices(left, ({ database }) => end(unreached(database, error)))
}

/** Deploys to the databases that were being moved when they had their turn. */
async function migrateMoved(
  parts: DeployParts,
  request: SitesRequest,
  fleet: Fleet,
): Promise<void> {
  const end = (result: DatabaseResult) => {
    if (result.status === 'failed' && result.isReached) fleet.hasFailed = true
    fleet.end(result)
  }
  const onTurn = ({ database }: Target) => request.onStart?.(database)
  const deploy = async (there: DeployParts, target: Target) => {
    const asked = { ...request, onTurn: () => onTurn(target) }
    const result = await migrateOne(there, asked, target)
    if (!result) return undefined
    const { error, isReached } = result
    const why = error && !isReached ? await whyUnreached(there, target.database, error) : { error }
    if (isMoving(why.error)) {
      request.onPutOff?.(target.database)
      return why.error
    }
    end({ ...result, error: why.error })
    return undefined
  }
  await afterMoves(
    parts,
    fleet.moving,
    () => goesOn(parts, request, fleet),
    deploy,
    ({ target, error }) => end(unreached(target.database, error)),
  )
}

/** Whether further databases may be started, as far as the archive and the request are concerned. */
function goesOn(parts: DeployParts, request: SitesRequest, fleet: Fleet): boolean {
  const isGood = !fleet.isBad && (!fleet.hasFailed || request.onError === 'continue')
  return isGood && !parts.isEnding() && !request.isStopped?.()
}

/** Whether a database was not deployed to because it is being moved, or has just been. */
function isMoving(error: GatewayError | undefined): error is BeingMoved | MovedAway {
  return error instanceof BeingMoved || error instanceof MovedAway
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
    return unreached(database, failure, elapsed())
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
