import type { Client } from '../../postgres/pools/waiter.ts'

/** Notes that a session is asked for; returns `performance.now()`. What was noted before is of an earlier attempt. */
export function markAsked(client: Client): number {
  const now = performance.now()
  client.askedAt = now
  client.leasedAt = undefined
  return now
}

/** Notes that the session is there; returns `performance.now()`. */
export function markLeased(client: Client): number {
  const now = performance.now()
  client.leasedAt = now
  return now
}
