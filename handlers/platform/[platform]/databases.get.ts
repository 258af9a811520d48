import { defineHandler, getRouterParams } from 'h3'
import { answerInSlices } from '../../../lib/http/answer/json-slices.ts'
import { parseText, readQuery } from '../../../lib/http/body/page-query.ts'
import { parsePlatform, sanitize } from '../../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'List the databases of a platform, or of one of its schemas',
    query: ['schema'],
    request: { schema: 'tenant' },
    answer: {
      platform: 'shop',
      databases: [
        {
          id: 'main',
          database_name: 'shop_main',
          schema_name: null,
          created_at: '2026-11-24T06:59:39.96+00:00',
        },
      ],
      count: 1,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    const name = parseText('schema', readQuery(event, ['schema']).schema || undefined)
    const schema = name === undefined ? undefined : { name, sanitized: sanitize(name) }
    const databases = await gateway.platforms.databases(platform, schema)
    return answerInSlices({ platform, databases, count: databases.length })
  },
})
