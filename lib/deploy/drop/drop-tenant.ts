import { setTimeout as sleep } from 'node:timers/promises'
import type { Sql } from '../../postgres/pools/connection.ts'
import { absentError } from '../../tenancy/catalog/absent.ts'
import { checkNotMoving } from '../../tenancy/catalog/moved-away.ts'
import { readTenant, type Tenant } from '../../tenancy/catalog/tenant-rows.ts'
import { restoreState, setDrop } from '../../tenancy/catalog/tenant-state.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { isSameOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { dropDatabaseNow } from '../database/database.ts'
import { withDatabaseLock } from '../database/with-lock.ts'
import type { DeployParts } from '../parts.ts'
import { type Dump, dumpDatabase, requirePgDump } from './dumps.ts'
import { untilNoOthers } from './others.ts'

/** Result of dropping a tenant. */
export interface DroppedTenant {
  /** The tenant as it was before the drop. */
  tenant: Tenant
  /** Dump of the database; null if none was requested or the database no longer existed. */
  dump: Dump | null
}

/** Time that running calls get beyond STATEMENT_TIMEOUT_SECS to receive their answers. */
const GRACE_MS = 2000
/** Interval between two looks for working sessions. */
const LOOK_EVERY_MS = 50

/**
 * Consecutive looks that must find no working session. They take 300 ms, within which all gateways
 * learn of the suspension.
 */
const QUIET_LOOKS = 6

/**
 * Drops a tenant now. Suspends its calls, waits for those that run (see `untilQuiet`),
 * dumps the database if `isDumped`, and drops it. If a step fails, restores the tenant's previous
 * state. If the gateway dies in between, or the database is gone, the drop stays due and a gateway
 * completes it later.
 * @throws {GatewayError} database_not_found; dump_not_available; dump_failed; tenant_busy if others
 *   use the database; errors of PostgreSQL
 */
export async function dropTenant(
  parts: DeployParts,
  owner: Owner,
  isDumped: boolean,
): Promise<DroppedTenant> {
  const database = databaseName(owner)
  return locked(parts, database, async (admin) => {
    const before = await readTenant(admin, database)
    if (!before) await parts.places.checkNotMoved(admin, owner)
    if (!before || !isSameOwner(before, owner)) {
      throw absentError(owner, before)
    }
    checkNotMoving(before)
    const pgDump = isDumped ? await requirePgDump(admin) : undefined
    await setDrop(admin, database, { afterMs: 0, isDumped })
    parts.catalog.forget(owner)
    try {
      return await carryOut(parts, admin, before, pgDump)
    } catch (error) {
      await parts.catalog.use((sql) => restoreState(sql, before))
      parts.catalog.forget(owner)
      throw error
    }
  })
}

/**
 * Drops a tenant whose scheduled drop is due.
 * @returns undefined if no drop is due any more, for example because the tenant was resumed
 * @throws {GatewayError} as `dropTenant`
 */
export async function dropDueTenant(
  parts: DeployParts,
  database: string,
): Promise<DroppedTenant | undefined> {
  return locked(parts, database, async (admin) => {
    const tenant = await readTenant(admin, database)
    if (!tenant?.isDue || tenant.hiddenAs !== null) return undefined
    const pgDump = tenant.isDumped ? await requirePgDump(admin) : undefined
    return carryOut(parts, admin, tenant, pgDump)
  })
}

/**
 * Runs `work` in the deploy queue of the database, under the lock that keeps other gateways from
 * creating or dropping the database.
 */
function locked<T>(
  parts: DeployParts,
  database: string,
  work: (admin: Sql) => Promise<T>,
): Promise<T> {
  return parts.queue.run(database, () => withDatabaseLock(parts, database, work))
}

async function carryOut(
  parts: DeployParts,
  admin: Sql,
  tenant: Tenant,
  pgDump: string | undefined,
): Promise<DroppedTenant> {
  const { database } = tenant
  const [found] = await admin`select from pg_database where datname = ${database}`
  let dump: Dump | null = null
  if (found) {
    // The dump reads the role from the cache, which is empty until a request looks the tenant up.
    parts.catalog.note(tenant)
    await untilQuiet(parts, admin, database)
    await untilNoOthers(admin, tenant)
    if (pgDump !== undefined) dump = await dumpDatabase(parts, pgDump, database)
    await dropDatabaseNow(parts, admin, database)
  }
  await admin`delete from _db_gateway_databases where database = ${database}`
  await parts.places.leave(admin, database)
  parts.catalog.forget(tenant)
  parts.forgetFunctions(database)
  parts.log.info('A tenant was dropped', { ...ownerFields(tenant), database, dump: dump?.file })
  return { tenant, dump }
}

/**
 * Resolves when no session works in the database any more. Terminates the sessions that still work
 * after STATEMENT_TIMEOUT_SECS and GRACE_MS, so that nothing is written after the dump has begun.
 */
async function untilQuiet(parts: DeployParts, admin: Sql, database: string): Promise<void> {
  const limit = performance.now() + parts.config.statementTimeoutMs + GRACE_MS
  for (let quiet = 0; quiet < QUIET_LOOKS && performance.now() < limit; ) {
    const [busy] = await admin`
      select from pg_stat_activity
      where datname = ${database} and backend_type = 'client backend'
        and state is distinct from 'idle'
      limit 1
    `
    quiet = busy ? 0 : quiet + 1
    await sleep(LOOK_EVERY_MS)
  }
  // The gateway's role may not terminate a superuser's session; the drop then reports it.
  await admin`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = ${database} and backend_type = 'client backend'
      and state is distinct from 'idle'
  `.catch(() => {})
}
