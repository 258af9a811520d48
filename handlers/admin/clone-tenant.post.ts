import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { clientGone } from '../../lib/http/client-gone.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import { parseLabels } from '../../lib/tenancy/labels.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant, parseNewName } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const MEMBERS = [...OWNER_MEMBERS, 'to', 'labels', 'hold'] as const

export default defineHandler({
  meta: {
    description: 'Copy a tenant with its database; calls of the source wait meanwhile',
    body: MEMBERS,
    required: ['platform', 'to'],
    request: { platform: 'clinic', tenant_id: 'north', to: 'trial' },
    answer: {
      status: 'cloned',
      from: { tenant_id: 'north', database: 'clinic_north' },
      copied_bytes: 9224547,
      held_ms: 310,
      tenant_id: 'trial',
      database: 'clinic_trial',
      state: 'active',
      labels: { plan: 'pro' },
    },
    status: 201,
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
    const labels = parseLabels(body.labels)
    const isHeld = parseFlag('hold', body.hold)
    const gone = clientGone(event)
    request.database = databaseName(from)
    const cloned = await audited(event, {
      action: 'clone_tenant',
      owner: from,
      asked: { to: to.tenantId, ...(body.labels && { labels }), ...(isHeld && { hold: true }) },
      work: async (note) => {
        const done = await gateway.deploys.cloneTenant({ from, to, labels, isHeld, gone })
        note({ copied_bytes: done.bytes, held_ms: done.heldMs })
        event.res.status = 201
        return done
      },
      describe: () => ({ databases: [databaseName(from), databaseName(to)] }),
    })
    return {
      status: 'cloned',
      from: { tenant_id: from.tenantId, database: databaseName(from) },
      copied_bytes: cloned.bytes,
      held_ms: cloned.heldMs,
      ...describeTenant(await gateway.tenants.read(to)),
    }
  },
})
