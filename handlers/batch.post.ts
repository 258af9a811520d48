import { defineHandler } from 'h3'
import { answerBatch } from '../lib/http/answer/answer-batch.ts'
import { readBatch } from '../lib/http/body/read-call.ts'
import { keyOf } from '../lib/http/idempotency-key.ts'

export default defineHandler({
  meta: { description: 'Run up to 100 functions at once, all or nothing or each by itself' },
  async handler(event) {
    const { batch, target, body } = await readBatch(event)
    const key = keyOf(event, '/batch', body)
    return answerBatch(event, await event.context.gateway.calls.batch(target, batch, key))
  },
})
