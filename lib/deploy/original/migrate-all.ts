import type { SchemaArchive } from '../../archive/archive.ts'
import type { Gateway } from '../../gateway.ts'
import type { JobEnd, JobResult } from '../../jobs/jobs.ts'
import { sanitize } from '../../names.ts'
import type { Sql } from '../../postgres/connection.ts'
import { type Row, toEntry } from '../../tenancy/catalog-table.ts'
import { type DatabaseResult, untouched } from '../fleet/results.ts'
import type { Target } from '../fleet/targets.ts'
import { migrateTargets } from '../fleet.ts'
import type { DeployOrigin } from '../result.ts'
import { withProof } from '../templates/proof.ts'
import { withAllowHint } from './allow.ts'
import { mergeV2Changes, toV2Changes, type V2Changes } from './changes.ts'
import type { V2Options } from './request.ts'

/** A stored schema for all tenants that have it. */
export interface StoredFleet {
  platform: string
  schemaName: string
  archive: SchemaArchive
  packed: Uint8Array
  options: V2Options
  origin: DeployOrigin
}

/** Which tenants a stored schema is for. */
export interface Tenants {
  targets: Target[]
  /** Of those that are left out, what people may not expect. */
  warnings: string[]
}

/** Names in a warning. */
const MAX_NAMES = 20

/**
 * The tenants that a stored schema is for: those that are named with it, and of those that are named by
 * the platform alone, those to which it was deployed last, or nothing yet; all of these where no tenant
 * is named with a schema, since the name of a stored schema is that of a release then ("v1.1", "latest").
 */
export async function findTenants(
  sql: Sql,
  platform: string,
  schemaName: string,
): Promise<Tenants> {
  const rows = await sql<(Row & { is_meant: boolean })[]>`
    with own as (select * from _db_gateway_databases where platform = ${platform})
    select database, platform, tenant_id, schema_name, owner_role,
      schema_name is not null
      or coalesce(stored_schema = ${schemaName}, schema_checksum is null)
      or not exists (select from own where tenant_id is not null and schema_name is not null)
        as is_meant
    from own
    where tenant_id is not null
      and coalesce(schema_name, ${sanitize(schemaName)}) = ${sanitize(schemaName)}
    order by database
  `
  const left = rows.filter((row) => !row.is_meant).map(({ database }) => database)
  const rest = left.length - MAX_NAMES
  const names = left.slice(0, MAX_NAMES).join(', ') + (rest > 0 ? ` and ${rest} more` : '')
  return {
    targets: rows.filter((row) => row.is_meant).map(toEntry),
    warnings:
      left.length === 0
        ? []
        : [
            `Left out, since another archive was deployed there: ${names}. POST /v2/migrate with database_id brings them to this one`,
          ],
  }
}

/** One database of /v2/migrate-all's answer. */
interface TenantResult extends JobResult {
  migrations_applied: number
  tables_created: number
  functions_updated: number
  /** For people. */
  error: string | null
  /** As of a request to this database alone. */
  failure: object | null
}

/**
 * Brings the tenants to the stored schema; the first that can be reached is a canary. Each is told of
 * as it ends.
 */
export async function migrateTenants(
  gateway: Gateway,
  fleet: StoredFleet,
  { targets, warnings: told }: Tenants,
  onResult: (result: JobResult) => void,
): Promise<JobEnd> {
  const { platform, schemaName, options, archive } = fleet
  const changes = new Map<string, V2Changes>()
  const warnings = new Set([...archive.warnings, ...told])
  const counts = { completed: 0, failed: 0, skipped: 0 }
  const tell = (one: DatabaseResult) => {
    const told = describeTenant(one)
    counts[told.status]++
    onResult(told)
    if (!one.result) return
    for (const warning of one.result.warnings) warnings.add(warning)
    const own = toV2Changes(one.result.tableChanges)
    changes.set(JSON.stringify(own), own)
  }
  const noted: Promise<unknown>[] = []
  const request = {
    ...fleet,
    owner: { platform, tenantId: null, schema: sanitize(schemaName) },
    older: 'whole' as const,
    flags: options.flags,
    onError: 'continue' as const,
    onEnd: (one: DatabaseResult) => {
      tell(one)
      if (one.status !== 'completed') return
      noted.push(gateway.catalog.recordStored(platform, one.database, schemaName))
    },
  }
  const { value: ended, warnings: newTenants } = await withProof(gateway, request, true, () =>
    migrateTargets(gateway, request, targets),
  )
  for (const warning of newTenants) warnings.add(warning)
  await Promise.allSettled(noted)
  const left = targets.filter(({ database }) => !ended.has(database))
  for (const { database } of left) tell(untouched(database, 'not_started'))
  const isStopped = left.length > 0 && gateway.health.isDraining
  return {
    status: isStopped ? 'interrupted' : statusOf(counts),
    summary: {
      schema_validation: mergeV2Changes([...changes.values()]),
      warnings: [...warnings],
    },
  }
}

function statusOf({ completed, failed, skipped }: Record<JobResult['status'], number>) {
  if (failed + skipped === 0) return 'completed'
  return completed === 0 ? 'failed' : 'partial'
}

function describeTenant({ database, status, result, error }: DatabaseResult): TenantResult {
  const told = error && withAllowHint(error)
  return {
    database,
    status: status === 'completed' || status === 'failed' ? status : 'skipped',
    migrations_applied: result?.migrationsApplied.length ?? 0,
    tables_created: result?.tablesCreated.length ?? 0,
    functions_updated: result?.functionsDeployed ?? 0,
    error: told ? [told.message, told.details.cause].filter(Boolean).join(': ') : null,
    failure: told ?? null,
  }
}
