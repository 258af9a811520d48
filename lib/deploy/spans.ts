import { databaseName } from '../tenancy/names.ts'
import { type Attributes, type Scope, scopeOfOrigin } from '../tracing/scope.ts'
import type { DeployRequest } from './request.ts'
import { type DeployResult, functionsChanged } from './result.ts'

/** Returns where the spans of a request belong; undefined without tracing. */
export function scopeOfRequest({ span, origin }: DeployRequest): Scope | undefined {
  return span ?? scopeOfOrigin(origin)
}

/** Returns what the span of a deploy says of its request. */
export function deployAttributes({ owner, archive, flags }: DeployRequest): Attributes {
  return {
    'db.system.name': 'postgresql',
    'db.namespace': databaseName(owner),
    'db_gateway.platform': owner.platform,
    'db_gateway.schema.checksum': archive.checksum,
    'db_gateway.dry_run': flags.dryRun,
  }
}

/** Returns what it says of its result. */
export function resultAttributes(result: DeployResult): Attributes {
  return {
    'db_gateway.unchanged': result.isUnchanged,
    'db_gateway.migrations_applied': result.migrationsApplied.length,
    'db_gateway.functions_changed': functionsChanged(result),
  }
}
