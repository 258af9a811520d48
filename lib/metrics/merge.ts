import type { Metric, Sample } from './text.ts'

/** Metrics that several processes see alike, of which the largest, or the smallest, value is right. */
const LARGEST = new Set([
  'db_gateway_build_info',
  'db_gateway_draining',
  'db_gateway_pool_oldest_wait_seconds',
  'db_gateway_databases',
  'db_gateway_databases_age_seconds',
  'db_gateway_postgres_outages_total',
  'db_gateway_postgres_down_seconds_total',
  'db_gateway_replica_lag_seconds',
  'db_gateway_unreachable_databases',
  'db_gateway_gateways',
  'db_gateway_server_databases',
  'db_gateway_share_connections',
  'process_start_time_seconds',
])
const SMALLEST = new Set([
  'db_gateway_postgres_up',
  'db_gateway_server_up',
  'db_gateway_certificate_expiry_timestamp_seconds',
])

/** Returns the metrics of several processes as those of one: sums, or what all of them mean. */
export function mergeMetrics(processes: Metric[][]): Metric[] {
  const merged = new Map<string, { metric: Metric; samples: Map<string, Sample> }>()
  for (const metric of processes.flat()) {
    let known = merged.get(metric.name)
    if (!known) {
      known = { metric, samples: new Map() }
      merged.set(metric.name, known)
    }
    const join = joinerOf(metric.name)
    for (const sample of metric.samples) {
      const key = keyOf(sample)
      const before = known.samples.get(key)
      const value = before ? join(before.value, sample.value) : sample.value
      known.samples.set(key, { ...sample, value })
    }
  }
  return [...merged.values()].map(({ metric, samples }) => ({
    ...metric,
    samples: [...samples.values()],
  }))
}

/** Returns what stays of the metrics of a process that has ended: its counters and histograms. */
export function lastingMetrics(metrics: Metric[]): Metric[] {
  return metrics.filter(({ type }) => type !== 'gauge')
}

function joinerOf(name: string): (one: number, other: number) => number {
  if (LARGEST.has(name)) return Math.max
  if (SMALLEST.has(name)) return Math.min
  return (one, other) => one + other
}

/** A label without a value is none: the channel between processes leaves it out. */
function keyOf({ suffix = '', labels }: Sample): string {
  const names = Object.keys(labels)
    .filter((name) => labels[name] !== undefined)
    .sort()
  return `${suffix} ${names.map((name) => `${name}=${JSON.stringify(labels[name])}`).join()}`
}
