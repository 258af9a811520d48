import { createHash } from 'node:crypto'
import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { endsConnection, fromPostgres, isConnectionLost } from '../postgres/errors.ts'
import { answers, send } from '../postgres/pipeline.ts'
import { deployCode } from './code.ts'
import { createExtensions } from './extensions.ts'
import { countFunctions, readKeyNumber, readLedger } from './ledger.ts'
import { LedgerWriter } from './ledger-writer.ts'
import { readLocks } from './locks.ts'
import { findPending, migrationWarnings, repairMigrations } from './migrations.ts'
import { checkNothingMissing } from './missing.ts'
import { goBack } from './older/go-back.ts'
import { findSuperseding } from './older/ledger.ts'
import type { Older } from './older/older.ts'
import { runsOnlyCode } from './only-code.ts'
import { runPending } from './pending.ts'
import {
  type Allowance,
  type DeployFlags,
  type DeployOrigin,
  type DeployResult,
  functionsChanged,
  unchangedResult,
  withoutOid,
} from './result.ts'
import { runSeeders, seederWarnings } from './seeders.ts'
import { isLockTimeout, openDeploySession } from './session.ts'
import { TableWatch } from './table-watch.ts'
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
  /** What to do where the archive is older than the one in place; undefined: that is not asked. */
  older?: Older
  /** This very request created the database: it has nothing to lose. */
  isNew: boolean
  /** How long a statement waits for a lock, in milliseconds. */
  lockTimeoutMs: number
  /** How long all of it may take. */
  limit: TimeLimit
  origin: DeployOrigin
  /** Called in its transaction, before it commits another type of a column: see retire-sessions.ts. */
  retire: () => Promise<void>
}

/** After a lock timeout everything is rolled back, and tried again after these pauses. */
const LOCK_RETRY_PAUSES_MS = [500, 1000, 2000]

/**
 * Brings a database to the archive's schema, under a lock that lets one deploy at a time into it:
 * in one transaction, so that all of it is done or nothing is. (Migrations that ask to run outside
 * of a transaction divide it there.) What came of it is written into the database's own ledger.
 * The session is not as it was afterwards: close the connection.
 * @throws {GatewayError} saying which file failed, and where; data_loss; functions_missing
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
      return await deployOnce(sql, job, started)
    } catch (error) {
      const pause = LOCK_RETRY_PAUSES_MS[attempt]
      if (!isLockTimeout(error) || pause === undefined) throw error
      await sql.unsafe('rollback')
      await new Promise((resolve) => setTimeout(resolve, pause))
      job.limit.check()
    }
  }
}

async function deployOnce(sql: Sql, job: Job, started: number): Promise<DeployResult> {
  const { database, archive, flags } = job
  const { files } = archive
  await sql.unsafe('begin')
  const [ledger, superseding] = await Promise.all([
    readLedger(sql),
    job.older && findSuperseding(sql, archive.checksum),
  ])
  const writer = new LedgerWriter(sql, job.ledgerKey, ledger.keyNumber)
  if (ledger.archiveChecksum === archive.checksum && !flags.repair) {
    await sql.unsafe('rollback')
    return unchangedResult(countFunctions(ledger))
  }

  const back = await goBack(sql, writer, job, ledger, superseding)
  if (back) return conclude(sql, writer, job, back, ledger.tablesChecksum, started)

  const result: DeployResult = { ...unchangedResult(0), isUnchanged: false }
  const pending = findPending(database, files.migrations, ledger, flags.repair)
  const tablesChecksum = checksumOf(files.tables)
  const isTablesDue =
    files.tables.length > 0 && (tablesChecksum !== ledger.tablesChecksum || pending.length > 0)
  const allows = (what: Allowance) => job.isNew || flags.allow.has(what)
  if (!allows('functions_missing')) await checkNothingMissing(database, archive, ledger)
  const changesNoTable =
    pending.length === 0 && !isTablesDue && (await runsOnlyCode(archive, ledger))
  const watching = job.isNew ? 'new' : changesNoTable ? 'only code' : 'closely'
  const watch = await TableWatch.start(
    sql,
    database,
    watching,
    flags.allow.has('data_loss'),
    flags.dryRun,
  )
  if (!flags.dryRun) watch.onRetype = job.retire
  if (flags.repair) {
    result.migrationsRepaired = repairMigrations(writer, files.migrations, ledger)
  }

  await createExtensions(sql, database, files.extensions)
  const types = await deployTypes(sql, database, files.types, ledger.types, watch.ask)
  for (const file of files.types) writer.setFile('types', file)
  result.typesChanged = [...types.created, ...types.changed]

  await runPending(sql, writer, database, pending, watch, flags.dryRun, result)

  if (isTablesDue) {
    const key = `${tablesChecksum} ${await watch.fingerprint()}`
    const tables = compared.get(key) ?? (await deployTables(sql, database, files.tables, watch.ask))
    rememberComparison(key, tables)
    result.tablesCreated = tables.created
    result.differences = tables.differences
    result.warnings.push(...tables.warnings)
  }

  Object.assign(result, await deployCode(sql, writer, database, archive, ledger, watch.ask))
  result.seedersApplied = await runSeeders(sql, writer, database, files.seeders, ledger, watch.ask)
  const watched = await watch.finish()
  result.tableChanges = watched.changes
  result.warnings.push(
    ...watched.warnings,
    ...types.warnings,
    ...migrationWarnings(files.migrations, ledger),
    ...seederWarnings(files.seeders, ledger),
  )

  if (flags.dryRun) result.locks = await readLocks(sql, watch.before)
  return conclude(sql, writer, job, result, tablesChecksum, started)
}

/** Ends the transaction. What has changed the database is written into its ledger. */
async function conclude(
  sql: Sql,
  writer: LedgerWriter,
  job: Job,
  result: DeployResult,
  tablesChecksum: string | null,
  started: number,
): Promise<DeployResult> {
  if (job.flags.dryRun || result.isUnchanged) {
    await sql.unsafe('rollback')
    return result
  }
  writer.addDeployment({
    ...job.origin,
    ...result,
    status: 'completed',
    archiveChecksum: job.archive.checksum,
    tablesChecksum,
    catalogDigest: result.catalogDigest ?? null,
    functionsChanged: functionsChanged(result),
    tableChanges: result.tableChanges.map(withoutOid),
    error: null,
    executionTimeMs: Math.round(performance.now() - started),
  })
  await answers([writer.send(), send(sql.unsafe('commit'))])
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

/** A failed deploy leaves its row too: what was tried, and why it failed. */
async function recordFailure(sql: Sql, job: Job, failure: unknown, started: number): Promise<void> {
  const error =
    failure instanceof GatewayError
      ? failure.toJSON()
      : { error: 'internal_error', message: String(failure) }
  try {
    await sql.unsafe('rollback')
    const writer = new LedgerWriter(sql, job.ledgerKey, await readKeyNumber(sql))
    writer.addDeployment({
      ...job.origin,
      ...unchangedResult(0),
      status: 'failed',
      archiveChecksum: job.archive.checksum,
      tablesChecksum: null,
      catalogDigest: null,
      functionsChanged: 0,
      error,
      executionTimeMs: Math.round(performance.now() - started),
    })
    await writer.send()
  } catch {
    // The failure itself is what has to be told; without a connection there is no row.
  }
}

function checksumOf(files: SchemaFile[]): string {
  const lines = files.map(({ path, checksum }) => `${path} ${checksum}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}
