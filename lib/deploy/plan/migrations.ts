import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { FOREIGN_CHECKSUM, nameInOriginal } from '../ledger/original.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import type { DeployFlags } from '../result.ts'
import { unfinished } from '../run/unfinished.ts'
import { readDirectives } from './directives.ts'
import { isWayBack, wayBackWarnings } from './way-back.ts'

/** Pending migrations, in the order in which they run. */
export interface Pending {
  files: SchemaFile[]
  /** Migrations that were applied under another name: new name → old name. */
  renamed: Map<string, string>
  /**
   * Migrations that an original gateway applied; this deploy replaces their recorded checksums by
   * the ledger's own.
   */
  taken: SchemaFile[]
}

/**
 * Returns the pending migrations. A file with the text of an applied migration counts as the same
 * migration under a new name. Files that undo migrations never run; see way-back.ts.
 * @throws {GatewayError} migration_checksum_mismatch if an applied migration has been edited;
 *   migration_failed if a no-transaction migration was begun and not finished
 */
export function findPending(
  database: string,
  files: SchemaFile[],
  ledger: Ledger,
  flags: Pick<DeployFlags, 'repair' | 'retry'>,
): Pending {
  if (!flags.repair) for (const file of files) checkApplied(database, file, ledger, flags.retry)
  const names = new Set(files.map(({ name }) => name))
  const unclaimed = new Map<string, string[]>()
  for (const [name, { checksum, status }] of ledger.migrations) {
    if (names.has(name) || status !== 'applied') continue
    unclaimed.set(checksum, [...(unclaimed.get(checksum) ?? []), name])
  }
  const foreign = new Map<string, string>()
  for (const [name, { checksum }] of ledger.migrations) {
    if (!names.has(name)) foreign.set(name, checksum)
  }
  const renamed = new Map<string, string>()
  const pending = files.filter((file) => {
    if (isWayBack(file, names)) return false
    const known = ledger.migrations.get(file.name)
    if (known) return known.status === 'begun' && !flags.repair
    const before =
      unclaimed.get(file.checksum)?.shift() ??
      unclaimed.get(file.rawChecksum)?.shift() ??
      nameInOriginal(file, foreign, files)
    if (before !== undefined) {
      renamed.set(file.name, before)
      foreign.delete(before)
    }
    return before === undefined
  })
  const isForeign = (name: string) =>
    ledger.migrations.get(name)?.checksum.startsWith(FOREIGN_CHECKSUM) === true
  const taken = files.filter(({ name }) => isForeign(name) || isForeign(renamed.get(name) ?? ''))
  return { files: pending, renamed, taken }
}

/**
 * Records the present texts of edited migrations as applied, without running them.
 * @returns their names
 */
export function repairMigrations(
  writer: LedgerWriter,
  files: SchemaFile[],
  ledger: Ledger,
): string[] {
  const differing = files.filter((file) => {
    const applied = ledger.migrations.get(file.name)
    return applied && (applied.checksum !== file.checksum || applied.status !== 'applied')
  })
  for (const file of differing) writer.setMigration(file)
  return differing.map((file) => file.name)
}

/** Returns warnings about the order, names and directives of migrations. */
export function migrationWarnings(
  files: SchemaFile[],
  ledger: Ledger,
  { files: pending, renamed }: Pending,
): string[] {
  const warnings = files.flatMap(directiveWarnings)
  const isApplied = ({ name }: SchemaFile) => ledger.migrations.has(name) || renamed.has(name)
  const lastApplied = files.findLastIndex(isApplied)
  const late = pending.filter((file) => files.indexOf(file) < lastApplied)
  if (late.length > 0) {
    warnings.push(
      `Migrations that sort before already applied ones ran after them: ${late.map((file) => file.name).join(', ')}`,
    )
  }
  for (const [name, before] of renamed) {
    warnings.push(`Migration ${name} was applied as ${before}; it did not run again`)
  }
  return [
    ...warnings,
    ...wayBackWarnings(files, ledger.migrations),
    ...orderWarnings(files, pending),
  ]
}

/** Returns a warning that names the applied migrations that the archive does not have. */
export function unknownMigrations(
  files: SchemaFile[],
  ledger: Ledger,
  { renamed }: Pending,
): string[] {
  const names = new Set([...files.map((file) => file.name), ...renamed.values()])
  const unknown = [...ledger.migrations.keys()].filter((name) => !names.has(name))
  return unknown.length === 0
    ? []
    : [`Applied migrations that the archive does not have: ${unknown.join(', ')}`]
}

/** Returns a warning for each line that is meant for a directive and is none. */
export function directiveWarnings(file: SchemaFile): string[] {
  const { unknown, misspelt, isLate } = readDirectives(file)
  const warnings = unknown.map(
    (word) => `Migration ${file.name}: "-- gateway: ${word}" is not a directive`,
  )
  for (const line of misspelt) {
    warnings.push(
      `Migration ${file.name}: "${line}" is not a directive; directives begin with "-- gateway:"`,
    )
  }
  if (isLate) {
    warnings.push(
      `Migration ${file.name}: a line "-- gateway: …" after the first statement has no effect; write it before`,
    )
  }
  return warnings
}

/**
 * Returns warnings about migrations of this deploy whose order does not follow from their numbers.
 */
function orderWarnings(files: SchemaFile[], pending: SchemaFile[]): string[] {
  const byNumber = new Map<string | undefined, SchemaFile[]>()
  for (const file of files) {
    const number = numberOf(file.name)
    byNumber.set(number, [...(byNumber.get(number) ?? []), file])
  }
  const warnings: string[] = []
  for (const [number, same] of byNumber) {
    const ran = same.filter((file) => pending.includes(file))
    if (ran.length === 0) continue
    if (number === undefined) {
      warnings.push(
        `Migrations without a number run after all others: ${ran.map(({ name }) => name).join(', ')}`,
      )
    } else if (same.length > 1) {
      warnings.push(
        `Migrations with the same number run in the order of their names: ${same.map(({ name }) => name).join(', ')}`,
      )
    }
  }
  return warnings
}

/**
 * Returns the folder and the file name up to the end of its number or date, without leading zeros;
 * undefined for a name without digits.
 */
export function numberOf(name: string): string | undefined {
  if (/\.down\.[^./]+$/i.test(name)) return name
  const [, folder = '', prefix = '', number] =
    /^(.*\/)?([^\d/]*)(\d+(?:[-_.]\d+)*)[^/]*$/.exec(name) ?? []
  if (number !== undefined) return `${folder}${prefix}${number.replace(/^0+/, '')}`
  return /\d/.test(name) ? name : undefined
}

function checkApplied(
  database: string,
  file: SchemaFile,
  ledger: Ledger,
  retry: boolean | undefined,
): void {
  const applied = ledger.migrations.get(file.name)
  if (!applied) return
  // Checksums of an original gateway are never compared: some are of the file's bytes, others of a
  // normalised text.
  if (applied.checksum.startsWith(FOREIGN_CHECKSUM)) return
  const isSame = applied.checksum === file.checksum || applied.checksum === file.rawChecksum
  if (applied.status === 'begun') {
    if (isSame && !retry) throw unfinished(database, file, applied.error)
    return
  }
  if (isSame) return
  throw new GatewayError(
    'migration_checksum_mismatch',
    `Migration ${file.name} has been edited since it was applied`,
    {
      database,
      file: file.path,
      applied_checksum: applied.checksum,
      archive_checksum: file.checksum,
      hint:
        'Put the change into a new migration, or send repair=true to record the new text as ' +
        'applied without running it',
    },
  )
}
