import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/body.ts'
import { databaseName, parseOwner } from '../../lib/names.ts'
import { forgetEntry } from '../../lib/tenancy/forget-entry.ts'

export default defineHandler({
  meta: { description: 'Take a database that was dropped by hand out of the catalog' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, ['platform', 'tenant_id'])
    const owner = parseOwner(request, body.platform, body.tenant_id)
    const database = databaseName(owner)
    request.database = database
    await audited(event, {
      action: 'forget_database',
      owner,
      work: () =>
        gateway.deploys.run(database, () =>
          gateway.catalog.use((sql) => forgetEntry(sql, { ...owner, database, role: null })),
        ),
    })
    // Before its own notification comes: the next request has to see it.
    gateway.catalog.forget(owner)
    return { status: 'forgotten', database, platform: owner.platform, tenant_id: owner.tenantId }
  },
})
