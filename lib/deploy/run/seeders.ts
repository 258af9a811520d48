import type { SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { fileFailure } from '../failure.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import { readSeeds, SeedCount } from '../plan/seeds.ts'
import type { SeededTable } from '../result.ts'
import { sequenceWarnings } from './behind-sequences.ts'
import { type Ask, parseScripts, runScripts } from './run-file.ts'
import { findSeeded } from './seeded.ts'
import type { DeploySession } from './session.ts'

/**
 * Runs the pending seeders in order. In a database that existed before the gateway, seeders that
 * count as run there are only recorded.
 * @param warnings gets a line for each seeder that was only recorded, and for each sequence that is
 *   behind the inserted rows
 * @returns the names of the seeders that ran, and the rows that they inserted
 * @throws {GatewayError} seeder_failed; data_loss
 */
export async function runSeeders(
  sql: Sql,
  session: DeploySession,
  writer: LedgerWriter,
  database: string,
  files: SchemaFile[],
  ledger: Ledger,
  ask: Ask,
  warnings: string[],
): Promise<{ applied: string[]; seeded: SeededTable[] }> {
  const pending = files.filter((file) => !ledger.seeders.has(file.name))
  const scripts = await parseScripts('seeder_failed', 'Seeder', pending)
  const seeded = ledger.isTakenOver ? await findSeeded(sql, scripts) : new Set<SchemaFile>()
  warnings.push(...[...seeded].map(seededWarning))
  const seeds = await readSeeds(scripts)
  const count = new SeedCount(seeds)
  for (const script of scripts.filter(({ file }) => !seeded.has(file))) {
    try {
      await runScripts(sql, session, [script], ask, undefined, undefined, count.onRows)
    } catch (error) {
      throw fileFailure('seeder_failed', 'Seeder', database, error)
    }
  }
  const ran = new Set(
    scripts.flatMap(({ file, statements }) => (seeded.has(file) ? [] : statements)),
  )
  const tables = seeds.flatMap(({ statement, table }) => (ran.has(statement) ? table : []))
  warnings.push(...(await sequenceWarnings(sql, [...new Set(tables)])))
  for (const file of pending) writer.setFile('seeders', file)
  const applied = pending.filter((file) => !seeded.has(file)).map((file) => file.name)
  return { applied, seeded: count.tables() }
}

function seededWarning({ path }: SchemaFile): string {
  return `${path} counts as run and was only recorded: the database is older than this gateway, and the tables that it inserts into have rows or are not known`
}

/** Returns a warning for each seeder that has been edited since it ran; it does not run again. */
export function seederWarnings(files: SchemaFile[], ledger: Ledger): string[] {
  return files
    .filter((file) => {
      const applied = ledger.seeders.get(file.name)
      return applied !== undefined && applied !== file.checksum
    })
    .map((file) => `Seeder ${file.name} has been edited since it ran; it does not run again`)
}
