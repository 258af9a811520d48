import { isPostgresError, isQueryCanceled, type PostgresError } from '../../postgres/errors.ts'
import { OBJECT_IN_USE } from '../../postgres/sqlstates.ts'
import type { DeployParts } from '../parts.ts'

/** Milliseconds that running calls get to end while others wait for them. */
const PATIENCE_MS = 2000

/** Share of the time that calls wait at most in which those that run must end. */
const SHARE = 0.4

/**
 * Returns the milliseconds that running calls get to end: 2 s while other calls wait, or less where
 * POOL_WAIT_TIMEOUT_SECS is short, so that none of them fails; and what each call may take at most
 * (STATEMENT_TIMEOUT_SECS) where others are answered 503 (`isHeld`).
 */
export function patienceMs({ config }: DeployParts, isHeld: boolean): number {
  if (isHeld) return config.statementTimeoutMs + PATIENCE_MS
  return Math.min(PATIENCE_MS, SHARE * config.poolWaitTimeoutMs)
}

/**
 * Returns whether PostgreSQL did not get the database to itself in time: by itself, or within the
 * limit of the statement.
 */
export function isInUse(error: unknown): error is PostgresError {
  return isQueryCanceled(error) || (isPostgresError(error) && error.code === OBJECT_IN_USE)
}
