import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import type { Listener } from '../listener.ts'
import type { Pools } from '../pools/pools.ts'

/** The connection that listens may have died without a word. */
const LISTENER_LIMIT_MS = 500

/**
 * Asks PostgreSQL whether it answers: on the connection that listens, which is there where all others
 * are busy, and where that does not answer on one of the pool's as well.
 * @throws {Error} where it does not answer within the time
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

/** The connection is closed where it does not answer. */
async function probePool(pools: Pools, database: string, withinMs: number): Promise<void> {
  const lease = await pools.lease(database, { waitMs: withinMs })
  if (await lease.connection.answers(withinMs)) {
    lease.release()
    return
  }
  lease.destroy()
  throw new GatewayError('connection_failed', 'PostgreSQL does not answer')
}
