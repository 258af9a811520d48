import { defineHandler } from 'h3'
import { newestFirst, parsePlace, placeOf } from '../../lib/deploy/deployments/merged-page.ts'
import { GatewayError } from '../../lib/errors.ts'
import { askServers } from '../../lib/http/all-servers.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseCount, readQuery } from '../../lib/http/body/page-query.ts'
import { awayField, joinRows } from '../../lib/servers/fan-in.ts'
import type { Owner } from '../../lib/tenancy/names.ts'
import {
  type GivenOwner,
  namesOne,
  OWNER_MEMBERS,
  parseNamedOwner,
} from '../../lib/tenancy/owners.ts'

const QUERY = [...OWNER_MEMBERS, 'limit', 'after', 'server'] as const
const DEFAULT_LIMIT = 50
const MAX_LIMIT = 1000

export default defineHandler({
  meta: {
    description: 'List the last deploys of a platform, newest first, with their failures',
    query: QUERY,
    required: ['platform'],
    request: { platform: 'clinic', tenant_id: 'north', limit: 20 },
    answer: {
      platform: 'clinic',
      deployments: [
        {
          database: 'clinic_north',
          deployed_at: '2026-11-24T06:59:39.96+00:00',
          status: 'completed',
          archive_checksum: null,
          migrations_applied: ['001_people.pssql'],
          error: null,
        },
      ],
      count: 1,
      next_after: null,
    },
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const { servers } = gateway
    const query = readQuery(event, QUERY)
    const named = parseNamedOwner(request, query as GivenOwner)
    const { platform } = named
    const isOne = namesOne(query as GivenOwner)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const place = parsePlace(servers, query.after)
    const asked = { server: query.server, owner: isOne ? named : undefined }
    const gathered = await askServers(gateway, asked, async (there) => {
      const owner = isOne ? await there.tenants.resolve(named) : undefined
      const { tenantId, schema } = owner ?? ({} as Partial<Owner>)
      const after = place(servers.nameOf(there))
      const rows = await there.deployments.read({ platform, tenantId, schema, limit, ...after })
      const isKnown = rows.length > 0 || (await there.tenants.has(platform, { tenantId, schema }))
      if (owner && !isKnown) await there.tenants.locate(owner)
      return { isKnown, rows }
    })
    if (gathered.away.length === 0 && !gathered.answers.some(({ answer }) => answer.isKnown)) {
      throw new GatewayError('database_not_found', `Platform ${platform} has no database`)
    }
    const pages = gathered.answers.map(({ server, answer }) => ({ server, answer: answer.rows }))
    const deployments = (await joinRows(servers, pages, newestFirst)).slice(0, limit)
    return answerInSlices({
      platform,
      deployments,
      count: deployments.length,
      next_after: deployments.length === limit ? placeOf(deployments.at(-1)!) : null,
      ...awayField(gateway.servers, gathered),
    })
  },
})
