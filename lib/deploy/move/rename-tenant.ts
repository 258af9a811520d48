import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'
import { inTransaction } from '../../postgres/transaction.ts'
import { moveEntry } from '../../tenancy/catalog/move-entry.ts'
import type { Tenant } from '../../tenancy/catalog/tenant-rows.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { moveSlow } from '../../usage/slow/table.ts'
import { moveUsage } from '../../usage/table.ts'
import { moveTimes } from '../../usage/times/table.ts'
import { moveDeployments } from '../deployments/move.ts'
import { moveLeft } from '../fleet/left.ts'
import type { DeployParts } from '../parts.ts'
import { moving } from './begin-move.ts'
import { whileHeld } from './hold.ts'
import { onMain } from './on-main.ts'
import { isInUse, patienceMs } from './patience.ts'
import { stillInUse, untilNobody } from './sessions.ts'

/**
 * Renames a tenant and its database, in one transaction: a gateway that is killed leaves one name.
 * Calls are held until then, and follow the tenant; the old name is unknown afterwards.
 * @param isHeld answers calls 503 meanwhile, and waits longer for those that run
 * @param gone ends the wait for its turn when the client is gone
 * @returns the tenant as it was
 * @throws {GatewayError} the errors of `moving`; tenant_busy if sessions do not end
 */
export function renameTenant(
  parts: DeployParts,
  from: Owner,
  to: Owner,
  isHeld: boolean,
  gone: AbortSignal,
): Promise<Tenant> {
  return moving(parts, from, to, gone, async (admin, tenant) => {
    const [source, target] = [tenant.database, databaseName(to)]
    // Another spelling of the id may give the same name; the database stays as it is then.
    if (source === target) await writeName(admin, tenant, to)
    else await renameDatabase(parts, admin, tenant, to, isHeld)
    await onMain(parts, (sql) => moveLeft(sql, source, target))
    for (const [owner, database] of [
      [from, source],
      [to, target],
    ] as const) {
      parts.catalog.forget(owner, database)
      parts.forgetFunctions(database)
      parts.catchUp(database)
    }
    parts.log.info(`${describeOwner(from)} was renamed`, {
      ...ownerFields(to),
      database: target,
      renamed_from: source,
    })
    return tenant
  })
}

async function renameDatabase(
  parts: DeployParts,
  admin: Sql,
  tenant: Tenant,
  to: Owner,
  isHeld: boolean,
): Promise<void> {
  const [source, target] = [tenant.database, databaseName(to)]
  const withinMs = patienceMs(parts, isHeld)
  const retryAfterS = isHeld ? Math.ceil(withinMs / 1000) : null
  await whileHeld(parts, admin, tenant, { operation: 'rename', retryAfterS }, async () => {
    await untilNobody(admin, tenant, withinMs)
    try {
      // PostgreSQL itself waits up to 5 s for sessions that were opened just now.
      await writeName(
        admin,
        tenant,
        to,
        `set local statement_timeout = ${withinMs};
        alter database ${quoteIdentifier(source)} rename to ${quoteIdentifier(target)}`,
      )
    } catch (error) {
      if (!isInUse(error)) throw error
      throw await stillInUse(admin, tenant, withinMs, error)
    }
    // Before calls go on: sessions of another database that had the name, and replicas that have it
    // under this one, must not serve them.
    parts.forgetFunctions(target)
    parts.catchUp(target)
  })
}

/** Writes the new name to all tables that have it, in one transaction that begins with `first`. */
async function writeName(admin: Sql, { database }: Tenant, to: Owner, first = ''): Promise<void> {
  await inTransaction(admin, async () => {
    if (first !== '') await admin.unsafe(first)
    await moveEntry(admin, database, to)
    await moveDeployments(admin, database, to)
    const renamed = { database: databaseName(to), tenantId: to.tenantId }
    await moveUsage(admin, database, renamed)
    await moveTimes(admin, database, renamed)
    await moveSlow(admin, database, renamed)
    await moveLeft(admin, database, databaseName(to))
  })
}
