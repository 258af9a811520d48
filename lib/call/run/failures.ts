import { GatewayError } from '../../errors.ts'
import { fromPostgres, isQueryCanceled } from '../../postgres/errors.ts'
import { ServerError } from '../../postgres/session/server-error.ts'
import { READ_ONLY_SQL_TRANSACTION } from '../../postgres/sqlstates.ts'

/**
 * Returns whether only the shared mode caused the error: its short timeout, or its read-only
 * transactions.
 */
export function isOfSharedMode(error: unknown): boolean {
  return isQueryCanceled(error) || isReadOnlyRefusal(error)
}

/** Returns whether PostgreSQL refused a write in a read-only transaction. */
export function isReadOnlyRefusal(error: unknown): boolean {
  return error instanceof ServerError && error.code === READ_ONLY_SQL_TRANSACTION
}

/**
 * Returns the error for a call whose connection was lost or could not be opened, with
 * `may_have_run`.
 */
export function lostCall(
  error: unknown,
  database: string,
  mayHaveRun: boolean,
  isRolledBack = false,
): unknown {
  const told = fromPostgres(error, database)
  if (!(told instanceof GatewayError) || told.code !== 'connection_failed') return told
  const notRun = isRolledBack ? 'the function was rolled back' : 'the function has not run'
  const what = mayHaveRun ? 'the function may have run' : notRun
  return new GatewayError(told.code, `${told.message}; ${what}`, {
    ...told.details,
    may_have_run: mayHaveRun,
  })
}
