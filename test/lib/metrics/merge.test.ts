import { expect, test } from 'vitest'
import { METRICS, type MetricName, metric } from '../../../lib/metrics/definitions.ts'
import { mergeMetrics } from '../../../lib/metrics/merge.ts'
import type { Metric } from '../../../lib/metrics/text.ts'

/** Gauges of which a service of several workers has the sum. */
const SUMS = [
  'db_gateway_alerts_queue',
  'db_gateway_audit_queue',
  'db_gateway_buffered_bytes',
  'db_gateway_buffered_capacity_bytes',
  'db_gateway_buffered_waiting',
  'db_gateway_calls_in_flight',
  'db_gateway_deploys_running',
  'db_gateway_deploys_waiting',
  'db_gateway_jobs_running',
  'db_gateway_permits_capacity',
  'db_gateway_permits_held',
  'db_gateway_pool_connections',
  'db_gateway_pool_waiting',
  'db_gateway_waiting_requests',
]

test('each gauge is a sum where workers have different parts, and else what all of them see', () => {
  const names = Object.entries(METRICS).flatMap(([name, { type }]) =>
    type === 'gauge' ? [name as MetricName] : [],
  )
  const ofWorker = () => names.map((name) => metric(name, [{ labels: {}, value: 1 }]))
  const merged = mergeMetrics([ofWorker(), ofWorker()])
  const sums = merged.filter(({ samples }) => [...samples][0]!.value === 2)
  expect(sums.map(({ name }) => name).sort()).toEqual(SUMS)
})

test('a server is up where all workers have it', () => {
  const server = { server: 'eu1' }
  const [up] = mergeMetrics(
    [1, 0].map((value) => [metric('db_gateway_server_up', [{ labels: server, value }])]),
  )
  expect([...up!.samples]).toMatchObject([{ labels: server, value: 0 }])
})

function permits(value: number): Metric {
  const labels = { server: undefined }
  return { name: 'permits', help: 'Permits.', type: 'gauge', samples: [{ labels, value }] }
}

test('a series is one also where another process has told it, without the labels that have no value', () => {
  const told = JSON.parse(JSON.stringify(permits(3)))

  const [merged] = mergeMetrics([[permits(2)], [told]])

  expect([...merged!.samples].map(({ value }) => value)).toEqual([5])
})
