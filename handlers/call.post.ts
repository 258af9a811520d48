import { defineHandler } from 'h3'
import { answerRows } from '../lib/http/answer/answer.ts'
import { answerStream, streamTypeOf } from '../lib/http/answer/answer-stream.ts'
import { readCall } from '../lib/http/body/read-call.ts'

export default defineHandler({
  meta: { description: 'Run a function in the database of a platform or a tenant' },
  async handler(event) {
    const { call, target } = await readCall(event)
    const { calls } = event.context.gateway
    const type = streamTypeOf(event)
    if (type) return answerStream(event, type, (as, sink) => calls.stream(target, call, as, sink))
    return answerRows(event, await calls.run(target, call))
  },
})
