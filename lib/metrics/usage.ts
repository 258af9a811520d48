import type { Metric } from './text.ts'

/** Returns metrics of the use of PostgreSQL by calls, by platform. */
export function usageMetrics(msByPlatform: Map<string, number>): Metric[] {
  return [
    {
      name: 'db_gateway_database_seconds_total',
      help: 'Time for which sessions were held for calls of a platform.',
      type: 'counter',
      samples: [...msByPlatform].map(([platform, ms]) => ({
        labels: { platform },
        value: ms / 1000,
      })),
    },
  ]
}
