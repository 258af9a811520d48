import { defineHandler, getQuery } from 'h3'
import { GatewayError } from '../../lib/errors.ts'
import { answerInSlices } from '../../lib/http/json-slices.ts'
import { parseOwner } from '../../lib/names.ts'
import { parseCount } from '../../lib/page-query.ts'

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
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const after = parseCount('after', query.after, Number.MAX_SAFE_INTEGER)
    const deployments = await gateway.deployments.read({ platform, tenantId, after, limit })
    if (deployments.length === 0 && !(await gateway.catalog.has(platform, tenantId))) {
      throw new GatewayError('database_not_found', `Platform ${platform} has no such database`)
    }
    return answerInSlices({
      platform,
      deployments,
      count: deployments.length,
      next_after: deployments.length === limit ? deployments.at(-1)!.id : null,
    })
  },
})
