import { endsConnection, fromPostgres, isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Lease } from '../../postgres/pools/lease.ts'
import { INSUFFICIENT_PRIVILEGE } from '../../postgres/sqlstates.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { acceptsKey } from '../ledger/ledger.ts'
import type { DeployParts } from '../parts.ts'
import { handOver } from './handover.ts'
import { areTablesInOrder, isInOrder, orderOf } from './in-order.ts'

/**
 * Time that a deploy waits for a connection, in milliseconds; longer than for a call, since clients
 * do not retry a deploy as readily.
 */
export const DEPLOY_WAIT_MS = 60_000

/** A connection for a deploy, and the secret from which the keys of its ledger are derived. */
export interface DeployLease {
  lease: Lease
  ledgerKey: string
}

/**
 * Leases a connection that is logged in with the role that must own the database. The database is
 * in order and its ledger accepts a key of the gateway. If any of that is missing, the database is
 * handed over (again) first.
 * @throws {GatewayError} any error of `handOver` or of the connection
 */
export async function leaseForDeploy(parts: DeployParts, owner: Owner): Promise<DeployLease> {
  const { pools, roles } = parts
  const database = databaseName(owner)
  const makeReady = () => pools.use(parts.server.database, (sql) => handOver(parts, sql, owner))
  if (!isHandedOver(parts, owner)) await makeReady()
  for (let attempt = 1; ; attempt++) {
    let lease: Lease | undefined
    try {
      lease = await pools.lease(database, { waitMs: DEPLOY_WAIT_MS })
      const ledgerKey = await findKey(parts, lease.sql, database)
      if (ledgerKey !== undefined) return { lease, ledgerKey }
      lease.release()
    } catch (error) {
      lease?.release(error)
      const isRefused = isLogInRefused(error)
      if (!(isRefused || isShutOut(error)) || attempt > 1) throw fromPostgres(error, database)
      if (isRefused) roles.doubt(owner.platform)
    }
    if (attempt > 1)
      throw new Error(`Database ${database} is still not in order after its handover`)
    await makeReady()
  }
}

/**
 * Returns the secret whose keys the ledger accepts; undefined if there is none or the database is
 * not in order.
 */
async function findKey(
  parts: DeployParts,
  sql: Sql,
  database: string,
): Promise<string | undefined> {
  const keys = parts.secrets.all().map((secret) => secret.ledgerKeyOf(database))
  const order = orderOf(parts)
  const [isFit, areFit, ...accepted] = await Promise.all([
    isInOrder(sql, order),
    areTablesInOrder(sql, order),
    ...keys.map((key) => acceptsKey(sql, key)),
  ])
  return isFit && areFit ? keys.find((_, i) => accepted[i]) : undefined
}

/** Whether the database belongs to the right role, according to the catalog cache. */
export function isHandedOver({ catalog, roles }: DeployParts, owner: Owner): boolean {
  return catalog.holderOf(databaseName(owner))?.role === roles.roleOf(owner.platform)
}

/** Whether PostgreSQL refused the log-in: the role does not exist or has another password. */
export function isLogInRefused(error: unknown): boolean {
  return isPostgresError(error) && endsConnection(error) && error.code.startsWith('28')
}

/** Whether the role lacks CONNECT on the database, which another role owns then. */
function isShutOut(error: unknown): boolean {
  return isPostgresError(error) && endsConnection(error) && error.code === INSUFFICIENT_PRIVILEGE
}
