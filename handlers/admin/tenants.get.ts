import { defineHandler } from 'h3'
import { askServers } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseChoice, parseCount, parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { awayField, compareBytes, joinRows } from '../../lib/servers/fan-in.ts'
import { STATES } from '../../lib/tenancy/catalog/tenant-rows.ts'
import { parseLabelFilter } from '../../lib/tenancy/labels.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const QUERY = ['platform', 'label', 'state', 'after', 'limit', 'server'] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'The tenants of a platform, with their labels and states, in pages',
    query: QUERY,
    required: ['platform'],
    request: { platform: 'clinic', label: 'plan:pro' },
    answer: {
      platform: 'clinic',
      tenants: [
        { tenant_id: 'north', database: 'clinic_north', state: 'active', labels: { plan: 'pro' } },
      ],
      count: 1,
      next_after: null,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const platform = parsePlatform(request, query.platform)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const page = {
      platform,
      labels: parseLabelFilter(parseText('label', query.label)),
      state: parseChoice('state', query.state, STATES),
      after: parseText('after', query.after),
      // One more tells whether there is another page.
      limit: limit + 1,
      isBytewise: gateway.servers.areSeveral,
    }
    const gathered = await askServers(gateway, query, async (there) =>
      (await there.tenants.list(page)).map(describeTenant),
    )
    const found = await joinRows(gateway.servers, gathered.answers, (one, other) =>
      compareBytes(one.database, other.database),
    )
    const tenants = found.slice(0, limit)
    return answerInSlices({
      platform,
      tenants,
      count: tenants.length,
      next_after: found.length > limit ? tenants.at(-1)!.database : null,
      ...awayField(gateway.servers, gathered),
    })
  },
})
