import type { Metric, Sample } from './text.ts'

/** Upper bounds of the histogram's buckets, in milliseconds. */
const BOUNDS_MS = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000]

/**
 * Counts the requests of one route. `note` costs a few nanoseconds; the rest of the work is done
 * when the metrics are read.
 */
export class RouteCounter {
  readonly method: string
  readonly path: string
  /** Number of requests by HTTP status. */
  readonly statuses = new Map<number, number>()
  /**
   * Number of requests in each bucket: longer than the previous bound, up to this one; the last
   * bucket has no upper bound.
   */
  readonly buckets: number[] = new Array(BOUNDS_MS.length + 1).fill(0)
  sumMs = 0

  constructor(method: string, path: string) {
    this.method = method
    this.path = path
  }

  note(status: number, ms: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    this.sumMs += ms
    let i = 0
    while (i < BOUNDS_MS.length && ms > BOUNDS_MS[i]!) i++
    this.buckets[i]!++
  }
}

/** Returns metrics of the requests since the start, by route and status, with their durations. */
export function requestMetrics(routes: RouteCounter[]): Metric[] {
  return [
    {
      name: 'db_gateway_http_requests_total',
      help: 'Requests that ended; status 499 counts those whose client disconnected first.',
      type: 'counter',
      samples: routes.flatMap(({ method, path, statuses }) =>
        [...statuses].map(([status, value]) => ({
          labels: { method, route: path, status },
          value,
        })),
      ),
    },
    {
      name: 'db_gateway_http_request_duration_seconds',
      help: 'Time from the head of a request to the end of its response.',
      type: 'histogram',
      samples: routes.flatMap(histogram),
    },
  ]
}

function histogram({ method, path, buckets, sumMs }: RouteCounter): Sample[] {
  const labels = { method, route: path }
  let count = 0
  const samples: Sample[] = buckets.map((value, i) => {
    count += value
    const bound = BOUNDS_MS[i]
    const le = bound === undefined ? '+Inf' : bound / 1000
    return { suffix: '_bucket', labels: { ...labels, le }, value: count }
  })
  if (count === 0) return []
  return [
    ...samples,
    { suffix: '_sum', labels, value: sumMs / 1000 },
    { suffix: '_count', labels, value: count },
  ]
}
