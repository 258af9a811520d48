import { defineHandler, getRouterParams } from 'h3'
import { readQuery } from '../../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../../lib/tenancy/names.ts'
import { checkPlatform } from '../../../lib/tenancy/platforms.ts'
import { listStored } from '../../../lib/tenancy/schemas/stored-schemas.ts'

export default defineHandler({
  meta: { description: 'List the stored schemas of a platform' },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    readQuery(event, [])
    const schemas = await gateway.catalog.use(async (sql) => {
      await checkPlatform(sql, platform)
      return listStored(sql, platform)
    })
    return { platform, schemas, count: schemas.length }
  },
})
