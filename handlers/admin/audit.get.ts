import { defineHandler } from 'h3'
import { GatewayError } from '../../lib/errors.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { parsePlatform } from '../../lib/tenancy/names.ts'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

export default defineHandler({
  meta: { description: 'List changes, deploys and refused requests, newest first' },
  async handler(event) {
    const { gateway, request } = event.context
    const query = readQuery(event, ['platform', 'limit', 'before'])
    const platform =
      query.platform === undefined ? undefined : parsePlatform(request, query.platform)
    const limit = parseNumber('limit', query.limit, MAX_LIMIT) ?? DEFAULT_LIMIT
    const before = parseNumber('before', query.before, Number.MAX_SAFE_INTEGER)
    const entries = await gateway.audit.read({ platform, mayName: request.mayName, before, limit })
    return {
      entries,
      count: entries.length,
      next_before: entries.length === limit ? entries.at(-1)!.id : null,
    }
  },
})

function parseNumber(name: string, value: unknown, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : 0
  if (number >= 1 && number <= max) return number
  throw new GatewayError('invalid_request', `${name} must be a whole number from 1 to ${max}`)
}
