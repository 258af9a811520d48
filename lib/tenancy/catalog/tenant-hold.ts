import type { Sql } from '../../postgres/pools/connection.ts'
import type { Operation } from '../hold.ts'
import type { Owner } from '../names.ts'

/**
 * Seconds after which a hold lapses if its gateway does not extend it. Calls that wait for a gateway
 * that was killed run then, if POOL_WAIT_TIMEOUT_SECS is not shorter.
 */
const LAPSES_AFTER_S = 3.5

/** Milliseconds between two extensions of a hold. */
export const EXTEND_EVERY_MS = 1000

/** Seconds for which calls that found a tenant before its rename follow it. */
const FOLLOW_S = 60

/** A tenant that was renamed a moment ago, and the database that it had. */
export interface Renamed extends Owner {
  from: string
}

/**
 * Holds the calls of a database's tenant, on every gateway.
 * @param retryAfterS Retry-After of the error that calls get, in seconds; null: calls wait
 */
export async function setHold(
  sql: Sql,
  database: string,
  operation: Operation,
  retryAfterS: number | null,
): Promise<void> {
  await sql`
    update _db_gateway_databases
    set held_for = ${operation}, held_retry_s = ${retryAfterS}, held_until = ${lapse(sql)}
    where database = ${database}
  `
}

/** Extends a hold that has not ended. */
export async function extendHold(sql: Sql, database: string): Promise<void> {
  await sql`
    update _db_gateway_databases set held_until = ${lapse(sql)}
    where database = ${database} and held_until is not null
  `
}

/** Ends the hold of a database: its calls run. */
export async function endHold(sql: Sql, database: string): Promise<void> {
  await sql`
    update _db_gateway_databases set held_for = null, held_retry_s = null, held_until = null
    where database = ${database} and held_until is not null
  `
}

/**
 * Returns the tenants that were renamed from these databases a moment ago, unless another tenant has
 * had the name since.
 */
export async function readRenamed(sql: Sql, databases: string[]): Promise<Renamed[]> {
  const rows = await sql<
    { from: string; platform: string; tenant_id: string; schema_name: string | null }[]
  >`
    select distinct on (renamed_from) renamed_from as from, platform, tenant_id, schema_name
    from _db_gateway_databases
    where renamed_from = any (array(select json_array_elements_text(${JSON.stringify(databases)}::text::json)))
      and renamed_at > now() - make_interval(secs => ${FOLLOW_S})
    order by renamed_from, renamed_at desc
  `
  return rows.map(({ from, platform, tenant_id, schema_name }) => ({
    from,
    platform,
    tenantId: tenant_id,
    schema: schema_name,
  }))
}

function lapse(sql: Sql) {
  return sql`clock_timestamp() + make_interval(secs => ${LAPSES_AFTER_S})`
}
