import { defineHandler, getRouterParams } from 'h3'
import { askServers, checkKnown } from '../../../lib/http/all-servers.ts'
import { answerInSlices } from '../../../lib/http/answer/json-slices.ts'
import { parseText, readQuery } from '../../../lib/http/body/page-query.ts'
import { awayField, compareBytes, joinRows } from '../../../lib/servers/fan-in.ts'
import { parsePlatform, sanitize } from '../../../lib/tenancy/names.ts'
import type { PlatformDatabase } from '../../../lib/tenancy/platform-databases.ts'

const QUERY = ['schema', 'server'] as const

export default defineHandler({
  meta: {
    description: 'List the databases of a platform, or of one of its schemas',
    query: QUERY,
    request: { schema: 'tenant' },
    answer: {
      platform: 'shop',
      databases: [
        {
          id: 'main',
          database_name: 'shop_main',
          schema_name: null,
          created_at: '2026-11-24T06:59:39.96+00:00',
        },
      ],
      count: 1,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const platform = parsePlatform(request, getRouterParams(event, { decode: true }).platform)
    const query = readQuery(event, QUERY)
    const name = parseText('schema', query.schema || undefined)
    const schema = name === undefined ? undefined : { name, sanitized: sanitize(name) }
    await checkKnown(gateway, platform)
    const gathered = await askServers(gateway, query, (there) =>
      there.platforms.databases(platform, schema),
    )
    const databases = await joinRows(gateway.servers, gathered.answers, byName)
    const away = awayField(gateway.servers, gathered)
    return answerInSlices({ platform, databases, count: databases.length, ...away })
  },
})

/** The base databases come first. */
function byName(one: PlatformDatabase, other: PlatformDatabase): number {
  const isTenant = ({ id }: PlatformDatabase) => Number(id !== 'main')
  return isTenant(one) - isTenant(other) || compareBytes(one.database_name, other.database_name)
}
