import { defineHandler, getRouterParams } from 'h3'
import { readQuery } from '../../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../../lib/tenancy/names.ts'

export default defineHandler({
  meta: { description: 'List the stored schemas of a platform' },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    readQuery(event, [])
    const schemas = await gateway.platforms.storedSchemas(platform)
    return { platform, schemas, count: schemas.length }
  },
})
