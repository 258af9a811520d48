import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Job } from '../job.ts'
import { hasNothing } from '../ledger/has-nothing.ts'
import { isTouched, type Ledger, readLedger } from '../ledger/ledger.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import { LossGuard } from '../loss/loss-guard.ts'
import { NO_LOSSES } from '../loss/statement-losses.ts'
import type { CodeState } from '../objects/state.ts'
import { findSuperseding } from '../older/ledger.ts'
import { addAhead } from '../plan/enum-values.ts'
import type { MigrationObstacles } from '../plan/in-the-way.ts'
import { type CodeLedger, keepCode } from '../plan/keep-code.ts'
import { findPending, type Pending, repairMigrations } from '../plan/migrations.ts'
import { checkNothingMissing } from '../plan/missing.ts'
import { runsOnlyCode } from '../plan/only-code.ts'
import { type MigrationPlan, planMigrations } from '../plan/plan.ts'
import { Recording } from '../replay/recording.ts'
import { sendStateBefore } from '../replay/state.ts'
import { type DeployResult, unchangedResult } from '../result.ts'
import { checksumOf } from './compared.ts'
import type { DeploySession } from './session.ts'
import type { Declared } from './tables.ts'
import { withoutMissing } from './types.ts'

/**
 * State shared by all tries of one deploy. A deploy is tried again after a lock error or an
 * obstacle.
 */
export interface Attempt {
  session: DeploySession
  /** What `begin` read for the first try; undefined once that try has used it. */
  begun: Awaited<ReturnType<typeof begin>> | undefined
  /** Names of migrations that are committed. */
  done: string[]
  /** Whether the database was empty before the first try, so that there is no data to lose. */
  isFirst: boolean | undefined
  /** Next transaction id of the server before the first try. */
  since: bigint | undefined
  /** Missing extensions that a dry run does not install. */
  lacking: string[]
  obstacles: MigrationObstacles
  /** Result of the last try, possibly incomplete. */
  result: DeployResult | undefined
}

/** One try, after planning. */
export interface Try {
  sql: Sql
  job: Job
  attempt: Attempt
  ledger: Ledger
  /** The ledger for the code sections. */
  code: CodeLedger
  writer: LedgerWriter
  guard: LossGuard
  recording: Recording
  found: Pending
  migrations: MigrationPlan
  /** Files of types/ that are in place: name → checksum. */
  knownTypes: Map<string, string>
  /** Types that the files of types/ created before the migrations. */
  typesCreated: string[]
  tablesChecksum: string
  isTablesDue: boolean
  result: DeployResult
  /**
   * Fingerprint of the tables after the last migration. This query and those of the next two fields
   * are sent together with that migration, which saves a round trip.
   */
  print: Promise<string> | undefined
  declared: Declared | undefined
  codeState: Promise<CodeState> | undefined
}

/** Begins the transaction of a deploy and reads the ledger, in one round trip. */
export async function begin(sql: Sql, { archive, older, scope }: Job) {
  const [, ledger, superseding, state] = await Promise.all([
    send(sql.unsafe('begin')),
    readLedger(sql),
    older && findSuperseding(sql, archive.checksum),
    scope === undefined ? undefined : sendStateBefore(sql),
  ])
  return { ledger, superseding, state }
}

/**
 * Plans a try and starts to guard the tables against data loss.
 * @throws {GatewayError} migration_checksum_mismatch, migration_failed, functions_missing; the
 *   section's code if a file has a statement that a deploy cannot run
 */
export async function planTry(
  sql: Sql,
  attempt: Attempt,
  job: Job,
  ledger: Ledger,
  writer: LedgerWriter,
): Promise<Try> {
  const { database, archive, flags, isNew } = job
  const { files } = archive
  const result: DeployResult = { ...unchangedResult(0), isUnchanged: false }
  result.migrationsApplied.push(...attempt.done)
  attempt.result = result
  const found = findPending(database, files.migrations, ledger, flags)
  const pending = found.files
  result.migrationsPending = pending.map(({ name }) => name)
  for (const [name, before] of found.renamed) writer.renameMigration(before, name)
  for (const file of found.taken) writer.setMigration(file)
  const tablesChecksum = checksumOf(files.tables)
  const isTablesDue =
    files.tables.length > 0 &&
    (tablesChecksum !== ledger.tablesChecksum || pending.length > 0 || isTouched(ledger))
  const code = flags.keepsCode ? await keepCode(sql, ledger, archive) : { ledger, kept: undefined }
  const mayLack = isNew || flags.keepsCode || flags.allow.has('functions_missing')
  if (!mayLack) await checkNothingMissing(database, archive, ledger)
  const migrations = await planMigrations(sql, job, ledger, pending)
  if (!flags.dryRun && migrations.enums.ahead.length > 0) {
    await sql.unsafe('rollback')
    await addAhead(sql, database, migrations.enums)
    await sql.unsafe('begin')
  }
  const knownTypes = isTouched(ledger)
    ? await withoutMissing(sql, migrations.types.before, ledger.types)
    : ledger.types
  const isSameTypes = knownTypes.size === ledger.types.size
  const changesNoTable =
    pending.length === 0 && !isTablesDue && isSameTypes && (await runsOnlyCode(archive, ledger))
  attempt.isFirst ??= isNew || (await hasNothing(sql, ledger))
  const mode = attempt.isFirst ? 'new' : changesNoTable ? 'only code' : 'closely'
  const losses = flags.allow.has('data_loss') ? 'all' : (flags.losses ?? NO_LOSSES)
  const guard = new LossGuard(sql, database, mode, losses, flags.dryRun)
  if (mode === 'closely') attempt.since ??= ledger.nextXid
  if (!flags.dryRun) guard.onRetype = job.retire
  const recording = new Recording()
  guard.onAsk = (file, statement) => recording.note(file, statement)
  const { enums, needs } = migrations
  const isStraight =
    enums.ahead.length + enums.passedOver.size + enums.commitAfter.size + enums.before.size === 0 &&
    needs.functions.size === 0 &&
    attempt.done.length === 0
  if (!isStraight) recording.spoil()
  if (flags.repair) {
    result.migrationsRepaired = repairMigrations(writer, files.migrations, ledger)
  }
  return {
    sql,
    job,
    attempt,
    ledger,
    code,
    writer,
    guard,
    recording,
    found,
    migrations,
    knownTypes,
    typesCreated: [],
    tablesChecksum,
    isTablesDue,
    result,
    print: undefined,
    declared: undefined,
    codeState: undefined,
  }
}
