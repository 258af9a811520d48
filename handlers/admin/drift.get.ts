import { defineHandler } from 'h3'
import { findDrift } from '../../lib/deploy/drift/drift.ts'
import { parsePlatform } from '../../lib/names.ts'
import { readQuery } from '../../lib/page-query.ts'

export default defineHandler({
  meta: { description: 'What the databases of a platform have other than its template' },
  async handler(event) {
    const { gateway, request } = event.context
    return findDrift(gateway, parsePlatform(request, readQuery(event, ['platform']).platform))
  },
})
