import { defineHandler, HTTPResponse } from 'h3'
import { reportHealth } from '../lib/health.ts'

export default defineHandler({
  meta: { access: 'public', description: 'Report whether the gateway and its PostgreSQL work' },
  async handler(event) {
    const { gateway, request } = event.context
    const health = await reportHealth(gateway)
    // A client outside the allowed networks gets the status only.
    const answer = request.isAllowed ? health : { status: health.status }
    return new HTTPResponse(JSON.stringify(answer), {
      status: health.postgres_connected ? 200 : 503,
      headers: { 'content-type': 'application/json; charset=utf-8' },
    })
  },
})
