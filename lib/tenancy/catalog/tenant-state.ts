import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseLock } from '../database-lock.ts'
import type { Suspension } from '../suspension.ts'
import { noteSuspensions } from './catalog-identity.ts'
import type { Tenant } from './tenant-rows.ts'

/** Suspends the tenant of a database. If it is suspended, changes the error that its calls get. */
export async function suspendTenant(
  sql: Sql,
  database: string,
  { message, retryAfterS }: Suspension,
): Promise<void> {
  await noteSuspensions(sql)
  await sql`
    update _db_gateway_databases
    set suspended_at = coalesce(suspended_at, now()), suspended_message = ${message},
      retry_after_s = ${retryAfterS}
    where database = ${database} and tenant_id is not null and hidden_as is null
  `
}

/** A scheduled drop of a tenant. */
export interface Drop {
  /** Time from now until the drop, in milliseconds. */
  afterMs: number
  /** Whether the database is dumped before the drop. */
  isDumped: boolean
}

/** Suspends the tenant of a database now and schedules its drop. Any gateway may carry it out. */
export async function setDrop(
  sql: Sql,
  database: string,
  { afterMs, isDumped }: Drop,
): Promise<void> {
  await noteSuspensions(sql)
  await sql`
    update _db_gateway_databases
    set suspended_at = coalesce(suspended_at, now()), drop_dump = ${isDumped},
      drop_at = now() + make_interval(secs => ${afterMs / 1000}::float8)
    where database = ${database} and tenant_id is not null and hidden_as is null
  `
}

/**
 * Writes back the scheduled drop that a tenant had when it was read, and its suspension, unless it
 * was suspended anew since. Does nothing if its database is gone, or is what an interrupted DROP
 * DATABASE has left: the drop stays due then.
 */
export async function restoreState(sql: Sql, tenant: Tenant): Promise<void> {
  await sql`
    update _db_gateway_databases
    set suspended_at = case
        when (suspended_message, retry_after_s) is distinct from (${tenant.message}::text, ${tenant.retryAfterS}::integer)
        then suspended_at else ${tenant.suspendedAt}::text::timestamptz
      end,
      drop_at = ${tenant.dropAt}::text::timestamptz,
      drop_dump = ${tenant.dropAt === null ? null : tenant.isDumped}
    where database = ${tenant.database}
      and exists (select from pg_database where datname = database and datconnlimit <> -2)
  `
}

/**
 * Returns the databases of tenants whose drop is due, longest overdue first. Leaves out databases
 * whose advisory lock another session holds, such as a gateway that is dropping one.
 */
export async function findDueDrops(sql: Sql): Promise<string[]> {
  const rows = await sql<{ database: string; is_free: boolean }[]>`
    select database,
      pg_try_advisory_xact_lock(${databaseLock(sql, sql`database`)}) as is_free
    from _db_gateway_databases
    where drop_at <= now()
    order by drop_at
  `
  return rows.filter((row) => row.is_free).map(({ database }) => database)
}

/**
 * Ends the suspension of a database's tenant and cancels its scheduled drop.
 * @returns false if the drop is due and another session holds the database's advisory lock, since
 *   it may be dropping the database
 */
export async function resumeTenant(sql: Sql, database: string): Promise<boolean> {
  const [row] = await sql<{ is_free: boolean }[]>`
    with free as materialized (
      -- A gateway holds this lock while it creates or drops the database; a deploy, for a moment.
      select drop_at is null or drop_at > now()
        or pg_try_advisory_xact_lock(${databaseLock(sql, sql`database`)}) as is_free
      from _db_gateway_databases where database = ${database}
    ), resumed as (
      update _db_gateway_databases
      set suspended_at = null, suspended_message = null, retry_after_s = null, drop_at = null,
        drop_dump = null
      where database = ${database} and suspended_at is not null and hidden_as is null
        and (select is_free from free)
    )
    select is_free from free
  `
  return row?.is_free ?? true
}
