import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { parseFlag } from '../../lib/json/flag.ts'
import { parseLabels } from '../../lib/tenancy/labels.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant, parseNewName } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

export default defineHandler({
  meta: { description: 'Copy a tenant with its database; calls of the source wait meanwhile' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, [...OWNER_MEMBERS, 'to', 'labels', 'hold'])
    const from = await gateway.tenants.resolve(parseNamedTenant(request, body))
    const to = parseNewName(from, body.to)
    const labels = parseLabels(body.labels)
    const isHeld = parseFlag('hold', body.hold)
    request.database = databaseName(from)
    const cloned = await audited(event, {
      action: 'clone_tenant',
      owner: from,
      asked: { to: to.tenantId, ...(body.labels && { labels }), ...(isHeld && { hold: true }) },
      work: async (note) => {
        const done = await gateway.deploys.cloneTenant({ from, to, labels, isHeld })
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
