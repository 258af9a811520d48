import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { endsConnection } from '../postgres/errors.ts'
import { answers } from '../postgres/pipeline.ts'
import { readDirectives } from './directives.ts'
import { fileFailure } from './failure.ts'
import type { Ledger } from './ledger.ts'
import type { LedgerWriter } from './ledger-writer.ts'
import { type Ask, parseScripts, runScripts, type Script, sendScript } from './run-file.ts'

/**
 * The migrations that the database has not had, in order.
 * @throws {GatewayError} migration_checksum_mismatch where an applied one has been edited since;
 *   migration_failed where one outside a transaction has not come to its end
 */
export function findPending(
  database: string,
  files: SchemaFile[],
  ledger: Ledger,
  repair: boolean,
): SchemaFile[] {
  if (!repair) for (const file of files) checkApplied(database, file, ledger)
  return files.filter((file) => !ledger.migrations.has(file.name))
}

/**
 * Runs migrations inside the open transaction.
 * @throws {GatewayError} migration_failed; data_loss
 */
export async function runMigrations(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  files: SchemaFile[],
  ask: Ask,
): Promise<void> {
  const scripts = await parseScripts('migration_failed', 'Migration', files)
  try {
    await runScripts(sql, scripts, ask)
  } catch (error) {
    throw fileFailure('migration_failed', 'Migration', database, error)
  }
  for (const file of files) writer.setMigration(file)
}

/**
 * Asks about all statements of a migration that is to run outside of any transaction, so that one
 * that is refused has not begun.
 * @throws {GatewayError} data_loss; migration_failed
 */
export async function askOutsideTransaction(
  database: string,
  file: SchemaFile,
  ask: Ask,
): Promise<void> {
  const [script] = await parseScripts('migration_failed', 'Migration', [file])
  try {
    for (const statement of script!.statements) await ask(file, statement)
  } catch (error) {
    throw fileFailure('migration_failed', 'Migration', database, error)
  }
}

/**
 * Runs a migration outside of any transaction, statement by statement. The ledger shows it as begun
 * before it runs, and what became of it.
 * @throws {GatewayError} migration_failed; data_loss
 */
export async function runOutsideTransaction(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  file: SchemaFile,
  ask: Ask,
): Promise<void> {
  const [script] = await parseScripts('migration_failed', 'Migration', [file])
  try {
    await runOneByOne(sql, script!, ask)
  } catch (error) {
    if (!endsConnection(error)) {
      await sql.unsafe('rollback')
      writer.setMigration(file, 'begun', (error as Error).message)
      await writer.send()
    }
    throw withHint(fileFailure('migration_failed', 'Migration', database, error))
  }
  writer.setMigration(file)
  await writer.send()
}

/**
 * A statement that may lose data has a transaction of its own, so that nothing is written between
 * the question and the statement; DETACH PARTITION CONCURRENTLY alone cannot have one.
 */
async function runOneByOne(sql: Sql, { file, statements }: Script, ask: Ask): Promise<void> {
  for (const statement of statements) {
    const run = () => answers(sendScript(sql, { file, statements: [statement] }))
    if (statement.risks.length === 0) {
      await run()
      continue
    }
    const isSeparate = statement.risks.some((risk) => risk.kind === 'detach' && risk.isConcurrent)
    await sql.unsafe('begin')
    await ask(file, statement)
    if (!isSeparate) await run()
    await sql.unsafe('commit')
    if (isSeparate) await run()
  }
}

/**
 * Takes the files as they are now for what was applied, without running them.
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

/** Names what is unusual about the migrations, for people. */
export function migrationWarnings(files: SchemaFile[], ledger: Ledger): string[] {
  const warnings = files.flatMap((file) =>
    readDirectives(file).unknown.map(
      (word) => `Migration ${file.name}: "-- gateway: ${word}" means nothing`,
    ),
  )
  const names = new Set(files.map((file) => file.name))
  const unknown = [...ledger.migrations.keys()].filter((name) => !names.has(name))
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

function checkApplied(database: string, file: SchemaFile, ledger: Ledger): void {
  const applied = ledger.migrations.get(file.name)
  if (!applied) return
  if (applied.status === 'begun') throw unfinished(database, file, applied.error)
  // The original gateway took the checksum of the bytes, whatever the line ends.
  if (applied.checksum === file.checksum || applied.checksum === file.rawChecksum) return
  throw new GatewayError(
    'migration_checksum_mismatch',
    `Migration ${file.name} has been edited since it was applied`,
    {
      database,
      file: file.path,
      applied_checksum: applied.checksum,
      archive_checksum: file.checksum,
      hint:
        'Put the change into a new migration; or send repair=true to take the new text for what ' +
        'was applied, without running it',
    },
  )
}

const WHAT_TO_DO =
  'It runs outside a transaction, so part of it may be done. Look at what it left behind (such as ' +
  'an invalid index), finish it by hand and send repair=true to have it taken as applied; or undo ' +
  'it and delete its row from _db_gateway_migrations to have it run again'

function unfinished(database: string, file: SchemaFile, error: string | null): GatewayError {
  return new GatewayError('migration_failed', `Migration ${file.name} was begun and not finished`, {
    database,
    file: file.path,
    cause: error ?? 'The gateway or PostgreSQL was stopped while it ran',
    hint: WHAT_TO_DO,
  })
}

function withHint(error: unknown): unknown {
  if (!(error instanceof GatewayError)) return error
  const { code, message, details } = error
  if (code === 'migration_failed')
    return new GatewayError(code, message, { ...details, hint: WHAT_TO_DO })
  if (code !== 'data_loss') return error
  return new GatewayError(code, message, { ...details, hint: `${WHAT_TO_DO}. ${details.hint}` })
}
