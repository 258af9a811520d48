import type { PoolReport, PoolsReport } from '../../postgres/pools/pool-report.ts'

/** A pool as it is answered. */
export type ShownPool = Omit<PoolReport, 'platform' | 'oldestWaitMs'> & {
  platform: string | null
  oldest_wait_ms: number
}

/** Returns the report on the pools with the names of the contract. */
export function shownPools({ pools, ...rest }: PoolsReport): Omit<PoolsReport, 'pools'> & {
  pools: ShownPool[]
} {
  const shown = pools.map(({ platform = null, oldestWaitMs, ...pool }) => ({
    ...pool,
    platform,
    oldest_wait_ms: Math.round(oldestWaitMs),
  }))
  return { pools: shown, ...rest }
}
