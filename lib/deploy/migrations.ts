import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { fileFailure } from './failure.ts'
import { type Ledger, recordMigration } from './ledger.ts'
import { answers } from './pipeline.ts'
import { parseScripts, sendScript } from './run-file.ts'

/**
 * Runs the migrations that the database has not had, in order.
 * @returns the names of those it ran
 * @throws {GatewayError} migration_checksum_mismatch where an applied one has been edited since;
 *   migration_failed
 */
export async function runMigrations(
  sql: Sql,
  database: string,
  files: SchemaFile[],
  ledger: Ledger,
): Promise<string[]> {
  for (const file of files) checkUnedited(database, file, ledger)
  const pending = files.filter((file) => !ledger.migrations.has(file.name))
  for (const script of await parseScripts('migration_failed', 'Migration', pending)) {
    try {
      await answers([...sendScript(sql, script), recordMigration(sql, script.file)])
    } catch (error) {
      throw fileFailure('migration_failed', 'Migration', database, error)
    }
  }
  return pending.map((file) => file.name)
}

/** Names what is unusual about the migrations, for people. */
export function migrationWarnings(files: SchemaFile[], ledger: Ledger): string[] {
  const names = new Set(files.map((file) => file.name))
  const unknown = [...ledger.migrations.keys()].filter((name) => !names.has(name))
  const warnings: string[] = []
  if (unknown.length > 0) {
    warnings.push(`Applied migrations that the archive does not have: ${unknown.join(', ')}`)
  }
  const lastApplied = files.findLastIndex((file) => ledger.migrations.has(file.name))
  const late = files.slice(0, lastApplied + 1).filter((file) => !ledger.migrations.has(file.name))
  if (late.length > 0) {
    warnings.push(
      `Migrations that sort before applied ones were run after them: ${late.map((file) => file.name).join(', ')}`,
    )
  }
  return warnings
}

function checkUnedited(database: string, file: SchemaFile, ledger: Ledger): void {
  const applied = ledger.migrations.get(file.name)
  if (applied === undefined || applied === file.checksum) return
  throw new GatewayError(
    'migration_checksum_mismatch',
    `Migration ${file.name} has been edited since it was applied; put the change into a new migration`,
    {
      database,
      file: file.path,
      applied_checksum: applied,
      archive_checksum: file.checksum,
    },
  )
}
