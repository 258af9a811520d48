import type { H3EventContext } from 'h3'
import { addUp } from '../../common/add-up.ts'
import type { PoolsReport } from '../../postgres/pools/pool-report.ts'
import { shownPools } from './shown-pools.ts'

type Gateway = H3EventContext['gateway']
type MayName = ((platform: string) => boolean) | undefined

/** The pools of all open servers as they are reported, each with its `server`, and sums of their permits and counters. */
export function poolsOfServers(
  { servers }: Gateway,
  found: Record<string, PoolsReport>,
  mayName: MayName,
  only?: string,
) {
  const reports = Object.entries(found)
    .filter(([name]) => only === undefined || name === only)
    .map(([name, report]) => ({ name, ...shownPools(report, mayName) }))
  if (!servers.areSeveral) {
    const { pools, permits, totals } = reports[0]!
    return { pools, permits, totals }
  }
  return {
    pools: reports.flatMap(({ name, pools }) => pools.map((pool) => ({ ...pool, server: name }))),
    permits: addUp(reports.map(({ permits }) => permits)),
    totals: addUp(reports.map(({ totals }) => totals)),
    servers: reports.map(({ name, permits, totals }) => ({ name, permits, totals })),
  }
}
