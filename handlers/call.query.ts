import { defineHandler } from 'h3'
import { answerRows } from '../lib/answer.ts'
import { GatewayError } from '../lib/errors.ts'
import { readCall } from '../lib/http/read-call.ts'
import { nodeOf } from '../lib/request.ts'

export default defineHandler({
  meta: { description: 'Run a function that changes nothing (RFC 10008), with the body of POST' },
  async handler(event) {
    const { call, target } = await readCall(event)
    try {
      return await answerRows(event, await event.context.gateway.calls.query(target, call))
    } catch (error) {
      const mayWrite = error instanceof GatewayError && error.code === 'method_not_allowed'
      if (mayWrite) nodeOf(event).res.setHeader('allow', 'POST, OPTIONS')
      throw error
    }
  },
})
