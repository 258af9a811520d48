import { metric } from './definitions.ts'
import { histogramSamples } from './histogram.ts'
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
      lazily(calls, (one) =>
        histogramSamples(labelsOf(one), boundsMs, one.times.buckets, one.times.sumMs),
      ),
    ),
    metric(
      'db_gateway_call_errors_total',
      lazily(calls, (one) => [{ labels: labelsOf(one), value: one.times.errors }]),
    ),
  ]
}

function* lazily(
  calls: CallsOfFunction[],
  samplesOf: (one: CallsOfFunction) => Sample[],
): Generator<Sample, void, undefined> {
  for (const one of calls) yield* samplesOf(one)
}

function labelsOf({ platform, function: name }: CallsOfFunction): Sample['labels'] {
  return { platform, function: name }
}
