import { defineHandler, getQuery } from 'h3'
import { parseId } from '../../lib/names.ts'

const MEGABYTE = 1024 * 1024

export default defineHandler({
  meta: { description: 'The databases of a platform, with their sizes' },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parseId('platform', getQuery(event).platform)
    request.platform = platform
    const entries = await gateway.catalog.listWithSizes(platform)
    return {
      platform,
      databases: entries.map(({ database, tenantId, sizeBytes }) => ({
        name: database,
        type: tenantId === null ? 'main' : 'tenant',
        tenant_id: tenantId,
        size_mb: Math.round(sizeBytes / MEGABYTE),
        size_bytes: sizeBytes,
      })),
      count: entries.length,
    }
  },
})
