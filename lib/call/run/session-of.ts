import type { Lease } from '../../postgres/pools/lease.ts'
import type { Session } from '../../postgres/session/session.ts'
import type { Outcome } from './attempt.ts'
import { markOpening } from './marks.ts'
import { type Asked, checkMayBegin, MAX_TIMER_MS, type TimeLimit } from './time-limit.ts'

/** Outcome of an attempt that got no session. */
export type Unopened = Extract<Outcome, { kind: 'not begun' | 'refused' }>

/**
 * Returns the session of a lease: synchronously, without a microtask, if it is open; else a
 * promise. Returns the outcome, and ends the lease, if the session could not be opened, the call's
 * time is up, or the client has disconnected. The caller must send in the same turn, or check again
 * before.
 */
export function sessionOf(
  lease: Lease,
  asked: Asked,
): Session | Unopened | Promise<Session | Unopened> {
  const { session } = lease
  if (session instanceof Promise) return onceOpen(lease, session, asked)
  const refused = refusal(asked)
  if (!refused) return session
  lease.release()
  return refused
}

async function onceOpen(
  lease: Lease,
  opening: Promise<Session>,
  asked: Asked,
): Promise<Session | Unopened> {
  let refused: Unopened | undefined
  markOpening(asked.client)
  try {
    const session = await withinTime(opening, asked.limit)
    refused = refusal(asked)
    if (session && !refused) return session
  } catch (error) {
    lease.release(error)
    return { kind: 'not begun', error }
  }
  // Opening may take much longer: a deploy may block new sessions.
  opening.then(
    () => lease.release(),
    (error) => lease.release(error),
  )
  return refused!
}

function refusal(asked: Asked): Unopened | undefined {
  try {
    checkMayBegin(asked)
    return undefined
  } catch (error) {
    return { kind: 'refused', error }
  }
}

/** Returns undefined if the session is not open when the time is up. */
async function withinTime(
  opening: Promise<Session>,
  limit: TimeLimit | undefined,
): Promise<Session | undefined> {
  if (!limit) return opening
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<undefined>((resolve) => {
    const ms = Math.min(Math.max(0, limit.deadline - performance.now()), MAX_TIMER_MS)
    timer = setTimeout(() => {
      limit.isOver = true
      resolve(undefined)
    }, ms)
  })
  try {
    return await Promise.race([opening, timeUp])
  } finally {
    clearTimeout(timer)
  }
}
