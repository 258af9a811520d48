import { defineHandler, getRouterParams } from 'h3'
import { readQuery } from '../../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'List the stored schemas of a platform',
    answer: {
      platform: 'shop',
      schemas: [{ name: 'tenant', checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d', has_tables: true }],
      count: 1,
    },
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    readQuery(event, [])
    const schemas = await gateway.platforms.storedSchemas(platform)
    return { platform, schemas, count: schemas.length }
  },
})
