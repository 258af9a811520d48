import { defineHandler, HTTPResponse } from 'h3'
import { reportHealth } from '../lib/health.ts'
import { readLoad } from '../lib/operations/whole-service.ts'

export default defineHandler({
  meta: {
    access: 'public',
    description: 'Report whether the gateway and its PostgreSQL work',
    answer: {
      status: 'healthy',
      version: '0.1.0',
      postgres_connected: true,
      active_pools: 1,
      total_connections: 4,
      uptime_seconds: 12,
      gateways: 1,
      isolation: 'platform-roles',
    },
    errors: ['connection_failed'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const health = await reportHealth(gateway, gateway.service && readLoad(gateway))
    // A client outside the allowed networks gets the status only.
    const answer = request.isAllowed ? health : { status: health.status }
    return new HTTPResponse(JSON.stringify(answer), {
      status: health.postgres_connected ? 200 : 503,
      headers: { 'content-type': 'application/json; charset=utf-8' },
    })
  },
})
