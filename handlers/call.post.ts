import { defineHandler } from 'h3'
import { CALL_MEMBERS } from '../lib/call/request.ts'
import { GatewayError } from '../lib/errors.ts'
import { answerRows } from '../lib/http/answer/answer.ts'
import { answerStream, streamTypeOf } from '../lib/http/answer/answer-stream.ts'
import { readCall, whereItIs } from '../lib/http/body/read-call.ts'
import { CALL_ERRORS } from '../lib/http/endpoint-docs.ts'
import { keyOf, replayHeaders } from '../lib/http/idempotency-key.ts'

export default defineHandler({
  meta: {
    description: 'Run a function in the database of a platform or a tenant',
    body: CALL_MEMBERS,
    required: ['platform', 'function'],
    request: { platform: 'clinic', function: 'ping', params: [] },
    answer: { rows: [{ ping: 'pong' }], row_count: 1, execution_time_ms: 2 },
    types: ['application/x-ndjson', 'text/csv'],
    errors: [...CALL_ERRORS, 'idempotency_key_reused'],
  },
  async handler(event) {
    const { call, target, body } = await readCall(event)
    const key = keyOf(event, '/call', body)
    const type = streamTypeOf(event)
    if (type) {
      if (key) throw streamNotKept()
      return answerStream(event, type, (as, sink) =>
        whereItIs(event, target, (calls, there) => calls.stream(there, call, as, sink)),
      )
    }
    const result = await whereItIs(event, target, (calls, there) => calls.run(there, call, key))
    return answerRows(event, result, replayHeaders(result.kept))
  },
})

function streamNotKept(): GatewayError {
  return new GatewayError(
    'invalid_request',
    'A stream is not kept for an Idempotency-Key: ask for application/json, or leave the key out',
  )
}
