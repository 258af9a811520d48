import type { Client } from '../../postgres/pools/waiter.ts'

/**
 * Records when the client asked for a session, and drops the times of an earlier attempt. Returns
 * `performance.now()`.
 */
export function markAsked(client: Client): number {
  const now = performance.now()
  client.askedAt = now
  client.leasedAt = undefined
  client.openingAt = undefined
  return now
}

/** Records when the client began to wait for a connection that is being opened. */
export function markOpening(client: Client): void {
  client.openingAt = performance.now()
}

/** Milliseconds that a call waited for a connection, for its opening, and for PostgreSQL. */
interface Phases {
  waitMs: number
  connectMs: number
  queryMs: number
}

/** Returns the phases of a call that ends now, as far as it came; all 0 without a session. */
export function phasesOf({ askedAt, openingAt, leasedAt }: Client): Phases {
  if (askedAt === undefined) return { waitMs: 0, connectMs: 0, queryMs: 0 }
  const now = performance.now()
  const begun = leasedAt ?? now
  return {
    waitMs: (openingAt ?? begun) - askedAt,
    connectMs: openingAt === undefined ? 0 : begun - openingAt,
    queryMs: now - begun,
  }
}

/** Records when the client got its session. Returns `performance.now()`. */
export function markLeased(client: Client): number {
  const now = performance.now()
  client.leasedAt = now
  return now
}
