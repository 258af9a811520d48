import { defineHandler } from 'h3'
import { askWithNewest, checkKnown } from '../../lib/http/all-servers.ts'
import { answerDocument } from '../../lib/http/answer/answer-document.ts'
import { jsonBytesInSlices } from '../../lib/http/answer/json-slices.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { listDatabases, listPlatforms } from '../../lib/operations/fleet-lists.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

const QUERY = ['platform', 'server'] as const

export default defineHandler({
  meta: {
    description: 'The state of each database as the catalog knows it, and what can be done',
    query: QUERY,
    request: { platform: 'clinic' },
    answer: {
      platforms: [
        {
          platform: 'clinic',
          isolation: 'platform-roles',
          schema: '0cbc175b9c0f1b6831e9c86c9d36ae2d',
          databases: 1,
          synced: 0,
          pending: 1,
          drifted: 0,
          failed: 0,
          suspended: 0,
          missing: 0,
          drift_checked_at: null,
        },
      ],
      databases: [
        {
          database: 'clinic_north',
          platform: 'clinic',
          tenant_id: 'north',
          schema_name: null,
          state: 'pending',
          tenant_state: 'active',
          pending: true,
          schema: null,
          last_deployed_at: null,
          error: null,
          calls: 120,
          errors: 0,
          labels: { plan: 'pro' },
          held: false,
          size_bytes: 9224547,
        },
      ],
      count: 1,
      can: { create: true, export: true, drift: true },
    },
    errors: ['not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, QUERY)
    let list: object
    if (query.platform === undefined) {
      const ask = askWithNewest(gateway, query)
      list = await listPlatforms(gateway.servers, ask, request.mayName)
    } else {
      const platform = parsePlatform(request, query.platform)
      await checkKnown(gateway, platform)
      list = await listDatabases(gateway.servers, askWithNewest(gateway, query, platform), platform)
    }
    const bytes = await jsonBytesInSlices(list)
    return answerDocument(event, 'application/json; charset=utf-8', bytes)
  },
})
