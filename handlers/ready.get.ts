import { defineHandler } from 'h3'

export default defineHandler({
  meta: {
    access: 'public',
    description: 'Report whether new requests should be sent to this gateway',
    answer: { status: 'ready' },
  },
  async handler(event) {
    const isReady = await event.context.gateway.health.isReady()
    event.res.status = isReady ? 200 : 503
    return { status: isReady ? 'ready' : 'not_ready' }
  },
})
