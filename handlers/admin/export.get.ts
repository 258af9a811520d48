import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { answerDump } from '../../lib/http/answer/answer-dump.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { goToServerOf } from '../../lib/http/server-of.ts'
import { OWNER_MEMBERS, parseNamedTenant } from '../../lib/tenancy/owners.ts'

export default defineHandler({
  meta: {
    description: "Stream a tenant's database in pg_dump's custom format",
    query: OWNER_MEMBERS,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north' },
    answer: 'PGDMP…',
    types: ['application/octet-stream'],
    errors: [
      'database_not_found',
      'tenant_busy',
      'dump_failed',
      'dump_not_available',
      'database_in_use',
    ],
  },
  async handler(event) {
    const { request } = event.context
    const query = readQuery(event, OWNER_MEMBERS)
    const asked = parseNamedTenant(request, query)
    const gateway = await goToServerOf(event, asked)
    const owner = await gateway.tenants.resolve(asked)
    const { database } = await gateway.tenants.read(owner)
    request.database = database
    await answerDump(event, `${database}.dump`, (sink) =>
      audited(event, {
        action: 'export_tenant',
        owner,
        work: async (note) => {
          note({ bytes: await gateway.deploys.exportTenant(owner, sink) })
        },
      }),
    )
  },
})
