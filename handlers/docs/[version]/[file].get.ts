import { defineHandler, getRouterParam } from 'h3'
import { docsPage, PAGE_HEADERS } from '../../../lib/docs-page/page-files.ts'
import { GatewayError } from '../../../lib/errors.ts'
import { answerDocument } from '../../../lib/http/answer/answer-document.ts'

/** The path of a file changes with its content. */
const HEADERS = { ...PAGE_HEADERS, 'cache-control': 'private, max-age=31536000, immutable' }

export default defineHandler({
  meta: {
    description: 'A file of the page /docs',
    answer: 'export function …',
    types: ['text/javascript', 'text/css', 'image/svg+xml'],
    errors: ['not_found'],
  },
  handler(event) {
    const page = docsPage()
    const file = page.files.get(getRouterParam(event, 'file') ?? '')
    if (!file || getRouterParam(event, 'version') !== page.version) {
      throw new GatewayError('not_found', 'The page /docs has no such file: load it again')
    }
    return answerDocument(event, file.type, file.bytes, HEADERS)
  },
})
