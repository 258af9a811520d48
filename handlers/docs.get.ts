import { defineHandler } from 'h3'
import { docsPage } from '../lib/docs-page/page-files.ts'
import { answerPage } from '../lib/pages/answer-page.ts'

export default defineHandler({
  meta: {
    token: 'none',
    description: 'A page of the endpoints and the functions of platforms, with forms to call them',
    answer: '<!doctype html>…',
    types: ['text/html'],
  },
  handler: (event) => answerPage(event, docsPage()),
})
