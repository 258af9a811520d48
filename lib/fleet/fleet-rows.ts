import { mapInSlices } from '../common/in-slices.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { stateOf, type TenantState } from '../tenancy/catalog/tenant-rows.ts'
import { type NewestArchive, newestArchives } from '../tenancy/schemas/archive-order.ts'

/**
 * States of a database, the first that applies:
 * - `missing`: the catalog has it and the server does not.
 * - `suspended`: its calls are suspended, or it is to be dropped.
 * - `failed`: its last deploy failed.
 * - `drifted`: it differed from its reference in the last look for drift, and has had no deploy since.
 * - `pending`: it does not have the newest archive.
 * - `synced`: none of these.
 */
export const FLEET_STATES = [
  'synced',
  'pending',
  'drifted',
  'failed',
  'suspended',
  'missing',
] as const
export type FleetState = (typeof FLEET_STATES)[number]

/** A database of the fleet. Times are ISO 8601. */
export interface FleetRow {
  database: string
  platform: string
  tenant_id: string | null
  schema_name: string | null
  state: FleetState
  tenant_state: TenantState
  /** True if the database does not have the newest archive, whatever its state. */
  pending: boolean
  /** Checksum of the archive that was deployed last; null before the first deploy. */
  schema: string | null
  last_deployed_at: string | null
  /** Failure of the last deploy; null if it did not fail. */
  error: DeployFailure | null
  /** Calls and errors of today (UTC), of all gateways. */
  calls: number
  errors: number
  labels: Record<string, string>
  /** Whether calls are held, by a rename or a copy. */
  held: boolean
}

/** Why a deploy failed. */
export interface DeployFailure {
  code: string
  message: string
  at: string
  /** Checksum of the archive that was to be deployed. */
  archive: string
  file?: string
  line?: number
  sqlstate?: string
  detail?: string
  hint?: string
}

/** Numbers of a platform's databases. */
export interface PlatformSum {
  platform: string
  /** Newest archive of the databases without a schema; null if they have none. */
  schema: string | null
  databases: number
  synced: number
  pending: number
  drifted: number
  failed: number
  suspended: number
  missing: number
  /** Time of the last look for drift, ISO 8601; null if there was none. */
  drift_checked_at: string | null
}

/**
 * Reads the databases of a platform from the catalog, the main database first, then by name.
 * @param newest newest archives of the platform, where another catalog has them
 */
export async function readFleet(
  sql: Sql,
  platform: string,
  today: string,
  newest?: NewestArchive[],
): Promise<FleetRow[]> {
  const [rows, used] = await Promise.all([
    readStates(sql, platform, newest),
    readUsed(sql, platform, today),
  ])
  return mapInSlices(rows, ({ row }) => Object.assign(row, used.get(row.database) ?? NOT_USED))
}

const NOT_USED = { calls: 0, errors: 0 }

type Used = typeof NOT_USED

function readStates(sql: Sql, platform: string, newest: NewestArchive[] | undefined) {
  return sql<{ row: Omit<FleetRow, keyof Used> }[]>`
    select json_build_object(
      'database', s.database, 'platform', s.platform, 'tenant_id', s.tenant_id,
      'schema_name', s.schema_name, 'state', s.state, 'tenant_state', s.tenant_state,
      'pending', s.is_pending, 'schema', s.schema_checksum, 'last_deployed_at', s.last_deployed_at,
      'error', s.failure, 'labels', s.labels, 'held', s.is_held
    ) as row
    from ${states(sql, platform, newest)} as s
    order by coalesce(s.tenant_id, s.schema_name) is not null, s.database
  `
}

/**
 * Reads the calls of a day. A query of its own, since PostgreSQL's statistics know nothing of today:
 * it would expect one row, and compare each database with each.
 */
async function readUsed(sql: Sql, platform: string, today: string): Promise<Map<string, Used>> {
  const rows = await sql<{ database: string; calls: string; errors: string }[]>`
    select database, sum(calls)::text as calls, sum(errors)::text as errors
    from _db_gateway_usage
    where platform = ${platform} and day = ${today}::text::date
    group by database
  `
  return new Map(
    rows.map(({ database, calls, errors }) => [
      database,
      { calls: Number(calls), errors: Number(errors) },
    ]),
  )
}

/** Reads the numbers of a platform, or of all that are known, by name. @param given as `newest` of `readFleet` */
export async function readPlatformSums(
  sql: Sql,
  platform?: string,
  given?: NewestArchive[],
): Promise<PlatformSum[]> {
  const rows = await sql<{ row: PlatformSum }[]>`
    with states as ${states(sql, platform, given)}, sums as (
      select platform,
        count(*) as databases,
        count(*) filter (where state = 'synced') as synced,
        count(*) filter (where state = 'pending') as pending,
        count(*) filter (where state = 'drifted') as drifted,
        count(*) filter (where state = 'failed') as failed,
        count(*) filter (where state = 'suspended') as suspended,
        count(*) filter (where state = 'missing') as missing
      from states group by platform
    ), newest as ${newestArchives(sql, platform, given)}, names as (
      select name from _db_gateway_platforms where registered_at is not null
      union select platform from _db_gateway_databases
      union select platform from _db_gateway_schemas
    )
    select json_build_object(
      'platform', names.name, 'schema', newest.checksum,
      'databases', coalesce(sums.databases, 0), 'synced', coalesce(sums.synced, 0),
      'pending', coalesce(sums.pending, 0), 'drifted', coalesce(sums.drifted, 0),
      'failed', coalesce(sums.failed, 0), 'suspended', coalesce(sums.suspended, 0),
      'missing', coalesce(sums.missing, 0), 'drift_checked_at', drift.looked_at
    ) as row
    from names
    left join sums on sums.platform = names.name
    left join newest on newest.platform = names.name and newest.schema_name is null
    left join _db_gateway_drift drift on drift.platform = names.name
    ${platform === undefined ? sql`` : sql`where names.name = ${platform}`}
    order by names.name
  `
  return rows.map(({ row }) => row)
}

/**
 * Returns a subquery in parentheses: the databases of a platform, or of all, with their states. The
 * last deploy of each is one probe of an index.
 */
function states(sql: Sql, platform: string | undefined, given: NewestArchive[] | undefined) {
  return sql`(
    select c.*, f.*,
      case
        when f.is_missing then 'missing'
        when f.tenant_state <> 'active' then 'suspended'
        when f.failure is not null then 'failed'
        when f.is_drifted then 'drifted'
        when f.is_pending then 'pending'
        else 'synced'
      end as state
    from _db_gateway_databases c
    left join ${newestArchives(sql, platform, given)} as newest
      on newest.platform = c.platform and newest.schema_name is not distinct from c.schema_name
    left join pg_database d on d.datname = c.database
    left join (
      select l.platform, e.name, l.looked_at
      from _db_gateway_drift l cross join lateral jsonb_array_elements_text(l.databases) as e (name)
    ) as drift on drift.platform = c.platform and drift.name = c.database
    left join lateral (
      select deployed_at, status, archive_checksum, deployment -> 'error' as error
      from _db_gateway_deployments
      where database = c.database
      order by deployed_at desc, id desc
      limit 1
    ) as last on last.status = 'failed' and last.deployed_at > coalesce(c.last_deployed_at, '-infinity')
    cross join lateral (select
      d.oid is null as is_missing,
      ${stateOf(sql)} as tenant_state,
      newest.checksum is not null
        and c.schema_checksum is distinct from newest.checksum as is_pending,
      drift.looked_at > coalesce(c.last_deployed_at, '-infinity') as is_drifted,
      coalesce(c.held_until > now(), false) as is_held,
      case when last.status is not null then json_strip_nulls(json_build_object(
        'code', last.error ->> 'error', 'message', last.error ->> 'message',
        'at', last.deployed_at, 'archive', last.archive_checksum,
        'file', last.error -> 'file', 'line', last.error -> 'line',
        'sqlstate', last.error -> 'sqlstate', 'detail', last.error -> 'detail',
        'hint', last.error -> 'hint'
      )) end as failure
    ) as f
    ${platform === undefined ? sql`` : sql`where c.platform = ${platform}`}
  )`
}
