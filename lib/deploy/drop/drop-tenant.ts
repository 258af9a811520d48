import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { readTenant, type Tenant } from '../../tenancy/catalog/tenant-rows.ts'
import { restoreState, setDrop } from '../../tenancy/catalog/tenant-state.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import { describeAbsent, isSameOwner, ownerFields } from '../../tenancy/owner-identity.ts'
import { dropDatabaseNow, withDatabaseLock } from '../database/database.ts'
import type { DeployParts } from '../parts.ts'
import { type Dump, dumpDatabase, requirePgDump } from './dumps.ts'

/** A tenant that was dropped. */
export interface DroppedTenant {
  tenant: Tenant
  /** Null where none was asked for, or the database was gone already. */
  dump: Dump | null
}

/** Calls that run may take STATEMENT_TIMEOUT_SECS, and some time to be answered. */
const GRACE_MS = 2000
const LOOK_EVERY_MS = 50

/** By then, all gateways have heard that calls are suspended. */
const QUIET_LOOKS = 6

/**
 * Drops a tenant now: its calls are suspended, those that run finish within STATEMENT_TIMEOUT_SECS, the
 * database is dumped where that is asked for, and dropped. Where that fails the tenant is as before; where
 * the gateway is killed meanwhile, another one drops it.
 * @throws {GatewayError} database_not_found; dump_not_available, dump_failed; what PostgreSQL says
 */
export async function dropTenant(
  parts: DeployParts,
  owner: Owner,
  isDumped: boolean,
): Promise<DroppedTenant> {
  const database = databaseName(owner)
  return locked(parts, database, async (admin) => {
    const before = await readTenant(admin, database)
    if (!before || !isSameOwner(before, owner)) {
      throw new GatewayError('database_not_found', describeAbsent(owner), { database })
    }
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
 * Drops a tenant whose time has come; undefined where it has not, any more.
 * @throws {GatewayError} as `dropTenant`
 */
export async function dropDueTenant(
  parts: DeployParts,
  database: string,
): Promise<DroppedTenant | undefined> {
  return locked(parts, database, async (admin) => {
    const tenant = await readTenant(admin, database)
    if (!tenant?.isDue) return undefined
    const pgDump = tenant.isDumped ? await requirePgDump(admin) : undefined
    return carryOut(parts, admin, tenant, pgDump)
  })
}

/** In its turn among the deploys, and while no other gateway makes or drops the database. */
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
    // It is not the catalog's look-up that says so where nobody has called it since the start.
    parts.catalog.note(tenant)
    await untilQuiet(parts, admin, database)
    if (pgDump !== undefined) dump = await dumpDatabase(parts, pgDump, database)
    await dropDatabaseNow(parts, admin, database)
  }
  await admin`delete from _db_gateway_databases where database = ${database}`
  parts.catalog.forget(tenant)
  parts.forgetFunctions(database)
  parts.log.info('A tenant was dropped', { ...ownerFields(tenant), database, dump: dump?.file })
  return { tenant, dump }
}

/**
 * Resolves when no session works in the database any more; those that go on for too long are ended, so
 * that nothing is written behind a dump.
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
  // A superuser's session is not the gateway's to end: the drop says so.
  await admin`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = ${database} and backend_type = 'client backend'
      and state is distinct from 'idle'
  `.catch(() => {})
}
