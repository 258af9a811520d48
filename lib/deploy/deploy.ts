import { createHash } from 'node:crypto'
import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { endsConnection, fromPostgres, isConnectionLost } from '../postgres/errors.ts'
import { deployCode } from './code.ts'
import { countLosses, dataLossError } from './data-loss.ts'
import { readDirectives } from './directives.ts'
import { createExtensions } from './extensions.ts'
import { countFunctions, readLedger } from './ledger.ts'
import { LedgerWriter } from './ledger-writer.ts'
import { readLocks } from './locks.ts'
import {
  findPending,
  migrationWarnings,
  repairMigrations,
  runMigrations,
  runOutsideTransaction,
} from './migrations.ts'
import {
  type DeployFlags,
  type DeployOrigin,
  type DeployResult,
  functionsChanged,
  unchangedResult,
  withoutOid,
} from './result.ts'
import { runSeeders, seederWarnings } from './seeders.ts'
import { isLockTimeout, openDeploySession } from './session.ts'
import { ChangeFound, LossFound, TableWatch } from './table-watch.ts'
import { deployTables, type TablesResult } from './tables.ts'
import type { TimeLimit } from './time-limit.ts'
import { deployTypes } from './types.ts'

/** One archive to bring into one database. */
export interface Job {
  database: string
  /** What its ledger takes. */
  ledgerKey: string
  archive: SchemaArchive
  flags: DeployFlags
  /** This very request created the database: it has nothing to lose. */
  isNew: boolean
  /** How long a statement waits for a lock, in milliseconds. */
  lockTimeoutMs: number
  /** How long all of it may take. */
  limit: TimeLimit
  origin: DeployOrigin
}

/** After a lock timeout everything is rolled back, and tried again after these pauses. */
const LOCK_RETRY_PAUSES_MS = [500, 1000, 2000]

/**
 * Brings a database to the archive's schema, under a lock that lets one deploy at a time into it:
 * in one transaction, so that all of it is done or nothing is. (Migrations that ask to run outside
 * of a transaction divide it there.) What came of it is written into the database's own ledger.
 * The session is not as it was afterwards: close the connection.
 * @throws {GatewayError} saying which file failed, and where; data_loss
 */
export async function deploy(sql: Sql, job: Job): Promise<DeployResult> {
  const started = performance.now()
  try {
    return await job.limit.over(async () => {
      await openDeploySession(sql, job.lockTimeoutMs, job.limit)
      return deployPatiently(sql, job, started)
    })
  } catch (error) {
    const failure = fromPostgres(error, job.database)
    const isLost = endsConnection(error) || isConnectionLost(failure)
    const isKept = !job.flags.dryRun && !job.isNew && !isLost
    if (isKept) await recordFailure(sql, job, failure, started)
    throw failure
  }
}

/** A migration that waits for a lock must not hold up all live traffic behind it for long. */
async function deployPatiently(sql: Sql, job: Job, started: number): Promise<DeployResult> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await deployCarefully(sql, job, started)
    } catch (error) {
      const pause = LOCK_RETRY_PAUSES_MS[attempt]
      if (!isLockTimeout(error) || pause === undefined) throw error
      await sql.unsafe('rollback')
      await new Promise((resolve) => setTimeout(resolve, pause))
      job.limit.check()
    }
  }
}

/**
 * Where a deploy would lose data, it is rolled back to count the rows that it is about. With none,
 * it is run again; and so it is where it changes tables and was not expected to.
 */
async function deployCarefully(sql: Sql, job: Job, started: number): Promise<DeployResult> {
  try {
    return await deployOnce(sql, job, started)
  } catch (error) {
    if (!(error instanceof ChangeFound)) return afterLoss(sql, job, started, error)
    await sql.unsafe('rollback')
  }
  try {
    return await deployOnce(sql, job, started, true)
  } catch (error) {
    return afterLoss(sql, job, started, error)
  }
}

async function afterLoss(
  sql: Sql,
  job: Job,
  started: number,
  error: unknown,
): Promise<DeployResult> {
  if (!(error instanceof LossFound)) throw error
  await sql.unsafe('rollback')
  const losses = await countLosses(sql, error.losses, error.before)
  if (losses.length > 0) throw dataLossError(job.database, losses)
  return deployOnce(sql, { ...job, flags: { ...job.flags, force: true } }, started, true)
}

async function deployOnce(
  sql: Sql,
  job: Job,
  started: number,
  watchClosely = false,
): Promise<DeployResult> {
  const { database, archive, flags } = job
  const { files } = archive
  const writer = new LedgerWriter(sql, job.ledgerKey)
  await sql.unsafe('begin')
  const ledger = await readLedger(sql)
  if (ledger.archiveChecksum === archive.checksum && !flags.repair) {
    await sql.unsafe('rollback')
    return unchangedResult(countFunctions(ledger))
  }

  const result: DeployResult = { ...unchangedResult(0), isUnchanged: false }
  const pending = findPending(database, files.migrations, ledger, flags.repair)
  const tablesChecksum = checksumOf(files.tables)
  const isTablesDue =
    files.tables.length > 0 && (tablesChecksum !== ledger.tablesChecksum || pending.length > 0)
  const changesTables = pending.length > 0 || isTablesDue || watchClosely
  const watching = job.isNew ? 'not at all' : changesTables ? 'closely' : 'from afar'
  const watch = await TableWatch.start(sql, watching, flags.force)
  if (flags.repair) {
    result.migrationsRepaired = await repairMigrations(writer, files.migrations, ledger)
  }

  await createExtensions(sql, database, files.extensions)
  const types = await deployTypes(sql, database, files.types, ledger.types)
  if (files.types.length > 0) await writer.setTypes(files.types)
  result.typesChanged = [...types.created, ...types.changed]

  await runPending(sql, writer, job, pending, watch, result)

  if (isTablesDue) {
    const key = `${tablesChecksum} ${await watch.fingerprint()}`
    const tables = compared.get(key) ?? (await deployTables(sql, database, files.tables))
    rememberComparison(key, tables)
    result.tablesCreated = tables.created
    result.differences = tables.differences
    result.warnings.push(...tables.warnings)
  }

  Object.assign(result, await deployCode(sql, writer, database, archive, ledger))
  result.seedersApplied = await runSeeders(sql, writer, database, files.seeders, ledger)
  result.tableChanges = await watch.finish()
  result.warnings.push(
    ...types.warnings,
    ...migrationWarnings(files.migrations, ledger),
    ...seederWarnings(files.seeders, ledger),
  )

  if (flags.dryRun) {
    result.locks = await readLocks(sql, watch.before)
    await sql.unsafe('rollback')
    return result
  }
  await writer.addDeployment({
    ...job.origin,
    ...result,
    status: 'completed',
    archiveChecksum: archive.checksum,
    tablesChecksum,
    functionsChanged: functionsChanged(result),
    tableChanges: result.tableChanges.map(withoutOid),
    error: null,
    executionTimeMs: Math.round(performance.now() - started),
  })
  await sql.unsafe('commit')
  return result
}

/**
 * What comparing declarations with tables came to. The databases of a fleet have the same tables,
 * and PostgreSQL works longer for this than for the rest of most deploys.
 */
const compared = new Map<string, TablesResult>()
const MAX_COMPARED = 100

function rememberComparison(key: string, tables: TablesResult): void {
  // Where tables had to be created, the next database has to have that done too.
  if (tables.created.length > 0) return
  if (compared.size >= MAX_COMPARED) compared.clear()
  compared.set(key, tables)
}

/** Runs the pending migrations; one that asks for no transaction divides the deploy in two. */
async function runPending(
  sql: Sql,
  writer: LedgerWriter,
  { database, flags }: Job,
  pending: SchemaFile[],
  watch: TableWatch,
  result: DeployResult,
): Promise<void> {
  for (const group of groupByTransaction(pending)) {
    const first = group[0]!
    if (!readDirectives(first).noTransaction) {
      const steps = await runMigrations(sql, writer, database, group, watch.watching === 'closely')
      for (const { file, tables } of steps) watch.see(tables, readDirectives(file).allowDataLoss)
      result.migrationsApplied.push(...group.map((file) => file.name))
    } else if (flags.dryRun) {
      result.migrationsNotRun.push(first.name)
    } else {
      watch.assertNothingLost()
      await sql.unsafe('commit')
      await runOutsideTransaction(sql, writer, database, first)
      await sql.unsafe('begin')
      await watch.look(true)
      result.migrationsApplied.push(first.name)
    }
  }
}

/** Neighbours that share a transaction; one that runs outside of any stands alone. */
function groupByTransaction(files: SchemaFile[]): SchemaFile[][] {
  const groups: SchemaFile[][] = []
  let isOpen = false
  for (const file of files) {
    const standsAlone = readDirectives(file).noTransaction
    if (isOpen && !standsAlone) groups.at(-1)?.push(file)
    else groups.push([file])
    isOpen = !standsAlone
  }
  return groups
}

/** A failed deploy leaves its row too: what was tried, and why it failed. */
async function recordFailure(sql: Sql, job: Job, failure: unknown, started: number): Promise<void> {
  const error =
    failure instanceof GatewayError
      ? failure.toJSON()
      : { error: 'internal_error', message: String(failure) }
  try {
    await sql.unsafe('rollback')
    await new LedgerWriter(sql, job.ledgerKey).addDeployment({
      ...job.origin,
      ...unchangedResult(0),
      status: 'failed',
      archiveChecksum: job.archive.checksum,
      tablesChecksum: null,
      functionsChanged: 0,
      error,
      executionTimeMs: Math.round(performance.now() - started),
    })
  } catch {
    // The failure itself is what has to be told; without a connection there is no row.
  }
}

function checksumOf(files: SchemaFile[]): string {
  const lines = files.map(({ path, checksum }) => `${path} ${checksum}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}
