import { defineHandler } from 'h3'
import { audited } from '../../lib/audit/audited.ts'
import { parseText, readQuery } from '../../lib/http/body/page-query.ts'
import { RawBody } from '../../lib/http/body/raw-body.ts'
import { clientGone } from '../../lib/http/client-gone.ts'
import { nodeOf } from '../../lib/http/request.ts'
import { goToServerFor, makeThere, ownServerField } from '../../lib/http/server-of.ts'
import { parseLabelFilter } from '../../lib/tenancy/labels.ts'
import { databaseName } from '../../lib/tenancy/names.ts'
import { OWNER_MEMBERS, parseNamedTenant } from '../../lib/tenancy/owners.ts'
import { describeTenant } from '../../lib/tenancy/tenants.ts'

const QUERY = [...OWNER_MEMBERS, 'label', 'server'] as const

export default defineHandler({
  meta: {
    description:
      'Create a tenant from a dump of /admin/export or pg_dump, the body; named in the query',
    takesQuery: true,
    query: QUERY,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north' },
    upload: 'application/octet-stream',
    status: 201,
    answer: {
      status: 'imported',
      platform: 'clinic',
      tenant_id: 'north',
      database: 'clinic_north',
      state: 'active',
      bytes: 9224547,
    },
    errors: ['database_already_exists', 'name_conflict', 'import_failed', 'dump_not_available'],
  },
  async handler(event) {
    const { request } = event.context
    const { req, res } = nodeOf(event)
    const query = readQuery(event, QUERY)
    const asked = parseNamedTenant(request, query)
    const labels = parseLabelFilter(parseText('label', query.label))
    const server = parseText('server', query.server) || undefined
    const wanted = { owner: asked, server, labels, isRecorded: true }
    const gateway = await goToServerFor(event, wanted)
    const owner = await gateway.tenants.resolve(asked)
    const body = new RawBody(req, res, gateway.config.requestTimeoutMs)
    request.database = databaseName(owner)
    const gone = clientGone(event)
    try {
      const { bytes } = await audited(event, {
        action: 'import_tenant',
        owner,
        asked: {
          ...(query.label !== undefined && { labels }),
          ...(server !== undefined && { server }),
        },
        work: async (note) => {
          const imported = await makeThere(event, wanted, ({ deploys }) =>
            deploys.importTenant({
              owner,
              labels,
              next: () => body.next(),
              gone,
              onDatabase: (change) => note({ [`database_${change}`]: true }),
            }),
          )
          note({ bytes: imported.bytes })
          event.res.status = 201
          return imported
        },
      })
      const tenant = describeTenant(await event.context.gateway.tenants.read(owner))
      const { platform } = owner
      return { status: 'imported', platform, ...ownServerField(event), ...tenant, bytes }
    } finally {
      body.giveUp()
    }
  },
})
