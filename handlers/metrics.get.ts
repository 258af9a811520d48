import { defineHandler, HTTPResponse } from 'h3'
import { callMetrics } from '../lib/metrics/calls.ts'
import { gatewayMetrics } from '../lib/metrics/gateways.ts'
import { poolMetrics } from '../lib/metrics/pools.ts'
import { renderProcessMetrics } from '../lib/metrics/process.ts'
import { requestMetrics } from '../lib/metrics/requests.ts'
import { renderMetrics } from '../lib/metrics/text.ts'
import { usageMetrics } from '../lib/metrics/usage.ts'
import { SHOWN_BOUNDS_MS } from '../lib/usage/times/shown-times.ts'

export default defineHandler({
  // For administrators only: the metrics name the databases of all platforms.
  meta: {
    access: 'admin',
    description: 'Report metrics in the text format of Prometheus',
    answer: 'db_gateway_permits_held 4',
    types: ['text/plain'],
  },
  async handler(event) {
    const { pools, gateways, routeCounters, usage } = event.context.gateway
    const own = [
      ...requestMetrics(routeCounters),
      ...poolMetrics(pools.report()),
      ...usageMetrics(usage.msByPlatform()),
      ...callMetrics(usage.times.calls.shown(), SHOWN_BOUNDS_MS),
      ...gatewayMetrics(gateways.alive()),
    ]
    return new HTTPResponse(`${await renderMetrics(own)}\n${await renderProcessMetrics()}`, {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  },
})
