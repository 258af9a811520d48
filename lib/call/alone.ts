import type { Gateway } from '../gateway.ts'
import { isStatementGone } from '../postgres/errors.ts'
import type { Lease } from '../postgres/lease.ts'
import type { Client } from '../postgres/pools.ts'
import { giveBack } from './give-back.ts'
import { failed, LostCall, untilAgain } from './lost.ts'
import { Watch } from './watch.ts'

/** Milliseconds, for a connection (its opening, too) and for PostgreSQL's answer. */
export interface Timing {
  waitMs: number
  queryMs: number
}

/**
 * Does a piece of work on a connection of its own, which is given back whatever happens. What the
 * watch is set over is cancelled after `timeoutMs`, or when the client has gone away. Where the
 * connection is lost, it is done once more on another if it certainly did not begin or only reads;
 * not if it was `lost` before. It waits for a connection as long as a call does, or `waitMs`.
 * @throws {GatewayError} pool_exhausted, connection_failed, and what the work's errors become
 */
export async function alone<T>(
  gateway: Gateway,
  client: Client,
  database: string,
  timeoutMs: number | undefined,
  work: (lease: Lease, watch: Watch) => Promise<T>,
  lost?: LostCall,
  waitMs?: number,
): Promise<T & Timing> {
  try {
    if (lost) await untilAgain(lost, client)
    return await once(gateway, client, database, timeoutMs, work, lost, waitMs)
  } catch (error) {
    if (!(error instanceof LostCall)) throw error
    if (lost || !error.mayRunAgain) throw error.told
    return alone(gateway, client, database, timeoutMs, work, error, waitMs)
  }
}

/** @throws {LostCall} and what the caller is told */
async function once<T>(
  gateway: Gateway,
  client: Client,
  database: string,
  timeoutMs: number | undefined,
  work: (lease: Lease, watch: Watch) => Promise<T>,
  lost: LostCall | undefined,
  waitMs: number | undefined,
): Promise<T & Timing> {
  const askedAt = performance.now()
  const lease = await gateway.pools.lease(database, {
    client,
    waitMs,
    fresh: lost?.wasOpen === true,
  })
  const watch = new Watch(client, lease, timeoutMs)
  try {
    const result = await work(lease, watch)
    const timing = timingOf(askedAt, lease)
    giveBack(gateway, lease)
    return { ...result, ...timing }
  } catch (error) {
    if (isStatementGone(error)) lease.connection.isSpent = true
    lease.release(error)
    throw failed(error, database, watch)
  } finally {
    watch.end()
  }
}

/** The timing of work that was asked for at `askedAt`, and whose answer has just come. */
export function timingOf(askedAt: number, { usableAt }: Lease): Timing {
  return { waitMs: usableAt - askedAt, queryMs: performance.now() - usableAt }
}
