import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { readJsonObject } from '../../lib/http/body/body.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { ownerFields } from '../../lib/tenancy/owner-identity.ts'
import { OWNER_MEMBERS, parseNamedOwner } from '../../lib/tenancy/owners.ts'

export default defineHandler({
  meta: {
    description: 'Remove a database that was dropped by hand from the catalog',
    body: OWNER_MEMBERS,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north' },
    answer: {
      status: 'forgotten',
      database: 'clinic_north',
      platform: 'clinic',
      tenant_id: 'north',
    },
    errors: ['database_not_found', 'database_already_exists'],
  },
  async handler(event) {
    const { request } = event.context
    const body = await readJsonObject(event, OWNER_MEMBERS)
    const asked = parseNamedOwner(request, body)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
    const database = databaseName(owner)
    request.database = database
    await audited(event, {
      action: 'forget_database',
      owner,
      work: () => gateway.deploys.forget(owner),
    })
    return { status: 'forgotten', database, ...ownerFields(owner) }
  },
})
