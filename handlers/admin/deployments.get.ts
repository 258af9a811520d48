import { defineHandler, getQuery } from 'h3'
import { readDeployments } from '../../lib/deploy/history.ts'
import { GatewayError } from '../../lib/errors.ts'
import { parseOwner } from '../../lib/names.ts'

const DEFAULT_LIMIT = 50
const MAX_LIMIT = 1000

export default defineHandler({
  meta: { description: 'The last deploys of a platform, newest first, with what failed' },
  async handler(event) {
    const { gateway, request } = event.context
    const query = getQuery(event)
    const { platform, tenantId: owner } = parseOwner(request, query.platform, query.tenant_id)
    // Absent is every database of the platform; empty or null is the main one, as elsewhere.
    const tenantId = query.tenant_id === undefined ? undefined : owner
    const deployments = await readDeployments(gateway, platform, tenantId, parseLimit(query.limit))
    return { platform, deployments, count: deployments.length }
  },
})

function parseLimit(value: unknown): number {
  if (value === undefined) return DEFAULT_LIMIT
  const limit = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : 0
  if (limit >= 1 && limit <= MAX_LIMIT) return limit
  throw new GatewayError('invalid_request', `limit must be a whole number from 1 to ${MAX_LIMIT}`)
}
