import type { Sql } from '../../postgres/pools/connection.ts'
import type { Suspension } from '../suspension.ts'
import { noteSuspensions } from './catalog-identity.ts'
import type { Tenant } from './tenant-rows.ts'

/** Suspends the tenant that has the database, or changes what its calls are answered. */
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
    where database = ${database} and tenant_id is not null
  `
}

/** When a tenant is dropped. */
export interface Drop {
  /** From now on. */
  afterMs: number
  isDumped: boolean
}

/** Has the tenant that has the database suspended now and dropped later, by whichever gateway. */
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
    where database = ${database} and tenant_id is not null
  `
}

/** Has a tenant as it was before. */
export async function restoreState(sql: Sql, tenant: Tenant): Promise<void> {
  await sql`
    update _db_gateway_databases
    set suspended_at = ${tenant.suspendedAt}::text::timestamptz, drop_at = ${tenant.dropAt}::text::timestamptz,
      drop_dump = ${tenant.dropAt === null ? null : tenant.isDumped}
    where database = ${tenant.database}
  `
}

/**
 * The databases of tenants that are to be dropped by now, those first that have been for longest, without
 * those that a gateway is at.
 */
export async function findDueDrops(sql: Sql): Promise<string[]> {
  const rows = await sql<{ database: string; is_free: boolean }[]>`
    select database,
      pg_try_advisory_xact_lock(hashtext('_db_gateway_database'), hashtext(database)) as is_free
    from _db_gateway_databases
    where drop_at <= now()
    order by drop_at
  `
  return rows.filter((row) => row.is_free).map(({ database }) => database)
}

/**
 * Has the calls of the tenant run again that has the database, which is not dropped then.
 * @returns whether that was done: not where it is being dropped already
 */
export async function resumeTenant(sql: Sql, database: string): Promise<boolean> {
  const [row] = await sql<{ is_free: boolean }[]>`
    with free as materialized (
      -- Who makes or drops a database holds it, and a deploy for a moment.
      select drop_at is null or drop_at > now()
        or pg_try_advisory_xact_lock(hashtext('_db_gateway_database'), hashtext(database)) as is_free
      from _db_gateway_databases where database = ${database}
    ), resumed as (
      update _db_gateway_databases
      set suspended_at = null, suspended_message = null, retry_after_s = null, drop_at = null,
        drop_dump = null
      where database = ${database} and suspended_at is not null and (select is_free from free)
    )
    select is_free from free
  `
  return row?.is_free ?? true
}
