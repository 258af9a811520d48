import { describeError, GatewayError } from '../../errors.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Job } from '../job.ts'
import { readKeyNumber } from '../ledger/ledger.ts'
import { type LedgerChanges, LedgerWriter } from '../ledger/writer.ts'
import { CATALOG_DIGEST } from '../objects/digest.ts'
import { type DeployResult, functionsChanged, unchangedResult, withoutOid } from '../result.ts'

/**
 * Ends the transaction: a deploy that changed the database is recorded in its ledger and committed,
 * any other is rolled back.
 * @returns what was written to the ledger; undefined after a rollback
 */
export async function conclude(
  sql: Sql,
  writer: LedgerWriter,
  job: Job,
  result: DeployResult,
  tablesChecksum: string | null,
  started: number,
): Promise<LedgerChanges | undefined> {
  if (job.flags.dryRun || result.isUnchanged) {
    await sql.unsafe('rollback')
    return undefined
  }
  result.look ??= await job.look?.(sql)
  writer.addDeployment({
    ...job.origin,
    ...result,
    status: 'completed',
    archiveChecksum: job.archive.checksum,
    tablesChecksum,
    functionsChanged: functionsChanged(result),
    tableChanges: result.tableChanges.map(withoutOid),
    error: null,
    executionTimeMs: Math.round(performance.now() - started),
  })
  writer.setStanding(job.archive.checksum, result.standing)
  const state = result.look?.state
  const { checksum } = job.archive
  if (state) writer.setState(checksum, { digest: state.digest, print: state.print })
  const writing = writer.send(CATALOG_DIGEST)
  await answers([writing, send(sql.unsafe('commit'))])
  return writing
}

/** Adds the migrations that stay committed to the error of a failed deploy. */
export function withCommitted(failure: unknown, { isNew }: Job, committed: string[]): unknown {
  if (isNew || committed.length === 0 || !(failure instanceof GatewayError)) return failure
  const { code, message, details, status } = failure
  return new GatewayError(code, message, { ...details, migrations_committed: committed }, status)
}

/** Records a failed deploy in the ledger: the archive, the committed migrations and the error. */
export async function recordFailure(
  sql: Sql,
  job: Job,
  failure: unknown,
  committed: string[],
  started: number,
): Promise<void> {
  try {
    await sql.unsafe('rollback')
    const writer = new LedgerWriter(sql, job.ledgerKey, await readKeyNumber(sql))
    writer.addDeployment({
      ...job.origin,
      ...unchangedResult(0),
      migrationsApplied: committed,
      status: 'failed',
      archiveChecksum: job.archive.checksum,
      tablesChecksum: null,
      functionsChanged: 0,
      error: describeError(failure),
      executionTimeMs: Math.round(performance.now() - started),
    })
    await writer.send()
  } catch {
    // The client has to get the failure itself. Without a connection there is no row.
  }
}
