import { defineHandler } from 'h3'
import { answerRows } from '../lib/answer.ts'
import { answerStream, streamTypeOf } from '../lib/answer-stream.ts'
import { readCall } from '../lib/http/read-call.ts'

export default defineHandler({
  meta: { description: 'Run a function in the database of a platform or a tenant' },
  async handler(event) {
    const { call, target } = await readCall(event)
    const stream = streamTypeOf(event)
    if (stream) return answerStream(event, target, call, stream)
    return answerRows(event, await event.context.gateway.calls.run(target, call))
  },
})
