import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import { StatementError } from '../failure.ts'
import type { TimeLimit } from './time-limit.ts'

/** lock_not_available; deadlock_detected */
const LOCK_ERRORS = new Set(['55P03', '40P01'])

/** Who waits for a lock has all that come later wait too, those that only read included. */
const MIN_WAIT_MS = 100
const MAX_WAIT_MS = 200

/** Between two tries, in milliseconds: about a second, so that they do not meet again and again. */
const MIN_PAUSE_MS = 750
const MAX_PAUSE_MS = 1250

/** How long a statement of a deploy waits for a lock, in milliseconds. */
export function lockWaitMs(): number {
  return Math.round(between(MIN_WAIT_MS, MAX_WAIT_MS))
}

/** Whether a statement did not get its lock in time, or was the victim of a deadlock. */
export function isLockError(error: unknown): boolean {
  if (error instanceof StatementError) return LOCK_ERRORS.has(error.error.code)
  if (error instanceof GatewayError) return LOCK_ERRORS.has(String(error.details.sqlstate))
  return isPostgresError(error) && LOCK_ERRORS.has(error.code)
}

/**
 * Does the work again after a lock error, for `totalMs` from the first one on: what ran before that was
 * no waiting. `undo` leaves nothing of the try before.
 * @throws {GatewayError} query_timeout; what `work` throws
 */
export async function patiently<T>(
  totalMs: number,
  limit: Pick<TimeLimit, 'check'>,
  undo: () => Promise<unknown>,
  work: () => Promise<T>,
): Promise<T> {
  let until: number | undefined
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const pause = between(MIN_PAUSE_MS, MAX_PAUSE_MS)
      if (!isLockError(error)) throw error
      until ??= performance.now() + totalMs
      if (performance.now() + pause > until) throw withHint(error, totalMs)
      await undo()
      await sleep(pause)
      limit.check()
    }
  }
}

function withHint(error: unknown, totalMs: number): unknown {
  if (!(error instanceof GatewayError) || error.details.hint) return error
  const hint =
    `Another session has held the lock for ${totalMs / 1000} s (LOCK_TIMEOUT_SECS): see pg_locks ` +
    'for who it is, and send it again when it has ended'
  return new GatewayError(error.code, error.message, { ...error.details, hint }, error.status)
}

function between(from: number, to: number): number {
  return from + Math.random() * (to - from)
}
