import { endsConnection, fromPostgres, isPostgresError } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Lease } from '../../postgres/pools/lease.ts'
import { INSUFFICIENT_PRIVILEGE } from '../../postgres/sqlstates.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { acceptsKey } from '../ledger/ledger.ts'
import type { DeployParts } from '../parts.ts'
import { handOver } from './handover.ts'
import { areTablesInOrder, isInOrder, orderOf } from './in-order.ts'

/** A deploy waits longer for a connection than a call does: it is not repeated so easily. */
export const DEPLOY_WAIT_MS = 60_000

/** A connection for a deploy, and what the keys of its ledger are derived from. */
export interface DeployLease {
  lease: Lease
  ledgerKey: string
}

/**
 * A connection of the role that is to have the database, which is in order, with a ledger that takes
 * a key of the gateway's. Where anything of that is missing, the database is handed over (again) first.
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
    if (attempt > 1) throw new Error(`The database ${database} could not be brought in order`)
    await makeReady()
  }
}

/** The key that the ledger takes; undefined where it takes none, or the database is not in order. */
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

/** Whether the database is that of whom it is to be, as far as is known here. */
export function isHandedOver({ catalog, roles }: DeployParts, owner: Owner): boolean {
  return catalog.holderOf(databaseName(owner))?.role === roles.roleOf(owner.platform)
}

/** There is no such role, or it has another password. */
export function isLogInRefused(error: unknown): boolean {
  return isPostgresError(error) && endsConnection(error) && error.code.startsWith('28')
}

/** The role may not connect to the database, which is another role's then. */
function isShutOut(error: unknown): boolean {
  return isPostgresError(error) && endsConnection(error) && error.code === INSUFFICIENT_PRIVILEGE
}
