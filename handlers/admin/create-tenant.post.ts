import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { databaseName, parsePlatform, parseTenantId } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: { description: 'Create the empty database of a new tenant' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event, ['platform', 'tenant_id'])
    const owner = {
      platform: parsePlatform(request, body.platform),
      tenantId: parseTenantId(body.tenant_id),
      schema: null,
    }
    const database = databaseName(owner)
    request.database = database
    event.res.status = 201
    await audited(event, {
      action: 'create_tenant',
      owner,
      work: (note) =>
        gateway.deploys.createTenant(owner, (change) => note({ [`database_${change}`]: true })),
    })
    return {
      status: 'created',
      database,
      message: 'Database created. Run /register or /migrate to deploy schema.',
    }
  },
})
