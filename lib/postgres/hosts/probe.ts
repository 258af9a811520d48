import { setTimeout as sleep } from 'node:timers/promises'
import { withinMs } from '../../common/within.ts'
import { GatewayError } from '../../errors.ts'
import type { Listener } from '../listener.ts'
import type { Pools } from '../pools/pools.ts'

/** Time for the LISTEN connection to answer: it may be dead without having been closed. */
const LISTENER_LIMIT_MS = 500

/**
 * Checks that PostgreSQL answers. Asks on the LISTEN connection, which is free even if all pool
 * connections are busy; if that does not answer, asks on a new one as well.
 * @param limitMs time for both, in milliseconds
 * @throws {Error} if PostgreSQL does not answer in time
 */
export async function probe(
  listener: Listener,
  pools: Pools,
  database: string,
  limitMs: number,
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
  await Promise.any([kept, probeAnew(pools, database, limitMs - LISTENER_LIMIT_MS)])
}

/** Asks on a connection of its own. */
async function probeAnew(pools: Pools, database: string, limitMs: number): Promise<void> {
  const connection = await pools.keep(database, limitMs)
  try {
    if (await withinMs(limitMs, connection.sql.unsafe(''))) {
      connection.close().catch(() => {})
      return
    }
  } catch (error) {
    connection.destroy()
    throw error
  }
  connection.destroy()
  throw new GatewayError('connection_failed', 'PostgreSQL does not answer')
}
