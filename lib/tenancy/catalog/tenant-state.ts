import type { Sql } from '../../postgres/pools/connection.ts'
import type { Suspension } from '../suspension.ts'
import { noteSuspensions } from './catalog-identity.ts'

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

/** Has the calls of the tenant run again that has the database, which is not dropped then. */
export async function resumeTenant(sql: Sql, database: string): Promise<void> {
  await sql`
    update _db_gateway_databases
    set suspended_at = null, suspended_message = null, retry_after_s = null, drop_at = null,
      drop_dump = null
    where database = ${database} and suspended_at is not null
  `
}
