import { someOf } from '../../common/shown.ts'
import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Standing } from '../../tenancy/schemas/archive-order.ts'
import type { Job } from '../job.ts'
import { countFunctions, type Ledger } from '../ledger/ledger.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import { LossGuard } from '../loss/loss-guard.ts'
import { NO_LOSSES } from '../loss/statement-losses.ts'
import type { ResetSession } from '../objects/run.ts'
import { runsOnlyCode } from '../plan/only-code.ts'
import { type DeployResult, unchangedResult } from '../result.ts'
import { deployCode } from '../run/code.ts'
import { deployNamingAll } from './all-failures.ts'
import { codeOf, lackingFiles } from './code-sections.ts'
import { readInPlace, type Superseding } from './ledger.ts'
import { short, supersededResult } from './superseded.ts'

/** Files that a warning names. */
const MAX_NAMED = 5

/**
 * Deals with an archive whose code alone is deployed: one that is older than the archive in place,
 * and one to which the database is to be reverted. Functions, views and triggers become what they
 * were; everything else stays as it is.
 * @returns undefined where the archive is to be deployed as a whole; a warning, where it is all the
 *   same, since the database has not had all of it
 * @throws {GatewayError} revert_refused; function_deploy_failed and the like, with all `failures`
 */
export async function goBack(
  sql: Sql,
  writer: LedgerWriter,
  job: Job,
  ledger: Ledger,
  superseding: Superseding | undefined,
  reset: ResetSession,
): Promise<DeployResult | string | undefined> {
  const { archive, database, older } = job
  if (!older) return undefined
  const standing = superseding ? 'before' : await standingIn(job, ledger)
  if (older.how === 'ignore' && !superseding && standing === 'before')
    superseding = await supersededElsewhere(sql, ledger)
  // In place by its code alone, as an earlier deploy left it; what was replaced by hand is made again.
  const isOnlyCode = ledger.archiveChecksum === archive.checksum && ledger.isOnlyCode
  const isWanted = older.how === 'revert' && ledger.archiveChecksum !== archive.checksum
  if (standing === 'not' && !isOnlyCode && !isWanted) return undefined
  if (superseding && older.how === 'ignore') {
    return supersededResult(older.owner, archive.checksum, superseding)
  }
  const lacking = lackingFiles(archive, ledger)
  if (lacking.length > 0) {
    // Or a row of the ledger that was deleted by hand is to have its migration run again.
    if (older.how !== 'revert') return wholeWarning(ledger, lacking)
    throw refuse(job, lacking)
  }

  const code = codeOf(archive, ledger)
  const isCode = await runsOnlyCode(code.archive, code.ledger)
  const mode = isCode ? 'only code' : 'closely'
  const { allow, dryRun } = job.flags
  const guard = new LossGuard(
    sql,
    database,
    mode,
    allow.has('data_loss') ? 'all' : NO_LOSSES,
    dryRun,
  )
  if (!dryRun) guard.onRetype = job.retire
  const result = await deployNamingAll(sql, archive, ledger, (archive, ledger) =>
    deployCode(sql, writer, database, archive, ledger, guard.ask, {
      isCheckDue: true,
      reset,
      sendBehind: guard.sendLast,
    }),
  )
  const { changes, warnings } = await guard.finish()
  return {
    ...unchangedResult(0),
    ...result,
    isUnchanged: false,
    isBack: true,
    tableChanges: changes,
    warnings: [...result.warnings, ...warnings, backWarning(job, ledger)],
  }
}

/** How the archive stands to what is in place, where the database itself has never had it. */
async function standingIn({ archive, older }: Job, ledger: Ledger): Promise<Standing> {
  const { archiveChecksum } = ledger
  if (!older || archiveChecksum === null || archiveChecksum === archive.checksum) return 'not'
  return older.standingTo(archiveChecksum)
}

/** What is in place of an archive that the platform had first: the database was born with it. */
async function supersededElsewhere(sql: Sql, ledger: Ledger): Promise<Superseding | undefined> {
  const inPlace = await readInPlace(sql)
  return inPlace && { ...inPlace, functionsDeployed: countFunctions(ledger) }
}

/** Says that it is no way back. */
function wholeWarning({ archiveChecksum }: Ledger, lacking: string[]): string {
  const files = someOf(lacking, MAX_NAMED)
  return `The archive is older than ${short(archiveChecksum ?? '')}, which was in place, and all of it was deployed, since the database has not had ${files}`
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
    'Of this archive, functions, views and triggers alone were deployed, since it is older than the one that was in place; tables, types, policies and rows stay as they are'
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
