import type { Sql } from '../../postgres/pools/connection.ts'
import { hasLabels, type LabelChanges, type Labels, MAX_LABELS } from '../labels.ts'
import { type CatalogEntry, type Row, toEntry } from './catalog-table.ts'

/**
 * States of a tenant. `active`: calls run. `suspended`: calls fail. `dropping`: calls fail, and a
 * drop is scheduled or running.
 */
export const STATES = ['active', 'suspended', 'dropping'] as const
export type TenantState = (typeof STATES)[number]

/** Catalog entry of a tenant. Times are ISO 8601. */
export interface Tenant extends CatalogEntry {
  state: TenantState
  labels: Labels
  createdAt: string
  /** Start of the suspension; null if the tenant is active. */
  suspendedAt: string | null
  /** Message of the error that calls get; null for the default message. */
  message: string | null
  /** Retry-After of that error, in seconds; null for the default. */
  retryAfterS: number | null
  /** Time of the scheduled drop; null if none is scheduled. */
  dropAt: string | null
  /** Whether the database is dumped before the drop. */
  isDumped: boolean
  /** Whether the time of the drop has come. */
  isDue: boolean
  /** Checksum of the archive that was deployed last; null before the first deploy. */
  schemaChecksum: string | null
  lastDeployedAt: string | null
  /** Name that the database has while it is moved to another server; null: its own. */
  hiddenAs: string | null
}

/** One page of the tenants of a platform, ordered by database name. */
export interface TenantPage {
  platform: string
  /** Labels that each tenant on the page has. */
  labels: Labels
  /** State of the tenants; undefined for any state. */
  state: TenantState | undefined
  /** Last database of the previous page; undefined for the first page. */
  after: string | undefined
  limit: number
  /** Whether the order is that of bytes, which is the same on all servers; else that of the catalog's collation. */
  isBytewise: boolean
}

interface TenantRow extends Row {
  state: TenantState
  labels: Labels
  created_at: string
  suspended_at: string | null
  suspended_message: string | null
  retry_after_s: number | null
  drop_at: string | null
  drop_dump: boolean | null
  is_due: boolean
  schema_checksum: string | null
  last_deployed_at: string | null
  hidden_as: string | null
}

/** Returns the tenants of a page. */
export async function readTenants(
  sql: Sql,
  { platform, labels, state, after, limit, isBytewise }: TenantPage,
): Promise<Tenant[]> {
  const name = isBytewise ? sql`database collate "C"` : sql`database`
  const rows = await sql<TenantRow[]>`
    select ${columns(sql)}
    from _db_gateway_databases
    where platform = ${platform} and tenant_id is not null
      ${Object.keys(labels).length > 0 ? sql`and ${hasLabels(sql, labels)}` : sql``}
      ${state === undefined ? sql`` : sql`and ${stateOf(sql)} = ${state}`}
      ${after === undefined ? sql`` : sql`and ${name} > ${after}`}
    order by ${name}
    limit ${limit}
  `
  return rows.map(toTenant)
}

/** Returns the tenant of a database; undefined if the database belongs to no tenant. */
export async function readTenant(sql: Sql, database: string): Promise<Tenant | undefined> {
  const [row] = await sql<TenantRow[]>`
    select ${columns(sql)} from _db_gateway_databases
    where database = ${database} and tenant_id is not null
  `
  return row && toTenant(row)
}

/**
 * Changes the labels of a database's tenant.
 * @returns false if nothing was changed: the tenant would have more than MAX_LABELS labels, it is being
 *   moved to another server, or the catalog has no such database
 */
export async function changeLabels(
  sql: Sql,
  database: string,
  changes: LabelChanges,
): Promise<boolean> {
  const { count } = await sql`
    with merged as (
      select jsonb_strip_nulls(labels || ${JSON.stringify(changes)}::text::jsonb) as labels
      from _db_gateway_databases where database = ${database} for update
    )
    update _db_gateway_databases d set labels = merged.labels
    from merged
    where d.database = ${database} and d.hidden_as is null
      and (select count(*) from jsonb_object_keys(merged.labels)) <= ${MAX_LABELS}
  `
  return count > 0
}

/** Returns SQL for the state of a tenant, from its row of the catalog. */
export function stateOf(sql: Sql) {
  return sql`case
    when drop_at is not null then 'dropping'
    when suspended_at is not null then 'suspended'
    else 'active'
  end`
}

function columns(sql: Sql) {
  return sql`
    database, platform, tenant_id, schema_name, owner_role, limits, ${stateOf(sql)} as state, labels,
    to_json(created_at) as created_at, to_json(suspended_at) as suspended_at, suspended_message,
    retry_after_s, to_json(drop_at) as drop_at, drop_dump,
    coalesce(drop_at <= now(), false) as is_due, schema_checksum,
    to_json(last_deployed_at) as last_deployed_at, hidden_as
  `
}

function toTenant(row: TenantRow): Tenant {
  return {
    ...toEntry(row),
    state: row.state,
    labels: row.labels,
    createdAt: row.created_at,
    suspendedAt: row.suspended_at,
    message: row.suspended_message,
    retryAfterS: row.retry_after_s,
    dropAt: row.drop_at,
    isDumped: row.drop_dump ?? false,
    isDue: row.is_due,
    schemaChecksum: row.schema_checksum,
    lastDeployedAt: row.last_deployed_at,
    hiddenAs: row.hidden_as,
  }
}
