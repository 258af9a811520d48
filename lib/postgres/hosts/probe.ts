import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import type { Listener } from '../listener.ts'
import type { Pools } from '../pools/pools.ts'

/** Time for the LISTEN connection to answer: it may be dead without having been closed. */
const LISTENER_LIMIT_MS = 500

/**
 * Checks that PostgreSQL answers. Asks on the LISTEN connection, which is free even if all pool
 * connections are busy; if that does not answer, asks on a pool connection as well.
 * @param withinMs time for both, in milliseconds
 * @throws {Error} if PostgreSQL does not answer in time
 */
export async function probe(
  listener: Listener,
  pools: Pools,
  database: string,
  withinMs: number,
): Promise<void> {
  const kept = listener.use((sql) => sql`select 1`)
  const isAnswered = await Promise.race([
    kept.then(
      () => true,
      () => false,
    ),
    sleep(LISTENER_LIMIT_MS, false, { ref: false }),
  ])
  if (isAnswered) return
  await Promise.any([kept, probePool(pools, database, withinMs - LISTENER_LIMIT_MS)])
}

/** Asks on a pool connection; closes the connection if it does not answer. */
async function probePool(pools: Pools, database: string, withinMs: number): Promise<void> {
  const lease = await pools.lease(database, { waitMs: withinMs })
  if (await lease.connection.answers(withinMs)) {
    lease.release()
    return
  }
  lease.destroy()
  throw new GatewayError('connection_failed', 'PostgreSQL does not answer')
}
