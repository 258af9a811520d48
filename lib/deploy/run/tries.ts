import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { isCatalogConflict, isPostgresError } from '../../postgres/errors.ts'
import { StatementError } from '../failure.ts'
import type { TimeLimit } from './time-limit.ts'

/** lock_not_available, deadlock_detected. */
const LOCK_ERRORS = new Set(['55P03', '40P01'])

/**
 * Bounds of lock_timeout, in milliseconds. They are short because every later request for the
 * table, reads included, queues behind a waiting lock request.
 */
const MIN_WAIT_MS = 100
const MAX_WAIT_MS = 200

/**
 * Bounds of the pause between two tries, in milliseconds. It is random, so that two sessions do not
 * collide again and again.
 */
const MIN_PAUSE_MS = 750
const MAX_PAUSE_MS = 1250

/** Returns a random lock_timeout for a statement of a deploy, in milliseconds. */
export function lockWaitMs(): number {
  return Math.round(between(MIN_WAIT_MS, MAX_WAIT_MS))
}

/** Whether an error is a lock timeout, a deadlock or a change of the same row of a system catalog. */
export function isLockError(error: unknown): boolean {
  if (error instanceof StatementError) return isLockError(error.error)
  if (isCatalogConflict(error)) return true
  if (error instanceof GatewayError) return LOCK_ERRORS.has(String(error.details.sqlstate))
  return isPostgresError(error) && LOCK_ERRORS.has(error.code)
}

/**
 * Repeats `work` after lock errors for up to `totalMs`, counted from the first lock error.
 * @param undo removes what the failed try left
 * @throws {GatewayError} query_timeout; any error of `work`
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
    `Other sessions have held the lock for ${totalMs / 1000} s (LOCK_TIMEOUT_SECS): find them in ` +
    'pg_locks, and send the request again when they have ended'
  return new GatewayError(error.code, error.message, { ...error.details, hint }, error.status)
}

function between(from: number, to: number): number {
  return from + Math.random() * (to - from)
}
