import { metric } from './definitions.ts'
import { Histogram } from './histogram.ts'
import type { Metric } from './text.ts'

/**
 * Counts the requests of one route. `note` costs a few nanoseconds; the rest of the work is done
 * when the metrics are read.
 */
export class RouteCounter {
  readonly method: string
  readonly path: string
  /** Number of requests by HTTP status. */
  readonly statuses = new Map<number, number>()
  readonly durations = new Histogram()

  constructor(method: string, path: string) {
    this.method = method
    this.path = path
  }

  note(status: number, ms: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    this.durations.note(ms)
  }
}

/** Counts what requests were answered with, over all routes. */
export class RequestCounters {
  /** Codes are those of lib/errors.ts, so their number is bounded. */
  readonly errors = new Map<string, number>()
  /** Time that calls waited for a connection, and for PostgreSQL. */
  readonly waits = new Histogram()
  readonly queries = new Histogram()
  /** Called where a request could not connect to a database. */
  onUnreachable: ((database: string) => void) | undefined

  noteError(code: string, database: string | undefined): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1)
    if (code === 'connection_failed' && database !== undefined) this.onUnreachable?.(database)
  }
}

/** Returns metrics of the requests since the start, by route and status, with their durations. */
export function requestMetrics(routes: RouteCounter[], all: RequestCounters): Metric[] {
  return [
    metric(
      'db_gateway_http_requests_total',
      routes.flatMap(({ method, path, statuses }) =>
        [...statuses].map(([status, value]) => ({
          labels: { method, route: path, status },
          value,
        })),
      ),
    ),
    metric(
      'db_gateway_http_request_duration_seconds',
      routes.flatMap(({ method, path, durations }) => durations.samples({ method, route: path })),
    ),
    metric(
      'db_gateway_errors_total',
      [...all.errors].map(([code, value]) => ({ labels: { code }, value })),
    ),
    metric('db_gateway_call_wait_seconds', all.waits.samples({})),
    metric('db_gateway_call_query_seconds', all.queries.samples({})),
  ]
}
