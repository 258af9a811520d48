import { defineHandler } from 'h3'
import { answerEvents } from '../../lib/http/answer/answer-events.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'

export default defineHandler({
  meta: {
    description: 'What happens, as server-sent events: overview, fleet, job, audit',
    answer: 'retry: 2000\n\nevent: fleet\ndata: {"platform":"clinic","version":1764176400000}\n\n',
    types: ['text/event-stream'],
    errors: ['pool_exhausted'],
  },
  handler(event) {
    const { gateway, request } = event.context
    readQuery(event, [])
    const { address = '', mayName } = request
    answerEvents(event, (sink) => gateway.events.open(sink, { address, mayName }))
  },
})
