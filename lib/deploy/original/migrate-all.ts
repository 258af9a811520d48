import type { SchemaArchive } from '../../archive/archive.ts'
import type { JobEnd, JobResult } from '../../jobs/jobs.ts'
import { sanitize } from '../../tenancy/names.ts'
import { migrateSites } from '../fleet/migrate-sites.ts'
import { type DatabaseResult, untouched } from '../fleet/results.ts'
import { watched } from '../fleet/watched.ts'
import type { DeployParts } from '../parts.ts'
import type { DeployOrigin } from '../result.ts'
import { withProof } from '../templates/proof.ts'
import { withV2Hint } from './allow.ts'
import { mergeV2Changes, toV2Changes, type V2Changes } from './changes.ts'
import type { V2Options } from './request.ts'
import type { StoredTargets } from './tenants.ts'

/** Request to deploy a stored schema to all of its tenants. */
export interface StoredFleet {
  platform: string
  schemaName: string
  archive: SchemaArchive
  packed: Uint8Array
  options: V2Options
  origin: DeployOrigin
  /** Asked before each database is started. */
  isStopped: () => boolean
}

/** Result for one database in the answer of /v2/migrate-all. */
interface TenantResult extends JobResult {
  migrations_applied: number
  tables_created: number
  functions_updated: number
  /** Error as one line of text. */
  error: string | null
  /** Error as a request for this database alone would return it. */
  failure: object | null
}

/**
 * Deploys the stored schema to the tenants. The first tenant that can be reached is the canary.
 * @param onResult called with the result of each database as it ends
 */
export async function migrateTenants(
  parts: DeployParts,
  fleet: StoredFleet,
  { sites, targets, warnings: told }: StoredTargets,
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
  const catalogs = new Map(
    sites.flatMap((site) => site.targets.map((one) => [one.database, site.parts?.catalog])),
  )
  const request = {
    ...fleet,
    owner: { platform, tenantId: null, schema: sanitize(schemaName) },
    older: 'whole' as const,
    flags: options.flags,
    onError: 'continue' as const,
    onEnd: (one: DatabaseResult) => {
      tell(one)
      if (one.status !== 'completed') return
      noted.push(catalogs.get(one.database)!.recordStored(platform, one.database, schemaName))
    },
    onWarning: (warning: string) => void warnings.add(warning),
  }
  const job = { platform, id: fleet.origin.requestId, dry_run: false }
  const { value: ended, warnings: newTenants } = await withProof(parts, request, true, () =>
    watched(job, request, parts.tellProgress, (progress) =>
      migrateSites({ ...request, ...progress }, sites),
    ),
  )
  for (const warning of newTenants) warnings.add(warning)
  await Promise.allSettled(noted)
  const left = targets.filter(({ database }) => !ended.has(database))
  for (const { database } of left) tell(untouched(database, 'not_started'))
  const isStopped = left.length > 0 && parts.isEnding()
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
  const told = error && withV2Hint(error)
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
