import type { Gateway } from '../gateway.ts'
import { databaseName, type Owner } from '../names.ts'
import { endsConnection, fromPostgres, isPostgresError } from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import { handOver } from './handover.ts'
import { acceptsKey } from './ledger.ts'

/** A deploy waits longer for a connection than a call does: it is not repeated so easily. */
export const DEPLOY_WAIT_MS = 60_000

/**
 * A connection of the role that is to have the database, with a ledger that takes the gateway's key.
 * Where either is missing, the database is handed over (again) first.
 */
export async function leaseForDeploy(gateway: Gateway, owner: Owner): Promise<Lease> {
  const { pools, secret, roles } = gateway
  const database = databaseName(owner)
  const makeReady = () => pools.use(gateway.server.database, (sql) => handOver(gateway, sql, owner))
  if (!isHandedOver(gateway, owner)) await makeReady()
  for (let attempt = 1; ; attempt++) {
    let lease: Lease | undefined
    try {
      lease = await pools.lease(database, { waitMs: DEPLOY_WAIT_MS })
      if (await acceptsKey(lease.sql, secret.ledgerKeyOf(database))) return lease
      lease.release()
    } catch (error) {
      lease?.release(error)
      if (!isLogInRefused(error) || attempt > 1) throw fromPostgres(error, database)
      roles.doubt(owner.platform)
    }
    if (attempt > 1) throw new Error(`The ledger of ${database} does not take the gateway's key`)
    await makeReady()
  }
}

/** Whether the database is that of whom it is to be, as far as is known here. */
export function isHandedOver({ catalog, roles }: Gateway, owner: Owner): boolean {
  return catalog.holderOf(databaseName(owner))?.role === roles.roleOf(owner.platform)
}

/** There is no such role, or it has another password. */
export function isLogInRefused(error: unknown): boolean {
  return isPostgresError(error) && endsConnection(error) && error.code.startsWith('28')
}
