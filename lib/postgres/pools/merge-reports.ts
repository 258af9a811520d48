import type { PoolCounters } from './pool-counters.ts'
import type { PoolReport, PoolsReport } from './pool-report.ts'

/** Returns the reports of several processes as those of one. */
export function mergeReports(reports: PoolsReport[]): PoolsReport {
  const [first, ...others] = reports
  if (!first || others.length === 0) return first!
  const pools = new Map<string, PoolReport>()
  for (const pool of reports.flatMap((report) => report.pools)) {
    const known = pools.get(pool.database)
    pools.set(pool.database, known ? mergePools(known, pool) : pool)
  }
  return {
    pools: [...pools.values()],
    permits: {
      held: reports.reduce((sum, { permits }) => sum + permits.held, 0),
      capacity: reports.reduce((sum, { permits }) => sum + permits.capacity, 0),
    },
    totals: reports.map(({ totals }) => totals).reduce(addCounters),
  }
}

function mergePools(one: PoolReport, other: PoolReport): PoolReport {
  return {
    ...addCounters(one, other),
    database: one.database,
    platform: one.platform ?? other.platform,
    open: one.open + other.open,
    busy: one.busy + other.busy,
    idle: one.idle + other.idle,
    waiting: one.waiting + other.waiting,
    oldestWaitMs: Math.max(one.oldestWaitMs, other.oldestWaitMs),
  }
}

function addCounters(one: PoolCounters, other: PoolCounters): PoolCounters {
  return {
    opened: one.opened + other.opened,
    closed: one.closed + other.closed,
    evicted: one.evicted + other.evicted,
    exhausted: one.exhausted + other.exhausted,
  }
}
