import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { clientGone } from '../../lib/http/client-gone.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant, parseNewName } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const MEMBERS = [...OWNER_MEMBERS, 'to', 'hold'] as const

export default defineHandler({
  meta: {
    description: 'Rename a tenant and its database; calls wait, and follow it',
    body: MEMBERS,
    required: ['platform', 'to'],
    request: { platform: 'clinic', tenant_id: 'north', to: 'nordic' },
    answer: {
      status: 'renamed',
      from: { tenant_id: 'north', database: 'clinic_north' },
      tenant_id: 'nordic',
      database: 'clinic_nordic',
      state: 'active',
      labels: { plan: 'pro' },
    },
    errors: [
      'database_not_found',
      'database_already_exists',
      'name_conflict',
      'tenant_busy',
      'database_in_use',
    ],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, MEMBERS)
    const asked = parseNamedTenant(request, body)
    const gateway = await goToServerOf(event, asked)
    const from = await gateway.tenants.resolve(asked)
    const to = parseNewName(from, body.to)
    const isHeld = parseFlag('hold', body.hold)
    request.database = databaseName(from)
    const databases = [...new Set([databaseName(from), databaseName(to)])]
    const tenant = await audited(event, {
      action: 'rename_tenant',
      owner: from,
      asked: { to: to.tenantId, ...(isHeld && { hold: true }) },
      work: () => gateway.deploys.renameTenant(from, to, isHeld, clientGone(event)),
      describe: () => ({ databases }),
    })
    return {
      status: 'renamed',
      from: { tenant_id: tenant.tenantId, database: tenant.database },
      ...describeTenant(await gateway.tenants.read(to)),
    }
  },
})
