import { defineHandler } from 'h3'
import { answerGet } from '../../../lib/http/answer/answer-get.ts'

export default defineHandler({
  meta: { description: 'Run a function that changes nothing, in the main database of a platform' },
  handler: (event) => answerGet(event),
})
