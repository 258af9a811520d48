import type { PoolReport, PoolsReport } from '../postgres/pools/pool-report.ts'
import { type MetricName, metric } from './definitions.ts'
import type { Metric, Sample } from './text.ts'
import { OTHERS, type TopSeries } from './top-series.ts'

/** Counters of a pool that have a series for each database. */
const COUNTERS = [
  ['opened', 'db_gateway_pool_connections_opened_total'],
  ['closed', 'db_gateway_pool_connections_closed_total'],
  ['evicted', 'db_gateway_pool_connections_evicted_total'],
  ['exhausted', 'db_gateway_pool_requests_exhausted_total'],
] as const

/** The connections to a server; its name is undefined without SERVERS. */
export interface ServerPools extends PoolsReport {
  server?: string | undefined
}

/** A pool of one of several servers, which may have databases of the same name. */
interface NamedPool extends PoolReport {
  server: string | undefined
  key: string
}

/**
 * Returns metrics of the connections to PostgreSQL: their present state, and totals since the
 * start. Databases beyond those of `top` are one.
 */
export function poolMetrics(servers: ServerPools[], top: TopSeries): Metric[] {
  const pools = servers.flatMap(({ server, pools: some }) =>
    some.map((pool): NamedPool => ({ ...pool, server, key: `${server}/${pool.database}` })),
  )
  const items = pools.map((pool) => ({
    key: pool.key,
    counters: COUNTERS.map(([counter]) => pool[counter]),
    rank: pool.open + pool.waiting + (pool.exhausted > 0 ? 1 : 0),
  }))
  const view = top.update(
    items,
    COUNTERS.map(([counter]) => sum(servers.map(({ totals }) => totals[counter]))),
  )
  const own = pools.filter(({ key }) => view.own.has(key))
  const rest = pools.filter(({ key }) => !view.own.has(key))
  const hasRest = rest.length > 0 || view.rest.some((value) => value > 0)
  const gauge = (
    read: (pool: NamedPool) => number,
    join: (values: number[]) => number = sum,
    state?: string,
  ): Sample[] => {
    const samples = own.map((pool) => ({ labels: labelsOf(pool, state), value: read(pool) }))
    if (hasRest) samples.push({ labels: others(state), value: join(rest.map(read)) })
    return samples
  }

  const each = (name: MetricName, read: (report: ServerPools) => number) =>
    metric(
      name,
      servers.map((report) => ({ labels: { server: report.server }, value: read(report) })),
    )
  return [
    each('db_gateway_permits_held', ({ permits }) => permits.held),
    each('db_gateway_permits_capacity', ({ permits }) => permits.capacity),
    each('db_gateway_connections_opened_total', ({ totals }) => totals.opened),
    each('db_gateway_connections_closed_total', ({ totals }) => totals.closed),
    each('db_gateway_connections_evicted_total', ({ totals }) => totals.evicted),
    each('db_gateway_pool_exhausted_total', ({ totals }) => totals.exhausted),
    each('db_gateway_waiting_requests', (report) =>
      sum(report.pools.map(({ waiting }) => waiting)),
    ),
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
        ...own.map((pool) => ({ labels: labelsOf(pool), value: view.own.get(pool.key)![i]! })),
        ...(hasRest ? [{ labels: others(), value: view.rest[i]! }] : []),
      ]),
    ),
  ]
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function labelsOf({ database, platform, server }: NamedPool, state?: string): Sample['labels'] {
  return { database, platform, server, state }
}

function others(state?: string): Sample['labels'] {
  return { database: OTHERS, platform: undefined, state }
}
