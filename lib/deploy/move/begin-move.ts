import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { absentError } from '../../tenancy/catalog/absent.ts'
import { readEntry } from '../../tenancy/catalog/catalog-table.ts'
import { checkNotMoving } from '../../tenancy/catalog/moved-away.ts'
import { readTenant, type Tenant } from '../../tenancy/catalog/tenant-rows.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { alreadyThere, describeOwner, isSameOwner } from '../../tenancy/owner-identity.ts'
import { nameConflict } from '../database/database.ts'
import { placed } from '../database/placed.ts'
import { lockDatabase, withDatabaseLock } from '../database/with-lock.ts'
import type { DeployParts } from '../parts.ts'
import { isReserved } from '../templates/names.ts'
import { untilNoDeploy } from './sessions.ts'

/** Milliseconds that a running deploy to the tenant gets to end. */
const DEPLOY_WAIT_MS = 60_000

/**
 * Runs `work` in the deploy queue of the tenant, under the locks that keep all gateways from
 * creating or dropping either database, when no deploy to the tenant runs.
 * @param gone ends the wait for the locks, and nothing later
 * @param work gets the tenant as it is under the locks, and the session that holds them
 * @throws {GatewayError} database_not_found; tenant_busy if the tenant is being dropped or
 *   deployed to, was moved to another server meanwhile, or the locks are not free in time; database_already_exists, name_conflict if the new name is taken
 */
export function moving<T>(
  parts: DeployParts,
  from: Owner,
  to: Owner,
  gone: AbortSignal,
  work: (admin: Sql, tenant: Tenant) => Promise<T>,
): Promise<T> {
  const [source, target] = [databaseName(from), databaseName(to)]
  // All gateways take the two locks in the same order.
  const [first, second] = [source, target].toSorted() as [string, string]
  return parts.queue.run(source, () =>
    withDatabaseLock(
      parts,
      first,
      async (admin) => {
        await lockDatabase(parts, admin, second, gone)
        // If the gateway dies, PostgreSQL ends the statement; not all operating systems support it.
        await admin.unsafe("set client_connection_check_interval = '2s'").catch(() => {})
        const tenant = await readTenant(admin, source)
        if (!tenant) await parts.places.checkNotMoved(admin, from)
        if (!tenant || !isSameOwner(tenant, from)) throw absentError(from, tenant)
        checkNotMoving(tenant)
        if (tenant.isDue) {
          const message = `${describeOwner(from)} is being dropped`
          throw new GatewayError('tenant_busy', message, { database: source })
        }
        if (source !== target) await checkFree(admin, to, target)
        if (!(await isOnServer(admin, source))) {
          const message = `Database ${source} does not exist`
          throw new GatewayError('database_not_found', message, { database: source })
        }
        await untilNoDeploy(admin, tenant, DEPLOY_WAIT_MS)
        if (source === target) return work(admin, tenant)
        const moved = await placed(parts, admin, to, () => work(admin, tenant))
        await parts.places.leave(admin, source)
        return moved
      },
      gone,
    ),
  )
}

async function checkFree(admin: Sql, to: Owner, database: string): Promise<void> {
  const entry = await readEntry(admin, to)
  if (entry && isSameOwner(entry, to)) throw alreadyThere(to, database)
  if (entry) throw nameConflict(to, database, entry)
  const conflict = (message: string) => new GatewayError('name_conflict', message, { database })
  if (isReserved(database)) throw conflict(`The name ${database} is reserved for the gateway`)
  if (await isOnServer(admin, database)) {
    throw conflict(`Database ${database} exists on the server, but the catalog does not have it`)
  }
}

async function isOnServer(admin: Sql, database: string): Promise<boolean> {
  const rows = await admin`select from pg_database where datname = ${database}`
  return rows.length > 0
}
