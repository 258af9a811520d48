import type { LogFields } from '../log.ts'
import { databaseName } from '../tenancy/names.ts'
import { ownerFields } from '../tenancy/owner-identity.ts'
import { scopeOfOrigin } from '../tracing/scope.ts'
import type { DeployRequest } from './request.ts'
import { type DeployResult, functionsChanged } from './result.ts'

/** Returns the log fields of a deploy that say what was deployed, whereto, for whom, and its time. */
export function requestFields(
  { owner, archive, origin }: Pick<DeployRequest, 'owner' | 'archive' | 'origin'>,
  ms: number,
): LogFields {
  return {
    ...ownerFields(owner),
    database: databaseName(owner),
    checksum: archive.checksum,
    ms,
    request_id: origin.requestId,
    trace_id: scopeOfOrigin(origin)?.traceId,
    address: origin.address,
  }
}

/** Returns the log fields of a deploy that say what it did. */
export function resultFields(result: DeployResult): LogFields {
  return {
    migrations_applied: result.migrationsApplied.length,
    migrations_repaired: result.migrationsRepaired.join(' ') || undefined,
    functions_deployed: result.functionsDeployed,
    functions_changed: functionsChanged(result),
    functions_dropped: result.functionsDropped.length,
    seeders_applied: result.seedersApplied.length,
  }
}
