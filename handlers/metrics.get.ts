import { defineHandler, HTTPResponse } from 'h3'

export default defineHandler({
  // For administrators only: the metrics name the databases of all platforms.
  meta: {
    access: 'admin',
    description: 'Report metrics in the text format of Prometheus',
    answer: 'db_gateway_permits_held 4',
    types: ['text/plain'],
  },
  async handler(event) {
    const { gateway } = event.context
    return new HTTPResponse(await gateway.metrics.render(gateway), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    })
  },
})
