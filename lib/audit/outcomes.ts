import type { Dump } from '../deploy/drop/dumps.ts'
import type { DatabaseResult } from '../deploy/fleet/results.ts'
import { ALLOWANCES, type DeployResult, functionsChanged } from '../deploy/result.ts'
import type { SchemaForm } from '../http/body/schema-form.ts'

/** Effect of a request, for its audit entry. */
export interface Outcome {
  /** True if nothing was changed; the response then does not wait for the entry to be written. */
  isUnchanged?: boolean
  /** Names of the databases, if they differ from the one that the request names. */
  databases?: string[]
  summary?: Record<string, unknown>
}

const MAX_NAMES = 50

/** Describes a dropped tenant. */
export function describeDrop(dump: Dump | null): Record<string, unknown> {
  return { dropped: true, ...(dump && { dump: dump.file, dump_bytes: dump.bytes }) }
}

/** Describes a request to /register or /migrate. */
export function describeForm({ archive, flags }: SchemaForm): Record<string, unknown> {
  const { allow, repair, retry, dryRun, strict } = flags
  return {
    checksum: archive.checksum,
    ...(allow.size === ALLOWANCES.length && { force: true }),
    ...(allow.size > 0 && { allow: [...allow] }),
    ...(repair && { repair }),
    ...(retry && { retry }),
    ...(dryRun && { dry_run: true }),
    ...(strict && { strict }),
  }
}

/** Describes the effect of /register; undefined means that it failed. */
export function describeRegister(result: DeployResult | undefined): Outcome {
  if (!result) return {}
  if (result.isSuperseded) return { isUnchanged: true, summary: { superseded: true } }
  if (result.isUnchanged) return { isUnchanged: true, summary: { unchanged: true } }
  return {
    summary: {
      ...(result.isBack && { older: true }),
      migrations_applied: result.migrationsApplied.length,
      functions_changed: functionsChanged(result),
      functions_dropped: result.functionsDropped.length,
      seeders_applied: result.seedersApplied.length,
      tables_created: result.tablesCreated.length,
    },
  }
}

/**
 * Describes the effect of /migrate on the databases that it reached, some of which may have failed.
 */
export function describeMigrate(results: DatabaseResult[]): Outcome {
  const failed = results.filter((one) => one.status === 'failed').map((one) => one.database)
  const unchanged = results.filter((one) => one.result?.isUnchanged).length
  return {
    isUnchanged: unchanged === results.length,
    databases: results.map((one) => one.database),
    summary: {
      databases_updated: results.filter((one) => one.status === 'completed').length,
      databases_unchanged: unchanged,
      databases_failed: failed.length,
      ...(failed.length > 0 && { failed: failed.slice(0, MAX_NAMES) }),
    },
  }
}
