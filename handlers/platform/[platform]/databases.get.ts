import { defineHandler, getRouterParams } from 'h3'
import { answerInSlices } from '../../../lib/http/answer/json-slices.ts'
import { parseText, readQuery } from '../../../lib/http/body/page-query.ts'
import { parsePlatform, sanitize } from '../../../lib/tenancy/names.ts'

export default defineHandler({
  meta: { description: 'List the databases of a platform, or of one of its schemas' },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    const name = parseText('schema', readQuery(event, ['schema']).schema || undefined)
    const schema = name === undefined ? undefined : { name, sanitized: sanitize(name) }
    const databases = await gateway.platforms.databases(platform, schema)
    return answerInSlices({ platform, databases, count: databases.length })
  },
})
