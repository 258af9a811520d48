import packageJson from '../../package.json' with { type: 'json' }
import { CODES, type ErrorCode } from '../errors.ts'
import type { Access, TokenKind } from '../http/access/access.ts'
import type { EndpointDocs } from '../http/endpoint-docs.ts'
import { inferSchema } from './infer-schema.ts'
import { type JsonSchema, memberSchema } from './members.ts'

/** An endpoint as the document needs it. */
export interface DocumentedEndpoint {
  method: string
  /** Path in h3's syntax: `/thing/:id`. */
  path: string
  access: Access
  token?: TokenKind | undefined
  description?: string | undefined
  docs?: EndpointDocs | undefined
}

/** OpenAPI knows these methods; QUERY has a place in 3.2. */
const METHODS = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'])

/** Errors that any endpoint may give, by its access. */
const COMMON: Record<Access, ErrorCode[]> = {
  public: ['internal_error'],
  network: ['invalid_request', 'unauthorized', 'cross_site_refused', 'internal_error'],
  admin: ['invalid_request', 'unauthorized', 'cross_site_refused', 'internal_error'],
}

/** An answer that is an error. */
export const ERROR_SCHEMA = {
  type: 'object',
  required: ['error', 'message'],
  properties: {
    error: { type: 'string', enum: Object.keys(CODES).sort() },
    message: { type: 'string' },
    database: { type: 'string' },
    cause: { type: 'string', description: "PostgreSQL's message, with DETAIL and HINT" },
    sqlstate: { type: 'string', pattern: '^[0-9A-Z]{5}$' },
    detail: { type: 'string' },
    hint: { type: 'string' },
    constraint: { type: 'string' },
    may_have_run: { type: 'boolean' },
  },
}

const SECURITY = {
  adminToken: { type: 'http', scheme: 'bearer', description: 'ADMIN_TOKEN, where it is set' },
  platformToken: { type: 'http', scheme: 'bearer', description: 'The token of the platform' },
}

/** Returns the OpenAPI 3.1 document of the gateway's endpoints, by path and method. */
export function gatewayDocument(endpoints: readonly DocumentedEndpoint[]): object {
  const paths: Record<string, Record<string, object>> = {}
  const key = ({ path, method }: DocumentedEndpoint) => `${path} ${method}`
  const sorted = endpoints.toSorted((one, other) => (key(one) < key(other) ? -1 : 1))
  for (const endpoint of sorted) {
    if (!METHODS.has(endpoint.method)) continue
    const path = endpoint.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] ??= {}
    paths[path][endpoint.method.toLowerCase()] = operationOf(endpoint)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Database Gateway',
      version: packageJson.version,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    paths,
    components: { schemas: { Error: ERROR_SCHEMA }, securitySchemes: SECURITY },
  }
}

function operationOf(endpoint: DocumentedEndpoint): object {
  const { method, path, access, token, description = '', docs = {} } = endpoint
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => parameter('path', name!, true))
  const inQuery = (docs.query ?? []).map((name) =>
    parameter('query', name, docs.required?.includes(name) ?? false, docs.request?.[name]),
  )
  const parameters = [...inPath, ...inQuery]
  const content = requestContent(docs)
  const schemes = token === 'platform' ? ['adminToken', 'platformToken'] : ['adminToken']
  return {
    operationId: operationId(method, path),
    summary: description,
    tags: [path.startsWith('/admin/') ? 'administration' : (path.split('/')[1] ?? '')],
    ...(parameters.length > 0 && { parameters }),
    ...(content && { requestBody: { required: true, content } }),
    responses: responsesOf(docs, COMMON[access]),
    // An empty requirement: no token is needed where none is set.
    ...(access === 'admin' &&
      token !== 'none' && { security: [...schemes.map((name) => ({ [name]: [] })), {}] }),
  }
}

/** `getAdminDatabases`: the method and the words of the path. */
function operationId(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '')
  return [
    method.toLowerCase(),
    ...words.map((word) => word[0]!.toUpperCase() + word.slice(1)),
  ].join('')
}

function parameter(place: 'path' | 'query', name: string, required: boolean, example?: unknown) {
  const schema = memberSchema(place, name) ?? {}
  return { name, in: place, required, schema, ...(example !== undefined && { example }) }
}

function requestContent({ body, form, upload, required = [], request }: EndpointDocs) {
  if (upload !== undefined) return { [upload]: {} }
  const names = body ?? form
  if (!names) return undefined
  const place = body ? 'body' : 'form'
  const schema: JsonSchema = {
    type: 'object',
    ...(required.length > 0 && { required }),
    properties: Object.fromEntries(names.map((name) => [name, memberSchema(place, name) ?? {}])),
    additionalProperties: false,
  }
  const type = body ? 'application/json' : 'multipart/form-data'
  return { [type]: { schema, ...(request && { example: request }) } }
}

function responsesOf(
  { answer, status = 200, types = [], errors = [] }: EndpointDocs,
  common: ErrorCode[],
) {
  const content: Record<string, object> = {}
  if (typeof answer === 'object') {
    content['application/json'] = { schema: inferSchema(answer), example: answer }
  }
  for (const type of types) {
    content[type] = {
      schema: { type: 'string' },
      ...(typeof answer === 'string' && { example: answer }),
    }
  }
  const success = { description: 'Done', ...(Object.keys(content).length > 0 && { content }) }
  return { [status]: success, ...errorResponses([...new Set([...errors, ...common])]) }
}

/** A response for each status of these errors, and one for every other status. */
export function errorResponses(codes: ErrorCode[]): Record<string, object> {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of codes) {
    const status = CODES[code][0]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const statuses = [...byStatus].sort(([one], [other]) => one - other)
  const described = statuses.map(([status, all]) => {
    const lines = all.sort().map((code) => `\`${code}\`: ${CODES[code][1]}`)
    return [status, errorResponse(lines.join('\n\n'))]
  })
  return { ...Object.fromEntries(described), default: errorResponse('Any other error') }
}

function errorResponse(description: string) {
  const schema = { $ref: '#/components/schemas/Error' }
  return { description, content: { 'application/json': { schema } } }
}
