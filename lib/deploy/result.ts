import type { TableChange } from './changes/changes.ts'
import type { Look } from './look.ts'
import { type CodeResult, unchangedCode } from './run/code-result.ts'
import type { TableLock } from './run/locks.ts'
import type { Difference } from './tables/columns.ts'

/** Who asked for a deploy; it stands in the ledger. */
export interface DeployOrigin {
  requestId: string
  address: string
}

/**
 * What would be a 409 otherwise: losing data; an archive of which a part seems to be missing; one
 * that is older than what is in place.
 */
export const ALLOWANCES = ['data_loss', 'functions_missing', 'older'] as const
export type Allowance = (typeof ALLOWANCES)[number]

/** What the request says of how to deploy. */
export interface DeployFlags {
  /** What the deploy may do all the same. */
  allow: ReadonlySet<Allowance>
  /** Losses that are allowed where `allow` has not all of them. */
  losses?: ReadonlySet<TableChange['change']>
  /** Functions, and what came from files that are gone, stay. Nothing counts as missing. */
  keepsCode?: boolean
  /** Edited migrations are taken for what was applied, without running them. */
  repair: boolean
  /** A migration outside of a transaction that was begun and not finished runs again. */
  retry?: boolean
  /** Everything is run and rolled back. */
  dryRun: boolean
  /** A new tenant has to be possible with the archive before anything is touched. */
  strict: boolean
}

/** What seeders did to a table, in rows. */
export interface SeededTable {
  table: string
  inserted: number
  /** Of VALUES lists: those that were there. */
  skipped: number
}

/** What a deploy did to one database, or with `dryRun` would do. */
export interface DeployResult extends CodeResult {
  /** The archive was in place already. */
  isUnchanged: boolean
  /** The archive is older than the one in place; nothing was changed. */
  isSuperseded?: boolean
  /** The archive is older than the one that was in place: its code alone was deployed. */
  isBack?: boolean
  migrationsApplied: string[]
  migrationsRepaired: string[]
  /** Migrations outside of a transaction: a dry run cannot run them. */
  migrationsNotRun: string[]
  /** In the order of the deploy. */
  migrationsPending: string[]
  typesChanged: string[]
  tablesCreated: string[]
  /** Declaration against database; null where there was no reason to look. */
  differences: Difference[] | null
  seedersApplied: string[]
  /** What the seeders did; undefined of a deploy of before. */
  seeded?: SeededTable[]
  tableChanges: TableChange[]
  /** What the catalogs are known by, where nothing has changed them since. */
  look?: Look | undefined
  /** What the functions are known by, where that was read after the commit. */
  functions?: { digest: string; version: string } | undefined
  /** Of a dry run: the strongest lock on each table that the deploy would touch. */
  locks: TableLock[]
  warnings: string[]
  /** Of the warnings, those that hold for as long as the archive is in place. */
  standing: string[]
}

/** The result of a deploy that finds the archive in place; it warns of what holds still. */
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

/** Functions that a deploy had to touch. */
export function functionsChanged(result: DeployResult): number {
  return result.functionsCreated.length + result.functionsReplaced.length
}

/** The plan of a dry run, as it is answered. */
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

/** A change as it is answered and kept: the numbers of the catalogs are for the gateway alone. */
export function withoutOid({
  oid: _,
  number: __,
  ...change
}: TableChange): Omit<TableChange, 'oid' | 'number'> {
  return change
}
