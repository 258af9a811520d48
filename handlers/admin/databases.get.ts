import { defineHandler } from 'h3'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseCount, parseSwitch, parseText, readQuery } from '../../lib/http/body/page-query.ts'
import type { DatabasePage, ListedDatabase } from '../../lib/tenancy/catalog/database-list.ts'
import { describeLimits } from '../../lib/tenancy/limits/tenant-limits.ts'
import { databaseName, parsePlatform } from '../../lib/tenancy/names.ts'

const QUERY = ['platform', 'limit', 'after', 'sizes', 'refresh'] as const
const MEGABYTE = 1024 * 1024
const MAX_LIMIT = 1000

/** Databases read by one query, which bounds its duration. */
const BATCH = 250

export default defineHandler({
  meta: {
    description: 'List the databases of a platform: sizes, pending deploys, missing databases',
    query: QUERY,
    required: ['platform'],
    request: { platform: 'clinic' },
    answer: {
      platform: 'clinic',
      databases: [
        {
          name: 'clinic_main',
          type: 'main',
          tenant_id: null,
          size_mb: 9,
          size_bytes: 9224547,
          schema_checksum: null,
          last_deployed_at: null,
          pending: null,
          missing: false,
        },
      ],
      count: 1,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const platform = parsePlatform(request, query.platform)
    const limit = parseCount('limit', query.limit, MAX_LIMIT)
    const hasSizes = parseSwitch('sizes', query.sizes, true)
    const refresh = parseSwitch('refresh', query.refresh, false)
    const main = databaseName({ platform, tenantId: null, schema: null })
    const readBatch = async (page: DatabasePage) => {
      const read = () => gateway.tenants.databases(page, main)
      let entries = await read()
      const toAsk = entries.filter((one) => one.isStale || (refresh && !one.isMissing))
      const silent = await gateway.deploys.lookAt(toAsk)
      if (toAsk.length > 0) entries = await read()
      const names = entries.map(({ database }) => database)
      const sizes = hasSizes ? await gateway.tenants.sizes(names) : undefined
      return entries.map((entry) => describe(entry, sizes, silent.has(entry.database)))
    }

    const databases = []
    let after = parseText('after', query.after)
    let isMore = true
    while (isMore && databases.length < (limit ?? Infinity)) {
      const size = Math.min(BATCH, (limit ?? Infinity) - databases.length)
      const batch = await readBatch({ platform, after, limit: size })
      databases.push(...batch)
      after = batch.at(-1)?.name
      isMore = batch.length === size
    }
    return answerInSlices({
      platform,
      databases,
      count: databases.length,
      ...(limit !== undefined && { next_after: isMore ? after : null }),
    })
  },
})

function describe(
  entry: ListedDatabase,
  sizes: Map<string, number> | undefined,
  isSilent: boolean,
) {
  const bytes = sizes?.get(entry.database) ?? 0
  return {
    name: entry.database,
    type: entry.tenantId !== null ? 'tenant' : entry.schema === null ? 'main' : 'base',
    tenant_id: entry.tenantId,
    ...(entry.schema !== null && { schema_name: entry.schema }),
    ...(sizes && { size_mb: Math.round(bytes / MEGABYTE), size_bytes: bytes }),
    ...(entry.limits && { limits: describeLimits(entry.limits) }),
    schema_checksum: entry.schemaChecksum,
    last_deployed_at: entry.lastDeployedAt,
    // Null if the database does not answer: the catalog's copy may be stale.
    pending: isSilent ? null : entry.isPending,
    missing: entry.isMissing,
  }
}
