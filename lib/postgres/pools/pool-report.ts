import { type Pool, waitingSince } from './pool.ts'
import type { PoolCounters } from './pool-counters.ts'

/** Report on one database that was used since the start. */
export interface PoolReport extends PoolCounters {
  database: string
  /** Undefined for the administrative database and for databases not yet in the catalog. */
  platform: string | undefined
  open: number
  busy: number
  idle: number
  waiting: number
  /** Milliseconds that the first waiter has waited; 0 if there is none. */
  oldestWaitMs: number
}

/** Report on all connections. */
export interface PoolsReport {
  pools: PoolReport[]
  permits: { held: number; capacity: number }
  /** Counters of all databases since the start, including dropped ones. */
  totals: PoolCounters
}

/** `pool` is undefined if the database has neither connections nor waiters. */
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
