import { GatewayError } from '../errors.ts'
import type { Pools } from './pools.ts'

/**
 * Asks PostgreSQL on a connection of its own, which is closed where it does not answer.
 * @throws {GatewayError} pool_exhausted without a connection in that time, connection_failed
 */
export async function probe(pools: Pools, database: string, withinMs: number): Promise<void> {
  const lease = await pools.lease(database, { waitMs: withinMs })
  if (await lease.connection.answers(withinMs)) {
    lease.release()
    return
  }
  lease.destroy()
  throw new GatewayError('connection_failed', 'PostgreSQL does not answer')
}
