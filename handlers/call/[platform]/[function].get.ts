import { defineHandler } from 'h3'
import { answerGet } from '../../../lib/http/answer/answer-get.ts'
import { CALL_ERRORS } from '../../../lib/http/endpoint-docs.ts'

export default defineHandler({
  meta: {
    description: 'Run a function that changes nothing, in the main database of a platform',
    answer: { rows: [{ ping: 'pong' }], row_count: 1, execution_time_ms: 2 },
    types: ['application/x-ndjson', 'text/csv'],
    errors: [...CALL_ERRORS, 'method_not_allowed'],
  },
  handler: (event) => answerGet(event),
})
