import { defineHandler } from 'h3'
import { ACTIONS } from '../../lib/audit/entry.ts'
import { OUTCOMES } from '../../lib/audit/table.ts'
import { parseChoice, parseCount, parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

const QUERY = [
  'platform',
  'tenant_id',
  'action',
  'outcome',
  'request_id',
  'limit',
  'before',
] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'List changes, deploys and refused requests, newest first',
    query: QUERY,
    request: { platform: 'clinic', limit: 1 },
    answer: {
      entries: [
        {
          id: 7,
          at: '2026-11-24T06:59:39.96+00:00',
          action: 'revert',
          method: 'POST',
          path: '/admin/revert',
          platform: 'clinic',
          status: 200,
        },
      ],
      count: 1,
      next_before: 7,
    },
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    const platform =
      query.platform === undefined ? undefined : parsePlatform(request, query.platform)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const before = parseCount('before', query.before, Number.MAX_SAFE_INTEGER)
    const entries = await gateway.audit.read({
      platform,
      tenantId: parseText('tenant_id', query.tenant_id),
      action: parseChoice('action', query.action, ACTIONS),
      outcome: parseChoice('outcome', query.outcome, OUTCOMES),
      requestId: parseText('request_id', query.request_id),
      mayName: request.mayName,
      before,
      limit,
    })
    return {
      entries,
      count: entries.length,
      next_before: entries.length === limit ? entries.at(-1)!.id : null,
    }
  },
})
