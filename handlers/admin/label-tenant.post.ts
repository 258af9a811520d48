import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseLabelChanges } from '../../lib/tenancy/labels.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const MEMBERS = [...OWNER_MEMBERS, 'labels'] as const

export default defineHandler({
  meta: {
    description: 'Set the labels of a tenant; one that is null is taken away',
    body: MEMBERS,
    required: ['platform', 'labels'],
    request: { platform: 'clinic', tenant_id: 'north', labels: { plan: 'pro' } },
    answer: {
      status: 'labelled',
      tenant_id: 'north',
      database: 'clinic_north',
      state: 'active',
      labels: { plan: 'pro' },
    },
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const asked = parseNamedTenant(request, body)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
    const labels = parseLabelChanges(body.labels)
    request.database = databaseName(owner)
    const tenant = await audited(event, {
      action: 'label_tenant',
      owner,
      asked: { labels },
      work: () => gateway.tenants.label(owner, labels),
    })
    gateway.events.noteFleet(owner.platform)
    return { status: 'labelled', ...describeTenant(tenant) }
  },
})
