import type { PoolReport, PoolsReport } from '../../postgres/pools/pool-report.ts'

/** A pool as it is answered. */
export type ShownPool = Omit<PoolReport, 'platform' | 'oldestWaitMs'> & {
  platform: string | null
  oldest_wait_ms: number
}

/**
 * Returns the report on the pools with the names of the contract.
 * @param mayName whether the client may be told of a platform; undefined: of all
 */
export function shownPools(
  { pools, ...rest }: PoolsReport,
  mayName: ((platform: string) => boolean) | undefined,
): Omit<PoolsReport, 'pools'> & { pools: ShownPool[] } {
  const shown = pools.map(({ platform = null, oldestWaitMs, ...pool }) => ({
    ...pool,
    platform,
    oldest_wait_ms: Math.round(oldestWaitMs),
  }))
  const isShown = ({ platform }: ShownPool) => platform === null || (mayName?.(platform) ?? true)
  return { pools: shown.filter(isShown), ...rest }
}
