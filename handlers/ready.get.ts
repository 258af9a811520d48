import { defineHandler } from 'h3'
import { isReady } from '../lib/health.ts'

export default defineHandler({
  meta: {
    access: 'public',
    description: 'Report whether new requests should be sent to this gateway',
    answer: { status: 'ready' },
  },
  async handler(event) {
    const ready = await isReady(event.context.gateway)
    event.res.status = ready ? 200 : 503
    return { status: ready ? 'ready' : 'not_ready' }
  },
})
