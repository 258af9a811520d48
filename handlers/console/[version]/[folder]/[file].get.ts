import { defineHandler } from 'h3'
import { answerPageFile } from '../../../../lib/pages/answer-page.ts'
import { consolePage } from '../../../../lib/pages/console-page.ts'

export default defineHandler({
  meta: {
    access: 'admin',
    token: 'none',
    description: 'A file in a folder of the page /console',
    answer: 'export function …',
    types: ['text/javascript', 'text/css', 'image/svg+xml'],
    errors: ['not_found'],
  },
  handler: (event) => answerPageFile(event, consolePage(), '/console'),
})
