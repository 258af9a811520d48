import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isConnectionLost, isPostgresError } from '../errors.ts'

/** What a connection says that was open and is not any more: postgres.js, and the system. */
const BROKEN = /^(?:CONNECTION_(?:CLOSED|ENDED|DESTROYED)|ECONNRESET|EPIPE)$/

/** Nothing came for as long as was waited for it. */
const TIMED_OUT = /^(?:ETIMEDOUT|CONNECT_TIMEOUT)$/

/** PostgreSQL that refuses a connection may be starting, or be full just now. */
const PAUSE_MS = 100

/** Class of SQLSTATEs of a role or password that PostgreSQL does not know. */
const INVALID_AUTHORIZATION = /^28/

/** Whether a connection that was open broke: those that have been idle beside it may be dead too. */
export function isBroken(error: unknown): boolean {
  return BROKEN.test(codeOf(error))
}

/**
 * Whether another connection may do what this one could not. Not where the time that there is for
 * it is over, nor where PostgreSQL does not let the role in.
 */
export function isWorthAnotherConnection(error: unknown): boolean {
  if (error instanceof GatewayError || !isConnectionLost(error)) return false
  return isPostgresError(error)
    ? !INVALID_AUTHORIZATION.test(error.code)
    : !TIMED_OUT.test(codeOf(error))
}

/** Resolves when it is time for another: at once where one broke, soon where none could be had. */
export async function untilAnother(error: unknown): Promise<void> {
  if (!isBroken(error)) await sleep(PAUSE_MS)
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code)
}
