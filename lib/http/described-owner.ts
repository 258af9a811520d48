import type { H3Event } from 'h3'
import type { Description } from '../description/description.ts'
import { GatewayError } from '../errors.ts'
import { parseNamedOwner } from '../tenancy/owners.ts'
import { parseText, readQuery } from './body/page-query.ts'
import { findDatabase } from './body/read-call.ts'

/** Query parameters that name the database whose functions are described. */
export const DESCRIBED_QUERY = ['platform', 'tenant_id', 'schema', 'schema_name', 'uuid'] as const

/** A description, and the members by which calls name its database. */
export interface Described {
  owner: { platform: string; tenant_id?: string; schema_name?: string; uuid?: string }
  description: Description
  /** Returns a document of the description, as `render` makes it, or has made it before. */
  document: (kind: string, options: object, render: () => string) => Buffer
  /** The whole query. */
  query: Record<string, string | string[] | undefined>
}

/**
 * Describes what the database offers that the query names, as /call finds it. `schema` is another
 * name of `schema_name`.
 * @param more further query parameters of the endpoint
 * @throws {GatewayError} invalid_request naming the parameter; the errors of `Catalog.find`
 */
export async function readDescribed(
  event: H3Event,
  more: readonly string[] = [],
): Promise<Described> {
  const { request } = event.context
  const query = readQuery(event, [...DESCRIBED_QUERY, ...more])
  if (query.schema !== undefined && query.schema_name !== undefined) {
    throw new GatewayError('invalid_request', 'schema and schema_name are both given: send one')
  }
  // As in a call: an empty variable must not lead to the main database.
  for (const name of ['tenant_id', 'uuid'] as const) {
    if (query[name] !== '') continue
    throw new GatewayError(
      'invalid_request',
      `${name} is empty: without it, it is the main database`,
    )
  }
  const { platform, tenant_id, uuid, schema_name = query.schema } = query
  const asked = parseNamedOwner(request, { platform, tenant_id, schema_name, uuid })
  const database = await findDatabase(event, asked, { client: request.client })
  request.database = database
  const { gateway } = event.context
  const description = await gateway.descriptions.of(database)
  const schema = parseText('schema_name', schema_name || undefined)
  const owner = {
    platform: asked.platform,
    ...(schema !== undefined && { schema_name: schema }),
    ...(asked.tenantId !== null && {
      [schema === undefined ? 'tenant_id' : 'uuid']: asked.tenantId,
    }),
  }
  const document: Described['document'] = (kind, options, render) =>
    gateway.descriptions.document(JSON.stringify([kind, description.digest, options]), render)
  return { owner, description, query, document }
}
