import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

export default defineHandler({
  meta: {
    description: 'Have the calls of a suspended tenant run again',
    body: OWNER_MEMBERS,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north' },
    answer: {
      status: 'resumed',
      tenant_id: 'north',
      database: 'clinic_north',
      state: 'active',
      labels: { plan: 'pro' },
    },
    errors: ['database_not_found', 'tenant_busy'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, OWNER_MEMBERS)
    const asked = parseNamedTenant(request, body)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
    request.database = databaseName(owner)
    const tenant = await audited(event, {
      action: 'resume_tenant',
      owner,
      work: () => gateway.tenants.resume(owner),
    })
    return { status: 'resumed', ...describeTenant(tenant) }
  },
})
