import { defineHandler } from 'h3'
import { GatewayError } from '../lib/errors.ts'
import { answerRows } from '../lib/http/answer/answer.ts'
import { readCall } from '../lib/http/body/read-call.ts'
import { nodeOf } from '../lib/http/request.ts'

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
