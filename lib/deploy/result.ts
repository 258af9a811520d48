import type { TableChange } from './changes/changes.ts'
import type { Look } from './look.ts'
import { type CodeResult, unchangedCode } from './run/code-result.ts'
import type { StepTimes } from './run/step-clock.ts'
import type { TableLock } from './run/table-locks.ts'
import type { Difference } from './tables/columns.ts'

/** Origin of a deploy request, as recorded in the ledger. */
export interface DeployOrigin {
  requestId: string
  address: string
}

/**
 * Conditions that refuse a deploy with 409 unless the request allows them: data loss; an archive
 * that seems to lack a part; an archive older than the one in place.
 */
export const ALLOWANCES = ['data_loss', 'functions_missing', 'older'] as const
export type Allowance = (typeof ALLOWANCES)[number]

/** Options of a deploy request. */
export interface DeployFlags {
  /** Conditions that the request allows. */
  allow: ReadonlySet<Allowance>
  /** Kinds of data loss that are allowed if `allow` does not have data_loss. */
  losses?: ReadonlySet<TableChange['change']>
  /**
   * Keeps all functions, and all objects of files that the archive no longer has. Nothing counts as
   * missing.
   */
  keepsCode?: boolean
  /** Records edited migrations as applied without running them. */
  repair: boolean
  /** Runs a no-transaction migration again that was begun and not finished. */
  retry?: boolean
  /** Runs everything and rolls it back. */
  dryRun: boolean
  /** Requires proof that the archive can create a new tenant before anything is changed. */
  strict: boolean
}

/** Number of rows that seeders inserted into a table. */
export interface SeededTable {
  table: string
  inserted: number
  /** Rows of VALUES lists that were not inserted. */
  skipped: number
}

/** Changes that a deploy made to one database, or that a dry run would make. */
export interface DeployResult extends CodeResult {
  /** Whether the archive was already in place. */
  isUnchanged: boolean
  /** Whether nothing was changed because the archive is older than the one in place. */
  isSuperseded?: boolean
  /**
   * Whether only the functions, views and triggers of the archive were deployed, because it is
   * older than the one that was in place or the deploy is a revert.
   */
  isBack?: boolean
  migrationsApplied: string[]
  migrationsRepaired: string[]
  /** No-transaction migrations, which a dry run cannot run. */
  migrationsNotRun: string[]
  /** Names of the pending migrations, in the order in which they run. */
  migrationsPending: string[]
  typesChanged: string[]
  tablesCreated: string[]
  /** Differences between declared and actual tables; null if the tables were not compared. */
  differences: Difference[] | null
  seedersApplied: string[]
  /** Rows that the seeders inserted; undefined if the deploy did not get to the seeders. */
  seeded?: SeededTable[]
  tableChanges: TableChange[]
  /** Digest of the catalogs; undefined if they may have changed since it was read. */
  look?: Look | undefined
  /** Digest and version of the functions, if they were read after the commit. */
  functions?: { digest: string; version: string } | undefined
  /** How long each step took; undefined if nothing ran, or another database's deploy was repeated. */
  steps?: StepTimes
  /** Strongest lock on each table that the deploy would touch; dry runs only. */
  locks: TableLock[]
  warnings: string[]
  /** Warnings that apply for as long as the archive is in place; a subset of `warnings`. */
  standing: string[]
}

/**
 * Returns the result of a deploy whose archive is already in place, with the warnings that still
 * apply.
 */
export function unchangedResult(functionsDeployed: number, standing: string[] = []): DeployResult {
  return {
    isUnchanged: true,
    migrationsApplied: [],
    migrationsRepaired: [],
    migrationsNotRun: [],
    migrationsPending: [],
    typesChanged: [],
    tablesCreated: [],
    differences: null,
    ...unchangedCode(functionsDeployed),
    seedersApplied: [],
    tableChanges: [],
    locks: [],
    warnings: [...standing],
    standing,
  }
}

/** Returns the number of functions that a deploy created or replaced. */
export function functionsChanged(result: DeployResult): number {
  return result.functionsCreated.length + result.functionsReplaced.length
}

/** Returns the plan of a dry run in the form of the HTTP response. */
export function toPlan(database: string, result: DeployResult, executionTimeMs: number) {
  const seen = new Set([...result.migrationsApplied, ...result.migrationsNotRun])
  return {
    database,
    pending_migrations: result.migrationsPending.filter((name) => seen.has(name)),
    migrations_not_run: result.migrationsNotRun,
    migrations_repaired: result.migrationsRepaired,
    types: result.typesChanged,
    functions: {
      create: result.functionsCreated,
      change: result.functionsReplaced,
      drop: result.functionsDropped,
    },
    views: { change: result.viewsChanged, drop: result.viewsDropped },
    others: { change: result.othersChanged, drop: result.othersDropped },
    tables_created: result.tablesCreated,
    table_changes: result.tableChanges.map(withoutOid),
    schema_validation: result.differences,
    pending_seeders: result.seedersApplied,
    locks: result.locks,
    warnings: result.warnings,
    execution_time_ms: executionTimeMs,
  }
}

/** Removes the catalog's numbers from a change; responses and the ledger do not have them. */
export function withoutOid({
  oid: _,
  number: __,
  ...change
}: TableChange): Omit<TableChange, 'oid' | 'number'> {
  return change
}
