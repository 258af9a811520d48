import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isConnectionLost, isPostgresError } from '../errors.ts'

/** Error codes of an open connection that broke, from postgres.js and from the system. */
const BROKEN = /^(?:CONNECTION_(?:CLOSED|ENDED|DESTROYED)|ECONNRESET|EPIPE)$/

/** Error codes of a connection that was not open in time. */
const TIMED_OUT = /^(?:ETIMEDOUT|CONNECT_TIMEOUT)$/

/** Pause before another attempt: a PostgreSQL that refuses connections may be starting or full. */
const PAUSE_MS = 100

/** SQLSTATE class 28: PostgreSQL rejects the role or the password. */
const INVALID_AUTHORIZATION = /^28/

/** Whether an open connection broke; idle connections to the same server may be dead as well. */
export function isBroken(error: unknown): boolean {
  return BROKEN.test(codeOf(error))
}

/**
 * Whether a retry on another connection may succeed. False after a timeout, because the time for
 * the request is used up, and where PostgreSQL rejects the role or the password.
 */
export function isWorthAnotherConnection(error: unknown): boolean {
  if (error instanceof GatewayError || !isConnectionLost(error)) return false
  return isPostgresError(error)
    ? !INVALID_AUTHORIZATION.test(error.code)
    : !TIMED_OUT.test(codeOf(error))
}

/** Waits before a retry: not at all after a broken connection, else 100 ms. */
export async function untilAnother(error: unknown): Promise<void> {
  if (!isBroken(error)) await sleep(PAUSE_MS)
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code)
}
