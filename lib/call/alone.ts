import type { Gateway } from '../gateway.ts'
import { fromPostgres } from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import type { Client } from '../postgres/pools.ts'
import { Watch } from './watch.ts'

/** Milliseconds, for a connection and for PostgreSQL's answer. */
export interface Timing {
  waitMs: number
  queryMs: number
}

/**
 * Does a piece of work on a connection of its own, which is given back whatever happens. What the
 * watch is set over is cancelled after `timeoutMs`, or when the client has gone away.
 * @throws {GatewayError} pool_exhausted, connection_failed, and what the work's errors become
 */
export async function alone<T>(
  gateway: Gateway,
  client: Client,
  database: string,
  timeoutMs: number | undefined,
  work: (lease: Lease, watch: Watch) => Promise<T>,
): Promise<T & Timing> {
  const askedAt = performance.now()
  const lease = await gateway.pools.lease(database, { client })
  const leasedAt = performance.now()
  const watch = new Watch(client, lease, timeoutMs)
  try {
    const result = await work(lease, watch)
    lease.release()
    return { ...result, waitMs: leasedAt - askedAt, queryMs: performance.now() - leasedAt }
  } catch (error) {
    lease.release(error)
    throw fromPostgres(watch.explain(error), database)
  } finally {
    watch.end()
  }
}
