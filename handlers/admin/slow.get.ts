import { defineHandler } from 'h3'
import { askServers } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseCount, parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { awayField, compareBytes, joinRows } from '../../lib/servers/fan-in.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { type GivenOwner, OWNER_MEMBERS, parseNarrowed } from '../../lib/tenancy/owners.ts'

const QUERY = [...OWNER_MEMBERS, 'function', 'limit', 'server'] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'The last calls that took SLOW_CALL_MS or longer, of all gateways, newest first',
    query: QUERY,
    request: { platform: 'clinic' },
    answer: {
      slow: [
        {
          at: '2026-11-24T06:59:39.96+00:00',
          platform: 'clinic',
          tenant_id: 'north',
          database: 'clinic_north',
          function: 'monthly_report',
          request_id: '0a1b2c3d-1f6e-4c1c-9d4e-3f6a2b9c8d7e',
          ms: 1840.12,
          wait_ms: 0.02,
          connect_ms: 0,
          query_ms: 1839.6,
          rows: 31,
          bytes: 2280,
          sqlstate: null,
          error: null,
          plan: null,
        },
      ],
      slow_call_ms: 1000,
      count: 1,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const { platform, owner } = parseNarrowed(request, query as GivenOwner)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const asked = {
      platform,
      function: parseText('function', query.function),
      limit,
      mayName: request.mayName,
    }
    const meant = { server: query.server, owner }
    const gathered = await askServers(gateway, meant, async ({ usage, tenants }) => {
      const database = owner && databaseName(await tenants.resolve(owner))
      return usage.slow.read({ ...asked, database })
    })
    const rows = await joinRows(gateway.servers, gathered.answers, (one, other) =>
      compareBytes(other.at, one.at),
    )
    const slow = rows.slice(0, limit)
    return answerInSlices({
      slow,
      slow_call_ms: gateway.config.slowCallMs,
      count: slow.length,
      ...awayField(gateway.servers, gathered),
    })
  },
})
