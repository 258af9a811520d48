import { defineHandler, type H3EventContext } from 'h3'
import { askServers, newestOfMain } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseCount, parseSwitch, parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { awayField, compareBytes, joinRows } from '../../lib/servers/fan-in.ts'
import type { DatabasePage, ListedDatabase } from '../../lib/tenancy/catalog/database-list.ts'
import { describeLimits } from '../../lib/tenancy/limits/tenant-limits.ts'
import { databaseName, parsePlatform } from '../../lib/tenancy/names.ts'

type Gateway = H3EventContext['gateway']

const QUERY = ['platform', 'limit', 'after', 'sizes', 'refresh', 'server'] as const
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
    const { servers } = gateway
    const query = readQuery(event, QUERY)
    const platform = parsePlatform(request, query.platform)
    const limit = parseCount('limit', query.limit, MAX_LIMIT)
    const asked = {
      platform,
      after: parseText('after', query.after),
      limit: limit ?? Infinity,
      hasSizes: parseSwitch('sizes', query.sizes, true),
      refresh: parseSwitch('refresh', query.refresh, false),
      isBytewise: servers.areSeveral,
    }
    const newest = newestOfMain(gateway, platform)
    const gathered = await askServers(gateway, query, (there) => list(there, asked, newest))
    const found = await joinRows(servers, gathered.answers, byName)
    const databases = found.slice(0, limit)
    // A last page that is full may be followed by an empty one.
    const isMore = limit !== undefined && found.length >= limit
    return answerInSlices({
      platform,
      databases,
      count: databases.length,
      ...(limit !== undefined && { next_after: isMore ? databases.at(-1)!.name : null }),
      ...awayField(gateway.servers, gathered),
    })
  },
})

interface Asked extends Omit<DatabasePage, 'newest'> {
  hasSizes: boolean
  refresh: boolean
}

/** Returns the databases of a server, at most `limit`. */
async function list(
  there: Gateway,
  { limit, hasSizes, refresh, ...asked }: Asked,
  newestOf: (there: Gateway) => Promise<DatabasePage['newest']>,
) {
  const main = databaseName({ platform: asked.platform, tenantId: null, schema: null })
  const newest = await newestOf(there)
  const readBatch = async (page: DatabasePage) => {
    const read = () => there.tenants.databases(page, main)
    let entries = await read()
    const toAsk = entries.filter((one) => one.isStale || (refresh && !one.isMissing))
    const silent = await there.deploys.lookAt(toAsk)
    if (toAsk.length > 0) entries = await read()
    const names = entries.map(({ database }) => database)
    const sizes = hasSizes ? await there.tenants.sizes(names) : undefined
    return entries.map((entry) => describe(entry, sizes, silent.has(entry.database)))
  }

  const databases: ReturnType<typeof describe>[] = []
  let { after } = asked
  let isMore = true
  while (isMore && databases.length < limit) {
    const size = Math.min(BATCH, limit - databases.length)
    const batch = await readBatch({ ...asked, after, limit: size, newest })
    databases.push(...batch)
    after = batch.at(-1)?.name
    isMore = batch.length === size
  }
  return databases
}

/** The main database comes first. */
function byName(one: { name: string; type: string }, other: { name: string; type: string }) {
  const isMain = ({ type }: { type: string }) => Number(type === 'main')
  return isMain(other) - isMain(one) || compareBytes(one.name, other.name)
}

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
