import { defineHandler } from 'h3'
import { BATCH_MEMBERS } from '../lib/call/batch-request.ts'
import { answerBatch } from '../lib/http/answer/answer-batch.ts'
import { readBatch, whereItIs } from '../lib/http/body/read-call.ts'
import { CALL_ERRORS } from '../lib/http/endpoint-docs.ts'
import { keyOf } from '../lib/http/idempotency-key.ts'

export default defineHandler({
  meta: {
    description: 'Run up to 100 functions at once, all or nothing or each by itself',
    body: BATCH_MEMBERS,
    required: ['platform', 'calls'],
    request: { platform: 'clinic', calls: [{ function: 'ping', params: [] }] },
    answer: { results: [{ rows: [{ ping: 'pong' }], row_count: 1 }], execution_time_ms: 3 },
    errors: [...CALL_ERRORS, 'idempotency_key_reused'],
  },
  async handler(event) {
    const { batch, target, body } = await readBatch(event)
    const key = keyOf(event, '/batch', body)
    const run = whereItIs(event, target, (calls, there) => calls.batch(there, batch, key))
    return answerBatch(event, await run)
  },
})
