import { defineHandler } from 'h3'
import { readJsonObject } from '../../lib/body.ts'
import { createTenant } from '../../lib/deploy/database.ts'
import { databaseName, parsePlatform, parseTenantId } from '../../lib/names.ts'

export default defineHandler({
  meta: { description: 'Create the empty database of a new tenant' },
  async handler(event) {
    const { gateway, request } = event.context
    const body = await readJsonObject(event)
    const owner = {
      platform: parsePlatform(request, body.platform),
      tenantId: parseTenantId(body.tenant_id),
    }
    request.database = databaseName(owner)
    const database = await gateway.deploys.run(request.database, () => createTenant(gateway, owner))
    event.res.status = 201
    return {
      status: 'created',
      database,
      message: 'Database created. Run /register or /migrate to deploy schema.',
    }
  },
})
