import type { PoolReport, PoolsReport } from '../postgres/pools/pool-report.ts'
import { metric, single } from './definitions.ts'
import type { Metric, Sample } from './text.ts'
import { OTHERS, type TopSeries } from './top-series.ts'

/** Counters of a pool that have a series for each database. */
const COUNTERS = [
  ['opened', 'db_gateway_pool_connections_opened_total'],
  ['closed', 'db_gateway_pool_connections_closed_total'],
  ['evicted', 'db_gateway_pool_connections_evicted_total'],
  ['exhausted', 'db_gateway_pool_requests_exhausted_total'],
] as const

/**
 * Returns metrics of the connections to PostgreSQL: their present state, and totals since the
 * start. Databases beyond those of `top` are one.
 */
export function poolMetrics({ pools, permits, totals }: PoolsReport, top: TopSeries): Metric[] {
  const items = pools.map((pool) => ({
    key: pool.database,
    counters: COUNTERS.map(([counter]) => pool[counter]),
    rank: pool.open + pool.waiting + (pool.exhausted > 0 ? 1 : 0),
  }))
  const view = top.update(
    items,
    COUNTERS.map(([counter]) => totals[counter]),
  )
  const own = pools.filter(({ database }) => view.own.has(database))
  const rest = pools.filter(({ database }) => !view.own.has(database))
  const hasRest = rest.length > 0 || view.rest.some((value) => value > 0)
  const gauge = (
    read: (pool: PoolReport) => number,
    join: (values: number[]) => number = sum,
    state?: string,
  ): Sample[] => {
    const samples = own.map((pool) => ({ labels: labelsOf(pool, state), value: read(pool) }))
    if (hasRest) samples.push({ labels: others(state), value: join(rest.map(read)) })
    return samples
  }

  return [
    single('db_gateway_permits_held', permits.held),
    single('db_gateway_permits_capacity', permits.capacity),
    single('db_gateway_connections_opened_total', totals.opened),
    single('db_gateway_connections_closed_total', totals.closed),
    single('db_gateway_connections_evicted_total', totals.evicted),
    single('db_gateway_pool_exhausted_total', totals.exhausted),
    single('db_gateway_waiting_requests', sum(pools.map(({ waiting }) => waiting))),
    metric('db_gateway_pool_connections', [
      ...gauge(({ busy }) => busy, sum, 'busy'),
      ...gauge(({ idle }) => idle, sum, 'idle'),
    ]),
    metric(
      'db_gateway_pool_waiting',
      gauge(({ waiting }) => waiting),
    ),
    metric(
      'db_gateway_pool_oldest_wait_seconds',
      gauge(
        ({ oldestWaitMs }) => oldestWaitMs / 1000,
        (values) => values.reduce((most, value) => Math.max(most, value), 0),
      ),
    ),
    ...COUNTERS.map(([, name], i) =>
      metric(name, [
        ...own.map((pool) => ({ labels: labelsOf(pool), value: view.own.get(pool.database)![i]! })),
        ...(hasRest ? [{ labels: others(), value: view.rest[i]! }] : []),
      ]),
    ),
  ]
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function labelsOf({ database, platform }: PoolReport, state?: string): Sample['labels'] {
  return { database, platform, state }
}

function others(state?: string): Sample['labels'] {
  return { database: OTHERS, platform: undefined, state }
}
