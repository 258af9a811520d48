import type { Lease } from '../../postgres/lease.ts'
import type { Session } from '../../postgres/session/session.ts'
import { type Client, clientGone } from '../../postgres/waiter.ts'
import type { Outcome } from './attempt.ts'
import { MAX_TIMER_MS, type TimeLimit, timeUpBefore } from './call-limits.ts'

/** What an attempt came to without a session. */
export type Unopened = Extract<Outcome, { kind: 'not begun' | 'refused' }>

/** For whom a session is opened, and until when. */
interface Asked {
  client: Client
  database: string
  limit: TimeLimit | undefined
}

/**
 * The session of a lease, once it is open; or what the attempt came to, and the lease has ended: it
 * could not be opened, the time of the call was up, or the client has gone meanwhile.
 */
export async function sessionOf(lease: Lease, asked: Asked): Promise<Session | Unopened> {
  const { client, database, limit } = asked
  const { session: opening } = lease
  if (!(opening instanceof Promise)) {
    if (!client.isGone) return opening
    lease.release()
    return { kind: 'refused', error: clientGone(database) }
  }
  try {
    const session = await withinTime(opening, limit)
    if (session && !client.isGone) {
      // Nothing is sent whose answer nobody waits for.
      if (!limit || performance.now() < limit.deadline) return session
    }
  } catch (error) {
    lease.release(error)
    return { kind: 'not begun', error }
  }
  // It may take much longer to open: a deploy may keep sessions from being opened.
  opening.then(
    () => lease.release(),
    (error) => lease.release(error),
  )
  const error = client.isGone ? clientGone(database) : timeUpBefore(limit!, database)
  return { kind: 'refused', error }
}

/** Undefined where it is not there when the time is up. */
async function withinTime(
  opening: Promise<Session>,
  limit: TimeLimit | undefined,
): Promise<Session | undefined> {
  if (!limit) return opening
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<undefined>((resolve) => {
    const ms = Math.min(Math.max(0, limit.deadline - performance.now()), MAX_TIMER_MS)
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([opening, timeUp])
  } finally {
    clearTimeout(timer)
  }
}
