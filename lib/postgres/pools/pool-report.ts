import { type Pool, waitingSince } from './pool.ts'
import type { PoolCounters } from './pool-counters.ts'

/** A database that was used since the start, as ops see it. */
export interface PoolReport extends PoolCounters {
  database: string
  /** Undefined where it is not known: of the administrative database, and of a new one. */
  platform: string | undefined
  open: number
  busy: number
  idle: number
  waiting: number
  /** Milliseconds that the first in the queue has waited; 0 where nobody does. */
  oldestWaitMs: number
}

/** All connections, as ops see them. */
export interface PoolsReport {
  pools: PoolReport[]
  permits: { held: number; capacity: number }
  /** Of all databases since the start, those that were dropped too. */
  totals: PoolCounters
}

/** `pool` is undefined where the database has neither connections nor waiters just now. */
export function reportOf(
  database: string,
  platform: string | undefined,
  pool: Pool | undefined,
  counters: PoolCounters,
): PoolReport {
  const open = pool?.connections.size ?? 0
  const idle = pool?.idle.length ?? 0
  return {
    database,
    platform,
    open,
    busy: open - idle,
    idle,
    waiting: pool?.waiters.size ?? 0,
    oldestWaitMs: pool ? Math.max(0, performance.now() - waitingSince(pool)) : 0,
    ...counters,
  }
}
