import type { SchemaArchive } from '../archive/archive.ts'
import { describeOwner } from '../catalog.ts'
import type { Gateway } from '../gateway.ts'
import { databaseName, type Owner } from '../names.ts'
import { tellToRetire } from '../notifications.ts'
import type { Sql } from '../postgres/connection.ts'
import { fromPostgres, isPostgresError } from '../postgres/errors.ts'
import { ensureDatabase, type OnDatabase } from './database.ts'
import { deploy } from './deploy.ts'
import { installUntrusted } from './extensions.ts'
import { findInPlace } from './ledger.ts'
import {
  type DeployFlags,
  type DeployOrigin,
  type DeployResult,
  functionsChanged,
  unchangedResult,
} from './result.ts'
import { Retirement } from './retirement.ts'
import { DEPLOY_WAIT_MS, isHandedOver, isLogInRefused, leaseForDeploy } from './role-lease.ts'
import { TimeLimit } from './time-limit.ts'

/** A schema for the database of an owner, as a request asks for it. */
export interface DeployRequest {
  owner: Owner
  archive: SchemaArchive
  flags: DeployFlags
  origin: DeployOrigin
  /** Told when the database of the owner is created, or dropped again. */
  onDatabase?: OnDatabase
}

const INVALID_CATALOG_NAME = '3D000'
const UNDEFINED_TABLE = '42P01'
const UNDEFINED_COLUMN = '42703'
const INSUFFICIENT_PRIVILEGE = '42501'
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
export async function register(gateway: Gateway, request: DeployRequest): Promise<DeployResult> {
  const { owner, flags } = request
  const inPlace = await findUnchanged(gateway, request)
  if (inPlace) return inPlace

  // Containers that start together send the same: the first one's deploy is that of all.
  const isPlain = flags.allow.size === 0 && !flags.repair && !flags.dryRun
  const key = `${owner.platform}/${owner.tenantId ?? ''} ${request.archive.checksum}`
  const running = isPlain ? gateway.registering.get(key) : undefined
  const first = await running?.catch(() => undefined)
  if (first) return unchangedResult(first.functionsDeployed)

  const deploying = registerAlone(gateway, request)
  if (!isPlain) return deploying
  gateway.registering.set(key, deploying)
  try {
    return await deploying
  } finally {
    if (gateway.registering.get(key) === deploying) gateway.registering.delete(key)
  }
}

async function registerAlone(gateway: Gateway, request: DeployRequest): Promise<DeployResult> {
  const { owner, flags } = request
  return gateway.deploys.run(databaseName(owner), async () => {
    // Those that came at the same moment find the work of the first done.
    const unchanged = await findUnchanged(gateway, request)
    if (unchanged) return unchanged
    const deployFirst = (isNew: boolean) => deployTo(gateway, request, isNew)
    const result = await ensureDatabase(
      gateway,
      owner,
      deployFirst,
      !flags.dryRun,
      request.onDatabase,
    )
    if (!result) return (await findUnchanged(gateway, request)) ?? deployAndRecord(gateway, request)
    if (!flags.dryRun) {
      await gateway.catalog.recordDeploy(owner, request.archive.checksum, result.functions)
    }
    return result
  })
}

/** Brings the owner's database, which exists, to the archive's schema. */
export async function update(gateway: Gateway, request: DeployRequest): Promise<DeployResult> {
  return gateway.deploys.run(databaseName(request.owner), async () => {
    return (await findUnchanged(gateway, request)) ?? deployAndRecord(gateway, request)
  })
}

async function deployAndRecord(gateway: Gateway, request: DeployRequest): Promise<DeployResult> {
  const result = await deployTo(gateway, request, false)
  if (!request.flags.dryRun) {
    const { owner, archive } = request
    await gateway.catalog.recordDeploy(owner, archive.checksum, result.functions)
  }
  return result
}

/** One deploy, and its line in the log. */
async function deployTo(
  gateway: Gateway,
  { owner, archive, flags, origin }: DeployRequest,
  isNew: boolean,
): Promise<DeployResult> {
  const started = performance.now()
  const database = databaseName(owner)
  const what = flags.dryRun ? 'Dry run' : 'Deploy'
  const fields = () => ({
    platform: owner.platform,
    tenant_id: owner.tenantId,
    database,
    checksum: archive.checksum,
    ms: Math.round(performance.now() - started),
    request_id: origin.requestId,
    address: origin.address,
  })
  const lease = await leaseForDeploy(gateway, owner)
  const retirement = new Retirement(database, gateway.replicas?.all() ?? [])
  try {
    if (!flags.dryRun) await installUntrusted(gateway, lease.sql, owner, archive.files.extensions)
    const result = await deploy(lease.sql, {
      database,
      ledgerKey: gateway.secret.ledgerKeyOf(database),
      archive,
      flags,
      isNew,
      lockTimeoutMs: gateway.config.lockTimeoutMs,
      limit: new TimeLimit(lease.connection, gateway.config.deployTimeoutMs),
      origin,
      retire: () => retirement.begin(lease.sql, () => tellToRetire(gateway, database)),
    })
    if (!flags.dryRun) result.functions = await learnFunctions(gateway, lease.sql, database)
    gateway.log.info(`${what}: ${describeOwner(owner)}`, {
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
    if (!flags.dryRun) gateway.calls.forget(database)
    gateway.log.warn(`${what} failed: ${describeOwner(owner)}`, {
      cause: (error as Error).message,
      ...fields(),
    })
    throw error
  } finally {
    if (!flags.dryRun) {
      gateway.calls.forget(database)
      gateway.replicas?.catchUp(database)
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

/** Undefined where it fails: the first call reads them then. */
async function learnFunctions(
  gateway: Gateway,
  sql: Sql,
  database: string,
): Promise<DeployResult['functions']> {
  try {
    // The deploy's own session is not as that of a call.
    await sql.unsafe('reset all; reset role')
    return await gateway.calls.functions.learn(sql, database)
  } catch (error) {
    gateway.log.warn(`The functions of ${database} could not be read after its deploy`, {
      cause: (error as Error).message,
    })
    return undefined
  }
}

/** The result where the archive is in place already; undefined where there is work to do. */
async function findUnchanged(
  gateway: Gateway,
  { owner, archive, flags }: DeployRequest,
): Promise<DeployResult | undefined> {
  if (flags.repair) return undefined
  const database = await gateway.catalog.findOwn(owner)
  if (database === undefined || !isHandedOver(gateway, owner)) return undefined
  try {
    const functionsDeployed = await gateway.pools.use(
      database,
      (sql) => findInPlace(sql, archive.checksum),
      { waitMs: DEPLOY_WAIT_MS },
    )
    if (functionsDeployed === undefined) return undefined
    if (!flags.dryRun) await gateway.catalog.confirmDeploy(owner, archive.checksum)
    // Another gateway may have deployed it just now.
    gateway.replicas?.catchUp(database)
    return unchangedResult(functionsDeployed)
  } catch (error) {
    const code = isPostgresError(error) ? error.code : undefined
    if (code === INVALID_CATALOG_NAME) gateway.catalog.forget(owner)
    // The database is gone, or has no ledger, or one of an older gateway; or its role is gone.
    const isToDo = code !== undefined && NOT_IN_PLACE.has(code)
    if (isToDo || isLogInRefused(error)) return undefined
    throw fromPostgres(error, database)
  }
}
