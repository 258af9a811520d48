import type { Sql } from '../../postgres/pools/connection.ts'
import { hasLabels, type LabelChanges, type Labels, MAX_LABELS } from '../labels.ts'
import { type CatalogEntry, type Row, toEntry } from './catalog-table.ts'

/** Whether calls of a tenant run, and whether it is to be dropped. */
export const STATES = ['active', 'suspended', 'dropping'] as const
export type TenantState = (typeof STATES)[number]

/** One tenant, as the catalog knows it. Times are ISO 8601. */
export interface Tenant extends CatalogEntry {
  state: TenantState
  labels: Labels
  createdAt: string
  /** Of one that is not active. */
  suspendedAt: string | null
  message: string | null
  retryAfterS: number | null
  /** Of one that is dropping. */
  dropAt: string | null
  /** Whether it is dumped before that. */
  isDumped: boolean
  /** Whether it is to be dropped by now. */
  isDue: boolean
  /** Of the archive that was deployed last; null before the first. */
  schemaChecksum: string | null
  lastDeployedAt: string | null
}

/** A part of the tenants of a platform, by the names of their databases. */
export interface TenantPage {
  platform: string
  /** All of which they have. */
  labels: Labels
  /** Undefined: in any. */
  state: TenantState | undefined
  /** The last database of the page before; undefined: the first page. */
  after: string | undefined
  limit: number
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
}

/** The tenants of a page. */
export async function readTenants(
  sql: Sql,
  { platform, labels, state, after, limit }: TenantPage,
): Promise<Tenant[]> {
  const rows = await sql<TenantRow[]>`
    select ${columns(sql)}
    from _db_gateway_databases
    where platform = ${platform} and tenant_id is not null
      ${Object.keys(labels).length > 0 ? sql`and ${hasLabels(sql, labels)}` : sql``}
      ${state === undefined ? sql`` : sql`and ${stateOf(sql)} = ${state}`}
      ${after === undefined ? sql`` : sql`and database > ${after}`}
    order by database
    limit ${limit}
  `
  return rows.map(toTenant)
}

/** The tenant that has the database; undefined where there is none. */
export async function readTenant(sql: Sql, database: string): Promise<Tenant | undefined> {
  const [row] = await sql<TenantRow[]>`
    select ${columns(sql)} from _db_gateway_databases
    where database = ${database} and tenant_id is not null
  `
  return row && toTenant(row)
}

/**
 * Changes the labels of the tenant that has the database.
 * @returns whether that was done: not where it would have more than MAX_LABELS
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
    where d.database = ${database}
      and (select count(*) from jsonb_object_keys(merged.labels)) <= ${MAX_LABELS}
  `
  return count > 0
}

function stateOf(sql: Sql) {
  return sql`case
    when drop_at is not null then 'dropping'
    when suspended_at is not null then 'suspended'
    else 'active'
  end`
}

function columns(sql: Sql) {
  return sql`
    database, platform, tenant_id, schema_name, owner_role, ${stateOf(sql)} as state, labels,
    to_json(created_at) as created_at, to_json(suspended_at) as suspended_at, suspended_message,
    retry_after_s, to_json(drop_at) as drop_at, drop_dump,
    coalesce(drop_at <= now(), false) as is_due, schema_checksum,
    to_json(last_deployed_at) as last_deployed_at
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
  }
}
