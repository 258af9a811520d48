import { getRouterParams, type H3Event } from 'h3'
import { GatewayError } from '../../errors.ts'
import type { NumericFormat } from '../../json/numeric-format.ts'
import { parseFunctionName } from '../../tenancy/names.ts'
import { parseNamedOwner } from '../../tenancy/owners.ts'
import { parseQuery } from '../body/query-string.ts'
import { findDatabase, targetIn, whereItIs } from '../body/read-call.ts'
import { nodeOf } from '../request.ts'
import { answerRows, noteTiming } from './answer.ts'
import { answerStream, streamTypeOf } from './answer-stream.ts'
import { isNoneMatch, weakEtag } from './etag.ts'
import { preferenceOf } from './prefer.ts'

/** Only the client may cache the answer, and must revalidate it before each use. */
const CACHE_CONTROL = 'private, no-cache'

/**
 * Answers GET /call/{platform}/{tenant}/{function}, where /{schema}/{uuid}/ may replace the tenant,
 * with the rows, or with 304 if the client has them already. A stream has no ETag, because its rows
 * are not known before they are sent.
 */
export async function answerGet(event: H3Event): Promise<void> {
  const { request } = event.context
  const { req, res } = nodeOf(event)
  const path = getRouterParams(event, { decode: true })
  const { platform, tenant: tenant_id, schema: schema_name, uuid } = path
  checkPath({ tenant: tenant_id, schema: schema_name, uuid })
  const owner = parseNamedOwner(request, { platform, tenant_id, schema_name, uuid })
  const name = parseFunctionName(path.function)
  request.function = name
  event.context.gateway.inFlight.add(request, 'call')
  const params = parseQuery(req.url ?? '')
  const database = await findDatabase(event, owner, { client: request.client })
  try {
    const target = targetIn(event, owner, database, undefined)
    const type = streamTypeOf(event)
    const numeric = numericOf(req.headers.prefer)
    const call = { name, params, numeric }
    if (type) {
      res.setHeader('cache-control', CACHE_CONTROL)
      res.setHeader('vary', 'prefer')
      if (numeric) res.setHeader('preference-applied', `numeric=${numeric}`)
      return await answerStream(event, type, (as, sink) =>
        whereItIs(event, target, (calls, there) => calls.streamGet(there, call, as, sink)),
      )
    }
    const result = await whereItIs(event, target, (calls, there) => calls.get(there, call))
    const etag = weakEtag(result.rows)
    // All headers in one array: setting them one by one takes Node.js three times as long.
    const caching = [
      'etag',
      etag,
      'cache-control',
      CACHE_CONTROL,
      'vary',
      'accept, accept-encoding, prefer',
    ]
    if (numeric) caching.push('preference-applied', `numeric=${numeric}`)
    if (isNoneMatch(req.headers['if-none-match'], etag)) await answerRows(event, result, caching)
    else {
      noteTiming(event, result)
      res.writeHead(304, ['x-request-id', request.id, ...caching]).end()
    }
  } catch (error) {
    const isOther = error instanceof GatewayError && error.code === 'method_not_allowed'
    // The function cannot be called by GET, and no other method exists at this path.
    if (isOther) res.setHeader('allow', 'OPTIONS')
    throw error
  }
}

/**
 * Rejects "null" in a path: a client without a value must not reach another database.
 * @throws {GatewayError} invalid_request naming the part
 */
function checkPath(parts: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(parts)) {
    if (value !== 'null') continue
    throw new GatewayError(
      'invalid_request',
      `The path has "null" for its {${name}}: GET /call/{platform}/{function} is the main database, and uuid main the base of a schema`,
    )
  }
}

/** Returns `numeric` of the Prefer header; ignores other preferences and unknown values. */
function numericOf(header: string | string[] | undefined): NumericFormat | undefined {
  const value = preferenceOf(header, 'numeric')
  return value === 'string' || value === 'number' ? value : undefined
}
