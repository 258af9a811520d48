import type { Gateway } from '../gateway.ts'
import type { Lease } from '../postgres/lease.ts'

/**
 * Gives a connection back after a call. Now and then it asks before whether somebody has changed
 * functions by hand, which may have left anything since; who called does not wait for that.
 */
export function giveBack(gateway: Gateway, lease: Lease): void {
  const { needsReset, isSpent, database } = lease.connection
  if (needsReset || isSpent || !gateway.signatures.isDue(database)) lease.release()
  else check(gateway, lease)
}

async function check({ signatures, pools }: Gateway, lease: Lease): Promise<void> {
  const { database } = lease.connection
  try {
    if (!(await signatures.isCurrent(lease.sql, database))) pools.renew(database)
    lease.release()
  } catch (error) {
    lease.release(error)
  }
}
