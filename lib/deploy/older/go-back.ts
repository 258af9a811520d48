import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/connection.ts'
import { deployCode } from '../code.ts'
import type { Job } from '../job.ts'
import { countFunctions, type Ledger } from '../ledger.ts'
import type { LedgerWriter } from '../ledger-writer.ts'
import type { ResetSession } from '../objects/run.ts'
import { runsOnlyCode } from '../only-code.ts'
import { type DeployResult, unchangedResult } from '../result.ts'
import { NO_LOSSES, TableWatch } from '../table-watch.ts'
import { deployNamingAll } from './all-failures.ts'
import { codeOf, lackingFiles } from './code-sections.ts'
import { readInPlace, type Superseding } from './ledger.ts'
import { supersededResult } from './superseded.ts'

/**
 * Deals with an archive whose code alone is deployed: one that is older than the archive in place,
 * and one to which the database is to be reverted. Functions, views and triggers become what they
 * were; everything else stays as it is.
 * @returns undefined where the archive is to be deployed as a whole
 * @throws {GatewayError} revert_refused; function_deploy_failed and the like, with all `failures`
 */
export async function goBack(
  sql: Sql,
  writer: LedgerWriter,
  job: Job,
  ledger: Ledger,
  superseding: Superseding | undefined,
  reset: ResetSession,
): Promise<DeployResult | undefined> {
  const { archive, database, older } = job
  if (!older) return undefined
  if (older.how === 'ignore' && !superseding)
    superseding = await supersededElsewhere(sql, job, ledger)
  // In place by its code alone, as an earlier deploy left it; what was replaced by hand is made again.
  const isOnlyCode = ledger.archiveChecksum === archive.checksum && ledger.isOnlyCode
  const isWanted = older.how === 'revert' && ledger.archiveChecksum !== archive.checksum
  if (!superseding && !isOnlyCode && !isWanted) return undefined
  if (superseding && older.how === 'ignore') {
    return supersededResult(older.owner, archive.checksum, superseding)
  }
  const lacking = lackingFiles(archive, ledger)
  if (lacking.length > 0) {
    // A row of the ledger that was deleted by hand is to have its migration run again.
    if (older.how !== 'revert') return undefined
    throw refuse(job, lacking)
  }

  const code = codeOf(archive, ledger)
  const isCode = await runsOnlyCode(code.archive, code.ledger)
  const watching = isCode ? 'only code' : 'closely'
  const { allow, dryRun } = job.flags
  const watch = new TableWatch(
    sql,
    database,
    watching,
    allow.has('data_loss') ? 'all' : NO_LOSSES,
    dryRun,
  )
  if (!dryRun) watch.onRetype = job.retire
  const result = await deployNamingAll(sql, archive, ledger, (archive, ledger) =>
    deployCode(sql, writer, database, archive, ledger, watch.ask, {
      isCheckDue: true,
      reset,
      sendBehind: watch.sendLast,
    }),
  )
  const { changes, warnings } = await watch.finish()
  return {
    ...unchangedResult(0),
    ...result,
    isUnchanged: false,
    isBack: true,
    tableChanges: changes,
    warnings: [...result.warnings, ...warnings, backWarning(job, ledger)],
  }
}

/**
 * What is in place, where the database has never had the archive, but the platform had it first: one
 * that was born with the newer archive.
 */
async function supersededElsewhere(
  sql: Sql,
  { archive, older }: Job,
  ledger: Ledger,
): Promise<Superseding | undefined> {
  const { archiveChecksum } = ledger
  if (archiveChecksum === null || archiveChecksum === archive.checksum) return undefined
  if (!(await older?.isBefore(archiveChecksum))) return undefined
  const inPlace = await readInPlace(sql)
  return inPlace && { ...inPlace, functionsDeployed: countFunctions(ledger) }
}

/** Says what stays. */
function backWarning({ archive: { files } }: Job, ledger: Ledger): string {
  const names = new Set(files.migrations.map(({ name }) => name))
  // The same text under another name is the same migration.
  const texts = new Set(files.migrations.flatMap((file) => [file.checksum, file.rawChecksum]))
  const later = [...ledger.migrations]
    .filter(([name, { checksum }]) => !names.has(name) && !texts.has(checksum))
    .map(([name]) => name)
  const warning =
    'Of this archive, functions, views and triggers alone were deployed, since it was deployed before the one that was in place; tables, types, policies and rows stay as they are'
  return later.length === 0
    ? warning
    : `${warning}, with the migrations that it does not have: ${later.join(', ')}`
}

function refuse({ database }: Job, lacking: string[]): GatewayError {
  return new GatewayError(
    'revert_refused',
    `The database has not had all of the archive, so that this is no way back: ${lacking.join(', ')}`,
    { database, files: lacking, hint: 'POST /migrate deploys an archive as a whole' },
  )
}
