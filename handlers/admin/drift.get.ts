import { defineHandler } from 'h3'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: {
    description: 'Compare the databases of a platform with its template',
    query: ['platform'],
    required: ['platform'],
    request: { platform: 'clinic' },
    answer: {
      platform: 'clinic',
      summary: 'All 2 databases are like their template',
      count: 2,
      alike: 2,
      groups: [],
      unreachable: [],
    },
    errors: ['database_not_found'],
  },
  async handler(event) {
    const { gateway, request } = event.context
    return gateway.deploys.findDrift(
      parsePlatform(request, readQuery(event, ['platform']).platform),
    )
  },
})
