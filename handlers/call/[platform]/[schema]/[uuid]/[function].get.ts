import { defineHandler } from 'h3'
import { answerGet } from '../../../../../lib/http/answer/answer-get.ts'

export default defineHandler({
  meta: {
    description: 'Run a function that changes nothing, in the database of a tenant of a schema',
  },
  handler: (event) => answerGet(event),
})
