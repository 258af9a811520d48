import type { Client } from '../../postgres/pools/waiter.ts'

/**
 * Records when the client asked for a session, and drops the times of an earlier attempt. Returns
 * `performance.now()`.
 */
export function markAsked(client: Client): number {
  const now = performance.now()
  client.askedAt = now
  client.leasedAt = undefined
  return now
}

/** Records when the client got its session. Returns `performance.now()`. */
export function markLeased(client: Client): number {
  const now = performance.now()
  client.leasedAt = now
  return now
}
