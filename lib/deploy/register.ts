import { GatewayError } from '../errors.ts'
import type { LogFields } from '../log.ts'
import { fromPostgres, isConnectionLost, isPostgresError } from '../postgres/errors.ts'
import {
  INSUFFICIENT_PRIVILEGE,
  INVALID_CATALOG_NAME,
  UNDEFINED_COLUMN,
  UNDEFINED_TABLE,
} from '../postgres/sqlstates.ts'
import { describeOwner } from '../tenancy/catalog/catalog.ts'
import { BeingMoved } from '../tenancy/catalog/moved-away.ts'
import { databaseName } from '../tenancy/names.ts'
import { ownerKey } from '../tenancy/owner-identity.ts'
import { type Span, traced } from '../tracing/scope.ts'
import { ensureDatabase } from './database/database.ts'
import { orderOf } from './database/in-order.ts'
import {
  DEPLOY_WAIT_MS,
  isHandedOver,
  isLogInRefused,
  leaseForDeploy,
} from './database/role-lease.ts'
import { deploy } from './deploy.ts'
import type { EndedDeploy } from './deployments/deployments.ts'
import { requestFields, resultFields } from './log-fields.ts'
import { confirmUnchanged } from './older/confirm-unchanged.ts'
import { olderOf } from './older/older.ts'
import { record } from './older/record.ts'
import { supersededResult } from './older/superseded.ts'
import type { DeployParts } from './parts.ts'
import { lookInPlace } from './plan/look-in-place.ts'
import { lookAtState } from './replay/look.ts'
import { deployByReplay } from './replay/replay-deploy.ts'
import { scopeOf } from './replay/scope.ts'
import type { DeployRequest } from './request.ts'
import { type DeployResult, unchangedResult } from './result.ts'
import { installUntrusted } from './run/extensions.ts'
import { learnFunctions } from './run/learn-functions.ts'
import { TimeLimit } from './run/time-limit.ts'
import { Retirement } from './sessions/retirement.ts'
import { deployAttributes, resultAttributes, scopeOfRequest } from './spans.ts'
import { copyTemplate } from './templates/copy.ts'
import { deployWithProof } from './templates/proof.ts'

const NOT_IN_PLACE = new Set([
  INVALID_CATALOG_NAME,
  UNDEFINED_TABLE,
  UNDEFINED_COLUMN,
  INSUFFICIENT_PRIVILEGE,
])

export type { DeployRequest } from './request.ts'

/**
 * Brings the owner's database to the archive's schema, creating the database if it does not exist.
 * A database that this request created is dropped again if its first deploy fails or is a dry run.
 * @throws {GatewayError} name_conflict; any error of `deploy`
 */
export async function register(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  const { owner, flags } = request
  const inPlace = await findUnchanged(parts, request, true)
  if (inPlace) return inPlace

  // Containers of one platform start together and send the same archive. They share the first
  // deploy and its failure; a request that comes after a failure deploys again.
  const isPlain =
    flags.allow.size === 0 && !flags.repair && !flags.retry && !flags.dryRun && !flags.strict
  const key = `${ownerKey(owner)} ${request.archive.checksum}`
  const running = isPlain ? parts.registering.get(key) : undefined
  if (running) {
    const first = await running
    return first.isSuperseded ? first : unchangedResult(first.functionsDeployed, first.standing)
  }

  const deploying = deployWithProof(parts, request, () => registerAlone(parts, request))
  if (!isPlain) return deploying
  parts.registering.set(key, deploying)
  try {
    return await deploying
  } finally {
    if (parts.registering.get(key) === deploying) parts.registering.delete(key)
  }
}

async function registerAlone(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  const { owner, flags } = request
  const wasKnown = parts.catalog.holderOf(databaseName(owner)) !== undefined
  const turn = scopeOfRequest(request)?.begin('wait for turn')
  return parts.queue.run(databaseName(owner), async (isBehind) => {
    turn?.end()
    // Requests that came at the same moment find the database deployed by the first one.
    const unchanged = isBehind ? await findUnchanged(parts, request, true) : undefined
    if (unchanged) return unchanged
    const deployFirst = (isNew: boolean) => deployTo(parts, request, isNew)
    const result = await ensureDatabase(
      parts,
      owner,
      deployFirst,
      !flags.dryRun,
      request.onDatabase,
      (admin) =>
        traced(scopeOfRequest(request), 'copy template', {}, () =>
          copyTemplate(parts, admin, request),
        ),
    )
    if (!result) {
      // Another gateway may have created the database in the meantime.
      const inPlace = wasKnown ? undefined : await findUnchanged(parts, request, true)
      const replayed = inPlace ?? (await tryReplay(parts, request))
      return replayed ?? deployAndRecord(parts, request)
    }
    if (!flags.dryRun) {
      await record(parts, request, result)
    }
    return result
  })
}

/**
 * Brings the owner's existing database to the archive's schema.
 * @throws {GatewayError} any error of `deploy`
 */
export async function update(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  const turn = scopeOfRequest(request)?.begin('wait for turn')
  return parts.queue.run(databaseName(request.owner), async () => {
    turn?.end()
    request.onTurn?.()
    return (
      (await tryReplay(parts, request)) ??
      (await findUnchanged(parts, request, false)) ??
      deployAndRecord(parts, request)
    )
  })
}

function tryReplay(parts: DeployParts, request: DeployRequest): Promise<DeployResult | undefined> {
  return traced(scopeOfRequest(request), 'replay', {}, () => deployByReplay(parts, request))
}

async function deployAndRecord(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  const result = await deployTo(parts, request, false)
  if (!request.flags.dryRun) {
    await record(parts, request, result)
  }
  return result
}

/**
 * Runs one deploy on a connection of its own, records it in the history and writes its log line.
 */
export function deployTo(
  parts: DeployParts,
  request: DeployRequest,
  isNew: boolean,
): Promise<DeployResult> {
  return traced(scopeOfRequest(request), 'deploy', deployAttributes(request), (span) =>
    deployInSpan(parts, request, isNew, span),
  )
}

async function deployInSpan(
  parts: DeployParts,
  request: DeployRequest,
  isNew: boolean,
  span: Span | undefined,
): Promise<DeployResult> {
  const { owner, archive, older, flags, origin, onOpen } = request
  const started = performance.now()
  const database = databaseName(owner)
  const what = flags.dryRun ? 'Dry run' : 'Deploy'
  const fields = () => requestFields(request, Math.round(performance.now() - started))
  const note = (ended: Pick<EndedDeploy, 'result' | 'error'>) => {
    const executionTimeMs = Math.round(performance.now() - started)
    const about = { owner, archiveChecksum: archive.checksum, origin, isNew, executionTimeMs }
    return parts.deployments.record({ ...about, ...ended })
  }
  const { lease, ledgerKey } = await traced(span, 'connect', {}, () => leaseForDeploy(parts, owner))
  onOpen?.()
  const retirement = new Retirement(database, parts.replicas())
  try {
    if (!flags.dryRun && older !== 'revert')
      await installUntrusted(parts, lease.sql, owner, archive.files.extensions)
    const result = await deploy(lease.sql, {
      database,
      ledgerKey,
      archive,
      older:
        older === 'whole'
          ? undefined
          : olderOf(parts.platformCatalog, origin, owner, archive.checksum, older),
      flags,
      isNew,
      lockTimeoutMs: parts.config.lockTimeoutMs,
      listen: (heard) => {
        lease.connection.onNotice = heard
      },
      limit: new TimeLimit(lease.connection, parts.config.deployTimeoutMs),
      origin,
      span,
      retire: async () => {
        await retirement.begin(lease.sql, () => parts.retireSessions(database))
        return () => void retirement.end(lease.sql).catch(() => {})
      },
      look: lookAtState,
      scope: isNew ? undefined : scopeOf(request),
    })
    span?.set(resultAttributes(result))
    const recorded = flags.dryRun || result.isUnchanged || note({ result })
    if (!flags.dryRun) result.functions = await learnFunctions(parts, lease.sql, database, result)
    await recorded
    parts.log.info(`${what}: ${describeOwner(owner)}`, {
      ...resultFields(result),
      ...fields(),
    })
    return result
  } catch (error) {
    // It is no failure of the archive.
    if (error instanceof BeingMoved) throw error
    if (!flags.dryRun) parts.forgetFunctions(database)
    parts.log.warn(`${what} failed: ${describeOwner(owner)}`, {
      ...describeFailure(error),
      ...fields(),
    })
    const recorded = flags.dryRun || note({ error })
    // After a lost connection PostgreSQL may be down, so the response does not wait for the row of
    // the history.
    if (!isConnectionLost(error)) await recorded
    throw error
  } finally {
    if (!flags.dryRun) {
      parts.forgetFunctions(database)
      parts.catchUp(database)
    }
    // Not awaited: closing the session takes some milliseconds.
    retirement
      .end(lease.sql)
      .then(
        () => lease.discard(),
        () => lease.discard(),
      )
      .catch(() => {})
  }
}

/** Returns the log fields of a failure: PostgreSQL's message, SQLSTATE, file and line. */
function describeFailure(error: unknown): LogFields {
  if (!(error instanceof GatewayError)) return { cause: (error as Error).message }
  const { code, message, details } = error
  const { cause = message, sqlstate, file, line } = details
  return { error: code, cause, sqlstate, file, line }
}

/**
 * Returns the result of a deploy if the archive is already in place; undefined if there is work to
 * do.
 * @param isToBeMade whether the database is made where it is missing: also one that was moved to
 *   another server and dropped there
 * @throws {MovedAway} if it was moved to another server and is not to be made
 */
async function findUnchanged(
  parts: DeployParts,
  request: DeployRequest,
  isToBeMade: boolean,
): Promise<DeployResult | undefined> {
  const { owner, archive, older, flags } = request
  if (flags.repair) return undefined
  const { catalog } = parts
  const database = await (isToBeMade ? catalog.findHere(owner) : catalog.findOwn(owner))
  if (database === undefined || !isHandedOver(parts, owner)) return undefined
  try {
    const found = await parts.pools.use(
      database,
      (sql) => lookInPlace(sql, archive.checksum, orderOf(parts)),
      { waitMs: DEPLOY_WAIT_MS },
    )
    if (!found) return undefined
    const { unchanged, superseding } = found
    if (unchanged === undefined) {
      if (older !== 'ignore' || !superseding) return undefined
      return supersededResult(owner, archive.checksum, superseding)
    }
    const result = unchangedResult(unchanged.functionsDeployed, unchanged.standing)
    if (!flags.dryRun) await confirmUnchanged(parts, request, result)
    // Another gateway may have deployed the archive just now, and the replicas may lag behind it.
    parts.catchUp(database)
    return result
  } catch (error) {
    const code = isPostgresError(error) ? error.code : undefined
    if (code === INVALID_CATALOG_NAME) parts.catalog.forget(owner)
    // The database or its role is gone, or the database has no ledger or that of an older gateway.
    const isToDo = code !== undefined && NOT_IN_PLACE.has(code)
    if (isToDo || isLogInRefused(error)) return undefined
    throw fromPostgres(error, database)
  }
}
