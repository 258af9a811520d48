import { defineHandler } from 'h3'
import { answerPage } from '../lib/pages/answer-page.ts'
import { consolePage } from '../lib/pages/console-page.ts'

export default defineHandler({
  meta: {
    access: 'admin',
    token: 'none',
    description: 'A page for operators: the fleet, deploys, what runs now, functions, the audit',
    answer: '<!doctype html>…',
    types: ['text/html'],
  },
  handler: (event) => answerPage(event, consolePage()),
})
