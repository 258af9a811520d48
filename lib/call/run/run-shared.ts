import { isQueryCanceled } from '../../postgres/errors.ts'
import type { Lease } from '../../postgres/lease.ts'
import type { Session } from '../../postgres/session/session.ts'
import { clientGone } from '../../postgres/waiter.ts'
import type { Outcome } from './attempt.ts'
import { isOfSharedMode } from './failures.ts'
import { enterMode } from './mode.ts'
import { outcomeOfError } from './outcome-of-error.ts'
import type { PlacedCall } from './placed-call.ts'
import { type SentCall, sendCall } from './send-call.ts'

/** What a call came to that was told to go elsewhere. */
const OVERTAKEN: Outcome = { kind: 'not begun', error: undefined }

/** Runs a call in a shared session, beside other calls that only read and are quick. */
export async function runShared(call: PlacedCall): Promise<Outcome> {
  const { pools, client, database, expectedMs = 0 } = call
  const askedAt = performance.now()
  let lease: Lease
  try {
    const place = pools.share(database, expectedMs, { client, deadline: call.limit?.deadline })
    lease = place instanceof Promise ? await place : place
  } catch (error) {
    return { kind: 'refused', error }
  }
  let session: Session
  try {
    session = lease.session instanceof Promise ? await lease.session : lease.session
  } catch (error) {
    lease.release(error)
    return { kind: 'not begun', error }
  }
  if (client.isGone) {
    lease.release()
    return { kind: 'refused', error: clientGone(database) }
  }
  return send(call, lease, session, askedAt)
}

function send(call: PlacedCall, lease: Lease, session: Session, askedAt: number): Promise<Outcome> {
  const { bound, calls, database, paces } = call
  const { connection } = lease
  const leasedAt = performance.now()
  return new Promise((resolve) => {
    const one = { overtake: () => resolve(OVERTAKEN) }
    enterMode(connection, session, 'shared')
    const sent = sendCall(session, call)
    calls.add(connection, one)
    const end = (outcome: Outcome, error?: unknown) => {
      calls.remove(connection, one)
      lease.release(error)
      resolve(outcome)
    }
    sent.rows.then(
      ({ rows, rowCount, tookMs = 0 }) => {
        paces.note(database, bound.signature, tookMs)
        const queryMs = performance.now() - leasedAt
        end({ kind: 'rows', result: { rows, rowCount, waitMs: leasedAt - askedAt, queryMs } })
      },
      (error) => failed(call, session, sent, error).then((outcome) => end(outcome, error)),
    )
  })
}

async function failed(
  call: PlacedCall,
  session: Session,
  sent: SentCall,
  error: unknown,
): Promise<Outcome> {
  if (!isOfSharedMode(error)) return outcomeOfError(call, session, sent, error)
  const { paces, database, bound } = call
  if (isQueryCanceled(error)) paces.noteSlow(database, bound.signature)
  else paces.noteWriting(database, bound.signature)
  return { kind: 'not begun', error }
}
