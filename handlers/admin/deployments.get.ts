import { defineHandler } from 'h3'
import { GatewayError } from '../../lib/errors.ts'
import { answerInSlices } from '../../lib/http/answer/json-slices.ts'
import { parseCount, readQuery } from '../../lib/http/body/page-query.ts'
import type { Owner } from '../../lib/tenancy/names.ts'
import {
  type GivenOwner,
  namesOne,
  OWNER_MEMBERS,
  parseNamedOwner,
} from '../../lib/tenancy/owners.ts'

const QUERY = [...OWNER_MEMBERS, 'limit', 'after'] as const
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
    const query = readQuery(event, QUERY)
    const { tenants } = gateway
    const owner = await tenants.resolve(parseNamedOwner(request, query as GivenOwner))
    const { platform } = owner
    const isOne = namesOne(query as GivenOwner)
    const { tenantId, schema } = isOne ? owner : ({} as Partial<Owner>)
    const limit = parseCount('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const after = parseCount('after', query.after, Number.MAX_SAFE_INTEGER)
    const deployments = await gateway.deployments.read({ platform, tenantId, schema, after, limit })
    if (deployments.length === 0 && !(await tenants.has(platform, { tenantId, schema }))) {
      if (isOne) await tenants.locate(owner)
      throw new GatewayError('database_not_found', `Platform ${platform} has no database`)
    }
    return answerInSlices({
      platform,
      deployments,
      count: deployments.length,
      next_after: deployments.length === limit ? deployments.at(-1)!.id : null,
    })
  },
})
