import { defineHandler } from 'h3'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { countElsewhere } from '../../lib/servers/count-archives.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'List the archives of a platform, newest first, and which of them are kept',
    query: ['platform'],
    required: ['platform'],
    request: { platform: 'clinic' },
    answer: {
      platform: 'clinic',
      archives: [
        {
          checksum: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
          first_deployed_at: '2026-11-24T06:59:39.96+00:00',
          last_deployed_at: '2026-11-24T06:59:39.96+00:00',
          size_bytes: 14262,
          databases: 2,
        },
      ],
      count: 1,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, readQuery(event, ['platform']).platform)
    const { servers, platforms } = gateway
    const archives = await platforms.archives(platform)
    const elsewhere = await countElsewhere(servers, platform)
    for (const archive of archives) archive.databases += elsewhere.get(archive.checksum) ?? 0
    return { platform, archives, count: archives.length }
  },
})
