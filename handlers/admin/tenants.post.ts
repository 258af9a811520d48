import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseLimitChanges } from '../../lib/tenancy/limits/parse-limits.ts'
import { describeLimits } from '../../lib/tenancy/limits/tenant-limits.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedOwner } from '../../lib/tenancy/owners.ts'

const MEMBERS = [...OWNER_MEMBERS, 'limits'] as const

export default defineHandler({
  meta: {
    description: 'Set limits of the calls of a tenant; one that is null is taken away',
    body: MEMBERS,
    required: ['platform', 'limits'],
    request: { platform: 'clinic', tenant_id: 'north', limits: { calls_per_second: 50 } },
    answer: {
      status: 'limited',
      tenant_id: 'north',
      database: 'clinic_north',
      limits: { calls_per_second: 50 },
    },
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const asked = parseNamedOwner(request, body)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
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
