import { defineHandler } from 'h3'
import { parseCount, readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: { description: 'List changes, deploys and refused requests, newest first' },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, ['platform', 'limit', 'before'])
    const platform =
      query.platform === undefined ? undefined : parsePlatform(request, query.platform)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const before = parseCount('before', query.before, Number.MAX_SAFE_INTEGER)
    const entries = await gateway.audit.read({ platform, mayName: request.mayName, before, limit })
    return {
      entries,
      count: entries.length,
      next_before: entries.length === limit ? entries.at(-1)!.id : null,
    }
  },
})
