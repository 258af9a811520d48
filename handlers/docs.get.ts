import { defineHandler } from 'h3'
import { docsPage, PAGE_HEADERS } from '../lib/docs-page/page-files.ts'
import { answerDocument } from '../lib/http/answer/answer-document.ts'
import { readQuery } from '../lib/http/body/page-query.ts'

export default defineHandler({
  meta: {
    description: 'A page of the endpoints and the functions of platforms, with forms to call them',
    answer: '<!doctype html>…',
    types: ['text/html'],
  },
  handler(event) {
    readQuery(event, [])
    return answerDocument(event, 'text/html; charset=utf-8', docsPage().html, PAGE_HEADERS)
  },
})
