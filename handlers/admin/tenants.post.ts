import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parseLimitChanges } from '../../lib/tenancy/limits/parse-limits.ts'
import { describeLimits } from '../../lib/tenancy/limits/tenant-limits.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedOwner } from '../../lib/tenancy/owners.ts'

export default defineHandler({
  meta: { description: 'Set limits of the calls of a tenant; one that is null is taken away' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, [...OWNER_MEMBERS, 'limits'])
    const owner = await gateway.tenants.resolve(parseNamedOwner(request, body))
    const limits = parseLimitChanges(body.limits)
    request.database = databaseName(owner)
    const entry = await audited(event, {
      action: 'limit_tenant',
      owner,
      asked: { limits },
      work: () => gateway.tenants.limit(owner, limits),
    })
    return {
      status: 'limited',
      tenant_id: entry.tenantId,
      ...(entry.schema !== null && { schema_name: entry.schema }),
      database: entry.database,
      limits: describeLimits(entry.limits),
    }
  },
})
