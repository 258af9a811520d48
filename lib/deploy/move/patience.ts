import type { PostgresError } from '../../postgres/errors.ts'
import type { DeployParts } from '../parts.ts'

/** Milliseconds that running calls get to end while others wait for them. */
const PATIENCE_MS = 2000

/** SQLSTATEs: object_in_use; query_canceled, by the limit of the statement. */
const IN_USE = ['55006', '57014']

/**
 * Returns the milliseconds that running calls get to end: 2 s while other calls wait, and what each
 * call may take at most (STATEMENT_TIMEOUT_SECS) where they are answered 503 (`isHeld`).
 */
export function patienceMs({ config }: DeployParts, isHeld: boolean): number {
  return isHeld ? config.statementTimeoutMs + PATIENCE_MS : PATIENCE_MS
}

/** Returns whether PostgreSQL did not get the database to itself in time. */
export function isInUse({ code }: PostgresError): boolean {
  return IN_USE.includes(code)
}
