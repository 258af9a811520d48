import { defineHandler } from 'h3'
import { checkChecksum } from '../../lib/deploy/older/revert.ts'
import { answerDocument } from '../../lib/http/answer/answer-document.ts'
import { jsonBytesInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

const QUERY = ['platform', 'from', 'to'] as const

export default defineHandler({
  meta: {
    description: 'What two kept archives of a platform differ in, file by file',
    query: QUERY,
    required: ['platform', 'to'],
    request: {
      platform: 'clinic',
      from: '0cbc175b9c0f1b6831e9c86c9d36ae2d0cbc175b9c0f1b6831e9c86c9d36ae2d',
      to: '4a8a08f09d37b73795649038408b5f334a8a08f09d37b73795649038408b5f33',
    },
    answer: {
      platform: 'clinic',
      from: '0cbc…',
      to: '4a8a…',
      files: [
        {
          path: 'functions/ping.pssql',
          change: 'changed',
          lines_added: 1,
          lines_removed: 1,
          diff: "@@ -1 +1 @@\n-… select 'pong' …\n+… select 'new' …\n",
        },
      ],
      count: 1,
    },
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const platform = parsePlatform(request, query.platform)
    const to = checkChecksum(parseText('to', query.to))
    const given = parseText('from', query.from)
    const from = given === undefined ? undefined : checkChecksum(given)
    const changes = await gateway.platforms.changes(platform, from, to)
    const body = { platform, ...changes, count: changes.files.length }
    const bytes = await jsonBytesInSlices(body)
    return answerDocument(event, 'application/json; charset=utf-8', bytes)
  },
})
