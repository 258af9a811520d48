import { defineHandler } from 'h3'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'List the archives of a platform, newest first, and which of them are kept',
  },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, readQuery(event, ['platform']).platform)
    const archives = await gateway.platforms.archives(platform)
    return { platform, archives, count: archives.length }
  },
})
