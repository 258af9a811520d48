import type { Lease } from '../../postgres/pools/lease.ts'
import { countTime } from '../../usage/counters.ts'
import type { Outcome } from './attempt.ts'
import { CallLimits } from './call-limits.ts'
import { isOfSharedMode } from './failures.ts'
import { expectLeftovers } from './leftovers.ts'
import { markAsked, markLeased } from './marks.ts'
import { enterMode, type ModeSwitch } from './mode.ts'
import { outcomeWithinLimits } from './outcome-within-limits.ts'
import type { PlacedCall } from './placed-call.ts'
import { sendProcedure } from './procedure.ts'
import { sendCall } from './send-call.ts'
import { sessionOf } from './session-of.ts'

/**
 * Runs a call in an exclusive session. Cancels it when its time is up or its client has
 * disconnected.
 * @param fresh true: on a connection that has not been idle
 */
export async function runExclusive(call: PlacedCall, fresh: boolean): Promise<Outcome> {
  const { pools, client, database, limit } = call
  const askedAt = markAsked(client)
  let lease: Lease
  try {
    lease = await pools.leaseSession(database, { client, fresh, deadline: limit?.deadline })
  } catch (error) {
    return { kind: 'refused', error }
  }
  const opened = sessionOf(lease, call)
  const session = opened instanceof Promise ? await opened : opened
  if ('kind' in session) return session
  const { connection } = lease
  const limits = new CallLimits(call, connection)
  const leasedAt = markLeased(client)
  const entered = enterMode(connection, session, 'exclusive', call.restrictions)
  expectLeftovers(connection, session, call.bound.signature)
  const { signature } = call.bound
  const sent =
    signature.kind === 'procedure' ? sendProcedure(session, call) : sendCall(session, call)
  session.flush()
  try {
    const { rows, rowCount, tookMs } = await sent.rows
    if (tookMs !== undefined) call.durations.note(database, signature, tookMs, rows.length)
    lease.release()
    const result = {
      rows,
      rowCount,
      waitMs: leasedAt - askedAt,
      queryMs: performance.now() - leasedAt,
    }
    return { kind: 'rows', result }
  } catch (error) {
    try {
      const isUnexplained = limits.explain(error) === error
      if (isUnexplained && isOfModeBefore(entered, error)) return { kind: 'not begun', error }
      const within = { database, connection, session, limits }
      return await outcomeWithinLimits(within, call.bound, sent, error)
    } finally {
      lease.release(error)
    }
  } finally {
    limits.end()
    countTime(call.held, performance.now() - leasedAt)
  }
}

/** The session could not leave the shared mode, so its read-only transaction was rolled back. */
function isOfModeBefore(entered: ModeSwitch | undefined, error: unknown): boolean {
  return entered?.hasFailed === true && isOfSharedMode(error)
}
