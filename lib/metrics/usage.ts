import type { Counts } from '../usage/counters.ts'
import { metric } from './definitions.ts'
import type { Metric } from './text.ts'
import { OTHERS, type TopSeries } from './top-series.ts'

/** Counters with a series for each platform. */
const NAMES = [
  'db_gateway_calls_total',
  'db_gateway_calls_failed_total',
  'db_gateway_database_seconds_total',
  'db_gateway_call_bytes_total',
] as const

/** Returns metrics of the calls, by platform. Platforms beyond those of `top` are one. */
export function usageMetrics(byPlatform: Map<string, Counts>, top: TopSeries): Metric[] {
  const items = [...byPlatform].map(([key, { calls, errors, ms, bytes }]) => ({
    key,
    counters: [calls, errors, ms / 1000, bytes],
    rank: calls,
  }))
  const totals = NAMES.map((_, i) => items.reduce((sum, { counters }) => sum + counters[i]!, 0))
  const { own, rest } = top.update(items, totals)
  const hasRest = own.size < items.length || rest[0]! > 0
  return NAMES.map((name, i) =>
    metric(name, [
      ...[...own].map(([platform, values]) => ({ labels: { platform }, value: values[i]! })),
      ...(hasRest ? [{ labels: { platform: OTHERS }, value: rest[i]! }] : []),
    ]),
  )
}
