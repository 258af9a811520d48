import type { Lease } from '../../postgres/lease.ts'
import type { Session } from '../../postgres/session/session.ts'
import { type Client, clientGone } from '../../postgres/waiter.ts'
import type { Outcome } from './attempt.ts'

/**
 * The session of a lease, once it is open; or what the attempt came to, and the lease has ended: it
 * could not be opened, or the client has gone meanwhile.
 */
export async function sessionOf(
  lease: Lease,
  { client, database }: { client: Client; database: string },
): Promise<Session | Outcome> {
  try {
    const session = await lease.session
    if (!client.isGone) return session
  } catch (error) {
    lease.release(error)
    return { kind: 'not begun', error }
  }
  lease.release()
  return { kind: 'refused', error: clientGone(database) }
}
