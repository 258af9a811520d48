import type { Lease } from '../../postgres/lease.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Outcome } from './attempt.ts'
import { CallLimits } from './call-limits.ts'
import { withCommitted } from './committed.ts'
import { isOfSharedMode } from './failures.ts'
import { expectLeftovers } from './leftovers.ts'
import { enterMode, type ModeSwitch } from './mode.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import type { PlacedCall } from './placed-call.ts'
import { sendProcedure } from './procedure.ts'
import { type SentCall, sendCall } from './send-call.ts'
import { sessionOf } from './session-of.ts'

/**
 * Runs a call in a session that nothing else uses meanwhile. It is cancelled when its time is up or
 * its client has gone away. `fresh`: on a connection that has not been idle.
 */
export async function runExclusive(call: PlacedCall, fresh: boolean): Promise<Outcome> {
  const { pools, client, database, limit } = call
  const askedAt = performance.now()
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
  const leasedAt = performance.now()
  const entered = enterMode(connection, session, 'exclusive')
  expectLeftovers(connection, session, call.bound.signature)
  const { signature } = call.bound
  const sent =
    signature.kind === 'procedure' ? sendProcedure(session, call) : sendCall(session, call)
  session.flush()
  try {
    const { rows, rowCount, tookMs } = await sent.rows
    if (tookMs !== undefined) call.paces.note(database, signature, tookMs, rows.length)
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
      return await failed(call, session, sent, error, limits, entered, connection.isRetired)
    } finally {
      lease.release(error)
    }
  } finally {
    limits.end()
  }
}

async function failed(
  call: PlacedCall,
  session: Session,
  sent: SentCall,
  error: unknown,
  limits: CallLimits,
  entered: ModeSwitch | undefined,
  isRetired: boolean,
): Promise<Outcome> {
  const explained = limits.explain(error)
  if (explained !== error) {
    return withCommitted({ kind: 'refused', error: explained }, call.bound, sent.query)
  }
  // The shared mode could not be left: what is read-only has been rolled back.
  if (entered?.hasFailed && isOfSharedMode(error)) return { kind: 'not begun', error }
  const outcome = await outcomeOfError(call, session, sent.query, error, isRetired)
  return withCommitted(outcome, call.bound, sent.query)
}
