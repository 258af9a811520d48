import { defineHandler, getQuery } from 'h3'
import { findDrift } from '../../lib/deploy/drift/drift.ts'
import { parsePlatform } from '../../lib/names.ts'

export default defineHandler({
  meta: { description: 'What the databases of a platform have other than its template' },
  async handler(event) {
    const { gateway, request } = event.context
    return findDrift(gateway, parsePlatform(request, getQuery(event).platform))
  },
})
