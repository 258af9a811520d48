import { defineHandler } from 'h3'
import { readJsonObject } from '../../lib/http/body/body.ts'

export default defineHandler({
  meta: {
    description: 'Send a test alert to WEBHOOK_URL, and tell what became of it',
    body: [],
    request: {},
    answer: { status: 'delivered', receiver: 'alerts.example', signed: true },
  },
  async handler(event) {
    await readJsonObject(event, [])
    return event.context.gateway.alerts.alerts.test()
  },
})
