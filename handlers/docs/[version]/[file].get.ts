import { defineHandler } from 'h3'
import { docsPage } from '../../../lib/docs-page/page-files.ts'
import { answerPageFile } from '../../../lib/pages/answer-page.ts'

export default defineHandler({
  meta: {
    description: 'A file of the page /docs',
    answer: 'export function …',
    types: ['text/javascript', 'text/css', 'image/svg+xml'],
    errors: ['not_found'],
  },
  handler: (event) => answerPageFile(event, docsPage(), '/docs'),
})
