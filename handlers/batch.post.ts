import { defineHandler } from 'h3'
import { answerBatch } from '../lib/http/answer/answer-batch.ts'
import { readBatch } from '../lib/http/body/read-call.ts'

export default defineHandler({
  meta: { description: 'Run up to 100 functions at once, all or nothing or each by itself' },
  async handler(event) {
    const { batch, target } = await readBatch(event)
    return answerBatch(event, await event.context.gateway.calls.batch(target, batch))
  },
})
