import { metric } from './definitions.ts'
import type { Metric, Sample } from './text.ts'

/** Calls of a function, with their durations. */
export interface CallsOfFunction {
  platform: string
  function: string
  times: {
    errors: number
    sumMs: number
    /** Number of calls by bound; the last has no bound. */
    buckets: ArrayLike<number>
  }
}

/**
 * Returns metrics of calls by platform and function.
 * @param boundsMs upper bounds of the buckets, in milliseconds
 */
export function callMetrics(calls: CallsOfFunction[], boundsMs: readonly number[]): Metric[] {
  return [
    metric(
      'db_gateway_call_duration_seconds',
      lazily(calls, (one) => histogram(one, boundsMs)),
    ),
    metric(
      'db_gateway_call_errors_total',
      lazily(calls, ({ platform, function: name, times }) => [
        { labels: { platform, function: name }, value: times.errors },
      ]),
    ),
  ]
}

function* lazily(
  calls: CallsOfFunction[],
  samplesOf: (one: CallsOfFunction) => Sample[],
): Generator<Sample, void, undefined> {
  for (const one of calls) yield* samplesOf(one)
}

function histogram(
  { platform, function: name, times }: CallsOfFunction,
  boundsMs: readonly number[],
): Sample[] {
  const labels = { platform, function: name }
  let count = 0
  const samples: Sample[] = Array.from(times.buckets, (value, i) => {
    count += value
    const bound = boundsMs[i]
    const le = bound === undefined ? '+Inf' : bound / 1000
    return { suffix: '_bucket', labels: { ...labels, le }, value: count }
  })
  return [
    ...samples,
    { suffix: '_sum', labels, value: times.sumMs / 1000 },
    { suffix: '_count', labels, value: count },
  ]
}
