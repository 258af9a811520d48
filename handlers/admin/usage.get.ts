import { defineHandler } from 'h3'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import {
  parseChoice,
  parseCount,
  parseSwitch,
  parseText,
  readQuery,
} from '../../lib/http/body/page-query.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { type GivenOwner, OWNER_MEMBERS, parseNarrowed } from '../../lib/tenancy/owners.ts'
import { GROUPS, ORDERS } from '../../lib/usage/read.ts'
import { parseDays } from '../../lib/usage/request.ts'

const QUERY = [...OWNER_MEMBERS, 'by', 'from', 'to', 'order', 'days', 'after', 'limit'] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'Who has used how much: by tenant or function, the largest first, in pages',
    query: QUERY,
    request: { platform: 'clinic', by: 'tenant' },
    answer: {
      platform: 'clinic',
      by: 'tenant',
      order: 'database_seconds',
      from: '2026-11-01',
      to: '2026-11-24',
      started_at: '2026-11-24T06:59:39.96+00:00',
      usage: [{ platform: 'clinic', tenant_id: 'north', calls: 120, database_seconds: 0.84 }],
      count: 1,
      next_after: null,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const { tenants, usage } = gateway
    const { platform, owner } = parseNarrowed(request, query as GivenOwner)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const asked = {
      platform,
      database: owner && databaseName(await tenants.resolve(owner)),
      mayName: request.mayName,
      by: parseChoice('by', query.by, GROUPS) ?? 'tenant',
      order: parseChoice('order', query.order, ORDERS) ?? 'database_seconds',
      ...parseDays(query, usage.today()),
      after: parseText('after', query.after),
      // One more tells whether there is another page.
      limit: limit + 1,
    }
    const found = await usage.read(asked, parseSwitch('days', query.days, false))
    const page = found.slice(0, limit)
    const { by, order, from, to } = asked
    return answerInSlices({
      platform: platform ?? null,
      by,
      order,
      from,
      to,
      started_at: usage.startedAt,
      usage: page.map(({ shown }) => shown),
      count: page.length,
      next_after: found.length > limit ? page.at(-1)!.key : null,
    })
  },
})
