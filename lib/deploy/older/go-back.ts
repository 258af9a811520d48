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

/** Limit of files in a warning. */
const MAX_NAMED = 5

/**
 * Deploys the code of an archive that is older than the archive in place, or to which the database
 * is to be reverted. Functions, views and triggers change to those of the archive; everything else
 * stays as it is.
 * @returns the result; undefined if the archive must be deployed as a whole; a warning text if it
 *   must be deployed as a whole although it is older, because the database never had all of it
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
  // An earlier deploy put only the code of this archive in place; objects changed by hand are
  // restored.
  const isOnlyCode = ledger.archiveChecksum === archive.checksum && ledger.isOnlyCode
  const isWanted = older.how === 'revert' && ledger.archiveChecksum !== archive.checksum
  if (standing === 'not' && !isOnlyCode && !isWanted) return undefined
  if (superseding && older.how === 'ignore') {
    return supersededResult(older.owner, archive.checksum, superseding)
  }
  const lacking = lackingFiles(archive, ledger)
  if (lacking.length > 0) {
    // A missing ledger row may also have been deleted by hand, to run its migration again.
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

/**
 * Returns the order of the archive and the one in place, if this database never had the archive.
 */
async function standingIn({ archive, older }: Job, ledger: Ledger): Promise<Standing> {
  const { archiveChecksum } = ledger
  if (!older || archiveChecksum === null || archiveChecksum === archive.checksum) return 'not'
  return older.standingTo(archiveChecksum)
}

/**
 * Returns the archive in place for a database that was created with it, after the platform had had
 * the older one.
 */
async function supersededElsewhere(sql: Sql, ledger: Ledger): Promise<Superseding | undefined> {
  const inPlace = await readInPlace(sql)
  return inPlace && { ...inPlace, functionsDeployed: countFunctions(ledger) }
}

/** Returns the warning that the older archive was deployed as a whole. */
function wholeWarning({ archiveChecksum }: Ledger, lacking: string[]): string {
  const files = someOf(lacking, MAX_NAMED)
  return `The archive is older than ${short(archiveChecksum ?? '')}, which was in place, and all of it was deployed, because the database never had ${files}`
}

/** Returns the warning that lists what stays. */
function backWarning({ archive: { files } }: Job, ledger: Ledger): string {
  const names = new Set(files.migrations.map(({ name }) => name))
  // A migration with the same text under another name counts as the same.
  const texts = new Set(files.migrations.flatMap((file) => [file.checksum, file.rawChecksum]))
  const later = [...ledger.migrations]
    .filter(([name, { checksum }]) => !names.has(name) && !texts.has(checksum))
    .map(([name]) => name)
  const warning =
    'Only functions, views and triggers of this archive were deployed, because it is older than the one that was in place; tables, types, policies and rows stay as they are'
  return later.length === 0
    ? warning
    : `${warning}, and so do the migrations that it does not have: ${later.join(', ')}`
}

function refuse({ database }: Job, lacking: string[]): GatewayError {
  return new GatewayError(
    'revert_refused',
    `The database never had all of the archive, so it cannot go back to it; it lacks ${lacking.join(', ')}`,
    { database, files: lacking, hint: 'POST /migrate deploys an archive as a whole' },
  )
}
