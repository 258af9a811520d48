import type { SchemaArchive } from '../archive/archive.ts'
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
import { databaseName, type Owner } from '../tenancy/names.ts'
import { ownerFields, ownerKey } from '../tenancy/owner-identity.ts'
import { ensureDatabase, type OnDatabase } from './database/database.ts'
import { orderOf } from './database/in-order.ts'
import {
  DEPLOY_WAIT_MS,
  isHandedOver,
  isLogInRefused,
  leaseForDeploy,
} from './database/role-lease.ts'
import { deploy } from './deploy.ts'
import type { EndedDeploy } from './deployments/deployments.ts'
import { type Older, olderOf } from './older/older.ts'
import { confirm, record } from './older/record.ts'
import { supersededResult } from './older/superseded.ts'
import type { DeployParts } from './parts.ts'
import { lookInPlace } from './plan/look-in-place.ts'
import {
  type DeployFlags,
  type DeployOrigin,
  type DeployResult,
  functionsChanged,
  unchangedResult,
} from './result.ts'
import { installUntrusted } from './run/extensions.ts'
import { learnFunctions } from './run/learn-functions.ts'
import { TimeLimit } from './run/time-limit.ts'
import { Retirement } from './sessions/retirement.ts'
import { copyTemplate } from './templates/copy.ts'
import { withProof } from './templates/proof.ts'

/** A schema for the database of an owner, as a request asks for it. */
export interface DeployRequest {
  owner: Owner
  archive: SchemaArchive
  /** The tar.gz that it was read from. */
  packed: Uint8Array
  /** Where the archive is older than the one in place; `whole`: that is no matter. */
  older: Older['how'] | 'whole'
  flags: DeployFlags
  origin: DeployOrigin
  /** Told when the database of the owner is created, or dropped again. */
  onDatabase?: OnDatabase
  /** Told when it is its turn; what it throws ends it there. */
  onTurn?: () => void
  /** Told when there is a connection to the database: from now on the archive may be run. */
  onOpen?: () => void
}

const NOT_IN_PLACE = new Set([
  INVALID_CATALOG_NAME,
  UNDEFINED_TABLE,
  UNDEFINED_COLUMN,
  INSUFFICIENT_PRIVILEGE,
])

/**
 * Brings the owner's database to the archive's schema; creates it first where it does not exist.
 * One that this request created is dropped again if its first deploy fails, or was a dry run.
 * @throws {GatewayError} name_conflict, or what `deploy` throws
 */
export async function register(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  const { owner, flags } = request
  const inPlace = await findUnchanged(parts, request)
  if (inPlace) return inPlace

  // Containers that start together send the same: the first one's deploy is that of all, and so is
  // its failure. Who comes after that tries again.
  const isPlain =
    flags.allow.size === 0 && !flags.repair && !flags.retry && !flags.dryRun && !flags.strict
  const key = `${ownerKey(owner)} ${request.archive.checksum}`
  const running = isPlain ? parts.registering.get(key) : undefined
  if (running) {
    const first = await running
    return first.isSuperseded ? first : unchangedResult(first.functionsDeployed, first.standing)
  }

  const deploying = withProof(parts, request, false, () => registerAlone(parts, request)).then(
    ({ value, warnings }) => ({ ...value, warnings: [...value.warnings, ...warnings] }),
  )
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
  return parts.queue.run(databaseName(owner), async (isBehind) => {
    // Those that came at the same moment find the work of the first done.
    const unchanged = isBehind ? await findUnchanged(parts, request) : undefined
    if (unchanged) return unchanged
    const deployFirst = (isNew: boolean) => deployTo(parts, request, isNew)
    const result = await ensureDatabase(
      parts,
      owner,
      deployFirst,
      !flags.dryRun,
      request.onDatabase,
      (admin) => copyTemplate(parts, admin, request),
    )
    if (!result) {
      // Another gateway may have created it meanwhile.
      const inPlace = wasKnown ? undefined : await findUnchanged(parts, request)
      return inPlace ?? deployAndRecord(parts, request)
    }
    if (!flags.dryRun) {
      await record(parts, request, result)
    }
    return result
  })
}

/** Brings the owner's database, which exists, to the archive's schema. */
export async function update(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  return parts.queue.run(databaseName(request.owner), async () => {
    request.onTurn?.()
    return (await findUnchanged(parts, request)) ?? deployAndRecord(parts, request)
  })
}

async function deployAndRecord(parts: DeployParts, request: DeployRequest): Promise<DeployResult> {
  const result = await deployTo(parts, request, false)
  if (!request.flags.dryRun) {
    await record(parts, request, result)
  }
  return result
}

/** One deploy, and its line in the log. */
export async function deployTo(
  parts: DeployParts,
  { owner, archive, older, flags, origin, onOpen }: DeployRequest,
  isNew: boolean,
): Promise<DeployResult> {
  const started = performance.now()
  const database = databaseName(owner)
  const what = flags.dryRun ? 'Dry run' : 'Deploy'
  const fields = () => ({
    ...ownerFields(owner),
    database,
    checksum: archive.checksum,
    ms: Math.round(performance.now() - started),
    request_id: origin.requestId,
    address: origin.address,
  })
  const note = (ended: Pick<EndedDeploy, 'result' | 'error'>) => {
    const executionTimeMs = Math.round(performance.now() - started)
    const about = { owner, archiveChecksum: archive.checksum, origin, isNew, executionTimeMs }
    return parts.deployments.record({ ...about, ...ended })
  }
  const { lease, ledgerKey } = await leaseForDeploy(parts, owner)
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
          : olderOf(parts.catalog, origin, owner, archive.checksum, older),
      flags,
      isNew,
      lockTimeoutMs: parts.config.lockTimeoutMs,
      listen: (heard) => {
        lease.connection.onNotice = heard
      },
      limit: new TimeLimit(lease.connection, parts.config.deployTimeoutMs),
      origin,
      retire: async () => {
        await retirement.begin(lease.sql, () => parts.retireSessions(database))
        return () => void retirement.end(lease.sql).catch(() => {})
      },
      look: (sql) => parts.functions.look(sql),
    })
    const recorded = flags.dryRun || result.isUnchanged || note({ result })
    if (!flags.dryRun) result.functions = await learnFunctions(parts, lease.sql, database, result)
    await recorded
    parts.log.info(`${what}: ${describeOwner(owner)}`, {
      migrations_applied: result.migrationsApplied.length,
      migrations_repaired: result.migrationsRepaired.join(' ') || undefined,
      functions_deployed: result.functionsDeployed,
      functions_changed: functionsChanged(result),
      functions_dropped: result.functionsDropped.length,
      seeders_applied: result.seedersApplied.length,
      ...fields(),
    })
    return result
  } catch (error) {
    if (!flags.dryRun) parts.forgetFunctions(database)
    parts.log.warn(`${what} failed: ${describeOwner(owner)}`, {
      ...describeFailure(error),
      ...fields(),
    })
    const recorded = flags.dryRun || note({ error })
    // A PostgreSQL that is away does not take the row just now.
    if (!isConnectionLost(error)) await recorded
    throw error
  } finally {
    if (!flags.dryRun) {
      parts.forgetFunctions(database)
      parts.catchUp(database)
    }
    // Nobody waits for the session's end, which takes some milliseconds.
    retirement
      .end(lease.sql)
      .then(
        () => lease.discard(),
        () => lease.discard(),
      )
      .catch(() => {})
  }
}

/** For the log: what PostgreSQL said, and where. */
function describeFailure(error: unknown): LogFields {
  if (!(error instanceof GatewayError)) return { cause: (error as Error).message }
  const { code, message, details } = error
  const { cause = message, sqlstate, file, line } = details
  return { error: code, cause, sqlstate, file, line }
}

/** The result where the archive is in place already; undefined where there is work to do. */
async function findUnchanged(
  parts: DeployParts,
  request: DeployRequest,
): Promise<DeployResult | undefined> {
  const { owner, archive, older, flags } = request
  if (flags.repair) return undefined
  const database = await parts.catalog.findOwn(owner)
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
    // A gateway that was killed right after its deploy has written nothing down.
    const isNews = !flags.dryRun && (await confirm(parts, request))
    if (isNews) await parts.deployments.copyLedger(owner)
    // Another gateway may have deployed it just now.
    parts.catchUp(database)
    return unchangedResult(unchanged.functionsDeployed, unchanged.standing)
  } catch (error) {
    const code = isPostgresError(error) ? error.code : undefined
    if (code === INVALID_CATALOG_NAME) parts.catalog.forget(owner)
    // The database is gone, or has no ledger, or one of an older gateway; or its role is gone.
    const isToDo = code !== undefined && NOT_IN_PLACE.has(code)
    if (isToDo || isLogInRefused(error)) return undefined
    throw fromPostgres(error, database)
  }
}
