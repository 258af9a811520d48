import { defineHandler } from 'h3'
import { CALL_MEMBERS } from '../lib/call/request.ts'
import { GatewayError } from '../lib/errors.ts'
import { answerRows } from '../lib/http/answer/answer.ts'
import { readCall, whereItIs } from '../lib/http/body/read-call.ts'
import { nodeOf } from '../lib/http/request.ts'

export default defineHandler({
  meta: {
    description: 'Run a function that changes nothing (RFC 10008), with the body of POST',
    body: CALL_MEMBERS,
    required: ['platform', 'function'],
    request: { platform: 'clinic', function: 'ping', params: [] },
    answer: { rows: [{ ping: 'pong' }], row_count: 1, execution_time_ms: 2 },
  },
  async handler(event) {
    const { call, target } = await readCall(event)
    try {
      const run = whereItIs(event, target, (calls, there) => calls.query(there, call))
      return await answerRows(event, await run)
    } catch (error) {
      const mayWrite = error instanceof GatewayError && error.code === 'method_not_allowed'
      if (mayWrite) nodeOf(event).res.setHeader('allow', 'POST, OPTIONS')
      throw error
    }
  },
})
