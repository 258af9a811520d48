import { defineHandler } from 'h3'
import { findDrift } from '../../lib/deploy/drift/drift.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

export default defineHandler({
  meta: { description: 'What the databases of a platform have other than its template' },
  async handler(event) {
    const { gateway, request } = event.context
    return findDrift(gateway, parsePlatform(request, readQuery(event, ['platform']).platform))
  },
})
