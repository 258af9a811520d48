import type { PoolReport, PoolsReport } from '../postgres/pools/pool-report.ts'
import type { Metric, Sample } from './text.ts'

/**
 * Returns metrics of the connections to PostgreSQL: their present state, and totals since the
 * start.
 */
export function poolMetrics({ pools, permits, totals }: PoolsReport): Metric[] {
  const each = (read: (pool: PoolReport) => number): Iterable<Sample> =>
    lazily(pools, (pool) => [{ labels: labelsOf(pool), value: read(pool) }])
  const gauge = (name: string, help: string, samples: Iterable<Sample>): Metric => ({
    name: `db_gateway_${name}`,
    help,
    type: 'gauge',
    samples,
  })
  const counter = (name: string, help: string, samples: Iterable<Sample>): Metric => ({
    ...gauge(name, help, samples),
    type: 'counter',
  })
  const all = (value: number): Sample[] => [{ labels: {}, value }]

  return [
    gauge('permits_held', 'Open connections of all databases.', all(permits.held)),
    gauge('permits_capacity', 'Limit on open connections of all databases.', all(permits.capacity)),
    counter('connections_opened_total', 'Connections that were opened.', all(totals.opened)),
    counter('connections_closed_total', 'Connections that were closed.', all(totals.closed)),
    counter(
      'connections_evicted_total',
      'Connections that were closed to give their place to another database.',
      all(totals.evicted),
    ),
    counter(
      'pool_exhausted_total',
      'Requests that got no connection: the queue was full, or none became free in time.',
      all(totals.exhausted),
    ),
    gauge(
      'pool_connections',
      'Open connections to a database.',
      lazily(pools, (pool) => [
        { labels: { ...labelsOf(pool), state: 'busy' }, value: pool.busy },
        { labels: { ...labelsOf(pool), state: 'idle' }, value: pool.idle },
      ]),
    ),
    gauge(
      'pool_waiting',
      'Requests that wait for a connection to a database.',
      each(({ waiting }) => waiting),
    ),
    gauge(
      'pool_oldest_wait_seconds',
      'Longest time that a waiting request has waited for a connection to a database.',
      each(({ oldestWaitMs }) => oldestWaitMs / 1000),
    ),
    counter(
      'pool_connections_opened_total',
      'Connections to a database that were opened.',
      each(({ opened }) => opened),
    ),
    counter(
      'pool_connections_closed_total',
      'Connections to a database that were closed.',
      each(({ closed }) => closed),
    ),
    counter(
      'pool_connections_evicted_total',
      'Connections that were closed to give their place to another database.',
      each(({ evicted }) => evicted),
    ),
    counter(
      'pool_requests_exhausted_total',
      'Requests that got no connection to a database.',
      each(({ exhausted }) => exhausted),
    ),
  ]
}

/** Generates the samples of each pool on demand. */
function* lazily(
  pools: PoolReport[],
  samplesOf: (pool: PoolReport) => Sample[],
): Generator<Sample, void, undefined> {
  for (const pool of pools) yield* samplesOf(pool)
}

function labelsOf({ database, platform }: PoolReport): Sample['labels'] {
  return { database, platform }
}
