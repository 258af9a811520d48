import { GatewayError } from '../errors.ts'
import { beginAhead, causeOf } from '../postgres/ahead.ts'
import {
  endsConnection,
  fromPostgres,
  isConnectionLost,
  isPostgresError,
  postgresDetails,
} from '../postgres/errors.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { UNDEFINED_TABLE } from '../postgres/sqlstates.ts'
import { BeingMoved } from '../tenancy/catalog/moved-away.ts'
import { traced } from '../tracing/scope.ts'
import { databaseInUse } from './database/in-use.ts'
import { StatementError } from './failure.ts'
import type { Job } from './job.ts'
import { isUnsafeEnumUse, uncheckedUse } from './plan/enum-values.ts'
import { MigrationObstacles } from './plan/in-the-way.ts'
import type { DeployResult } from './result.ts'
import { type Attempt, begin } from './run/attempt.ts'
import { recordFailure, withCommitted } from './run/conclude.ts'
import { lackingExtension } from './run/extensions.ts'
import { collectWarnings } from './run/notices.ts'
import { deployOnce } from './run/one-try.ts'
import { openDeploySession } from './run/session.ts'
import { isLockError, lockWaitMs, patiently } from './run/tries.ts'

/**
 * Brings a database to the archive's schema and records the deploy in the database's own ledger. An
 * advisory lock keeps other deploys out of the database.
 * All changes are made in one transaction and are rolled back together on failure. Migrations that
 * ask to run outside of a transaction split it: what ran before them is committed.
 * The session keeps changed settings and the lock, so the caller must close the connection.
 * @throws {GatewayError} an error that names the file and line that failed; data_loss;
 *   functions_missing; query_timeout after DEPLOY_TIMEOUT_SECS
 */
export async function deploy(sql: Sql, job: Job): Promise<DeployResult> {
  const started = performance.now()
  const attempt: Attempt = {
    session: { lockTimeoutMs: 0, checksClient: false },
    begun: undefined,
    done: [],
    isFirst: undefined,
    since: undefined,
    lacking: [],
    obstacles: new MigrationObstacles(),
    result: undefined,
  }
  const warnings = collectWarnings()
  job.listen?.(warnings.hear)
  try {
    const result = await job.limit.over(async () => {
      const { session, begun } = await traced(job.span, 'lock and read ledger', {}, () =>
        openDeploySession(sql, lockWaitMs(), job.limit, () => begin(sql, job)),
      )
      attempt.session = session
      attempt.begun = begun
      const undo = () => sql.unsafe('rollback')
      return patiently(job.lockTimeoutMs, job.limit, undo, () => {
        beginAhead(sql)
        return deployOnce(sql, attempt, job, started).catch((error) => {
          throw causeOf(sql, error, error instanceof StatementError ? error.error : error)
        })
      })
    })
    result.warnings.push(...warnings.told())
    return result
  } catch (error) {
    // A statement of the gateway's own has no file to be blamed on.
    const isLocked = isPostgresError(error) && isLockError(error)
    const failure = isLocked
      ? await lockedOut(sql, job.database, job.lockTimeoutMs)
      : (lackingLedger(error, job.database) ?? fromPostgres(error, job.database))
    const unchecked = job.flags.dryRun && !isLostBy(error, failure) && uncheckedBy(failure, attempt)
    if (unchecked && attempt.result) {
      await sql.unsafe('rollback')
      attempt.result.warnings.push(unchecked)
      return attempt.result
    }
    const told = withCommitted(failure, job, attempt.done)
    const isKept =
      !job.flags.dryRun &&
      !job.isNew &&
      !isLostBy(error, failure) &&
      !(failure instanceof BeingMoved)
    if (isKept) await recordFailure(sql, job, told, attempt.done, started)
    throw told
  }
}

/** Somebody has dropped a table of the ledger, or restored the database without it. */
function lackingLedger(error: unknown, database: string): GatewayError | undefined {
  if (!isPostgresError(error) || error.code !== UNDEFINED_TABLE) return undefined
  const [table] = /_db_gateway_(?:files|migrations|deployments)/.exec(error.message) ?? []
  if (table === undefined) return undefined
  return new GatewayError(
    'query_failed',
    `The ledger of ${database} lacks its table public.${table}`,
    {
      database,
      ...postgresDetails(error),
      hint: 'Restore the table with its rows from a backup of the database: without them migrations that have run would run again',
    },
    409,
  )
}

async function lockedOut(sql: Sql, database: string, totalMs: number): Promise<GatewayError> {
  await sql.unsafe('rollback')
  return databaseInUse(sql, database, totalMs)
}

function isLostBy(error: unknown, failure: unknown): boolean {
  return endsConnection(error) || isConnectionLost(failure)
}

/**
 * Returns the warning for a dry run that failed at something a deploy may get past: a new enum
 * value that is not committed, or an extension that only a deploy installs. Undefined for any other
 * failure.
 */
function uncheckedBy(failure: unknown, { lacking }: Attempt): string | undefined {
  if (isUnsafeEnumUse(failure)) return uncheckedUse(failure)
  return failure instanceof GatewayError ? lackingExtension(failure, lacking) : undefined
}
