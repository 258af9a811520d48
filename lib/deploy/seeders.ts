import type { SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { fileFailure } from './failure.ts'
import type { Ledger } from './ledger.ts'
import type { LedgerWriter } from './ledger-writer.ts'
import { type Ask, parseScripts, runScripts } from './run-file.ts'

/**
 * Runs the seeders that the database has not had, in order; each once.
 * @returns the names of those it ran
 * @throws {GatewayError} seeder_failed; data_loss
 */
export async function runSeeders(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  files: SchemaFile[],
  ledger: Ledger,
  ask: Ask,
): Promise<string[]> {
  const pending = files.filter((file) => !ledger.seeders.has(file.name))
  for (const script of await parseScripts('seeder_failed', 'Seeder', pending)) {
    try {
      await runScripts(sql, [script], ask)
    } catch (error) {
      throw fileFailure('seeder_failed', 'Seeder', database, error)
    }
  }
  for (const file of pending) writer.setFile('seeders', file)
  return pending.map((file) => file.name)
}

/** Names the seeders that have been edited since they ran: they do not run again. */
export function seederWarnings(files: SchemaFile[], ledger: Ledger): string[] {
  return files
    .filter((file) => {
      const applied = ledger.seeders.get(file.name)
      return applied !== undefined && applied !== file.checksum
    })
    .map((file) => `Seeder ${file.name} has been edited since it ran; it does not run again`)
}
