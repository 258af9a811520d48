import { defineHandler, getQuery } from 'h3'
import { parsePlatform } from '../../lib/names.ts'

const MEGABYTE = 1024 * 1024

export default defineHandler({
  meta: { description: 'The databases of a platform: their sizes, and which are behind' },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getQuery(event).platform)
    const entries = await gateway.catalog.listInDetail(platform)
    return {
      platform,
      databases: entries.map((entry) => ({
        name: entry.database,
        type: entry.tenantId === null ? 'main' : 'tenant',
        tenant_id: entry.tenantId,
        size_mb: Math.round(entry.sizeBytes / MEGABYTE),
        size_bytes: entry.sizeBytes,
        schema_checksum: entry.schemaChecksum,
        last_deployed_at: entry.lastDeployedAt,
        pending: entry.isPending,
      })),
      count: entries.length,
    }
  },
})
