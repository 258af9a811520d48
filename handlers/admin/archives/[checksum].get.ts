import { defineHandler, getRouterParams, HTTPResponse } from 'h3'
import { checkChecksum } from '../../../lib/deploy/older/revert.ts'
import { readQuery } from '../../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'Download an archive of a platform that is kept, as a tar.gz',
    query: ['platform'],
    required: ['platform'],
    request: { platform: 'clinic' },
    answer: '…',
    types: ['application/gzip'],
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, readQuery(event, ['platform']).platform)
    const checksum = checkChecksum(getRouterParams(event, { decode: true }).checksum)
    const packed = await gateway.platforms.packedArchive(platform, checksum)
    return new HTTPResponse(new Uint8Array(packed), {
      headers: {
        'content-type': 'application/gzip',
        'content-disposition': `attachment; filename="${platform}-${checksum.slice(0, 12)}.tar.gz"`,
      },
    })
  },
})
