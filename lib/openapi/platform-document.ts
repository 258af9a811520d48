import {
  type DescribedFunction,
  type Description,
  overloadsByName,
  type Parameter,
} from '../description/description.ts'
import { CODES, type ErrorCode } from '../errors.ts'
import { sqlstateStatus } from '../postgres/errors.ts'
import { ERROR_SCHEMA, errorResponses } from './gateway-document.ts'
import { type JsonSchema, memberSchema } from './members.ts'
import { describe, TypeSchemas } from './type-schemas.ts'

/** Whose functions a document describes, as requests name it. */
export interface DocumentedOwner {
  platform: string
  tenant_id?: string | undefined
  schema_name?: string | undefined
  uuid?: string | undefined
}

/** Errors that any call may give. */
const COMMON: ErrorCode[] = [
  'invalid_request',
  'unauthorized',
  'platform_isolation_violation',
  'database_not_found',
  'function_not_found',
  'pool_exhausted',
  'connection_failed',
  'query_timeout',
]

/** Their responses. */
const RESPONSES = errorResponses(COMMON)

/**
 * Returns the OpenAPI 3.1 document of the functions that can be called: each is an operation of
 * its own, `POST /call#name`. A client does not send the fragment; it keeps the operations apart,
 * which all have the path /call.
 */
export function platformDocument(
  owner: DocumentedOwner,
  { functions, types, digest }: Description,
): object {
  const schemas = new TypeSchemas(types, ['Error'])
  const byName = overloadsByName(functions)
  const paths = functions.map((one) => {
    const id = byName.get(one.name)!.length === 1 ? one.name : overloadName(one)
    return [`/call#${id}`, { post: operationOf(owner, one, id, schemas) }]
  })
  return {
    openapi: '3.1.0',
    info: {
      title: `Functions of ${owner.platform}`,
      version: digest.slice(0, 12),
      description: 'Each function is called by POST /call.',
    },
    servers: [{ url: '/' }],
    paths: Object.fromEntries(paths),
    components: {
      schemas: { Error: ERROR_SCHEMA, ...schemas.all() },
      responses: RESPONSES,
    },
  }
}

/** `f(integer,text)`: the name and the argument types, without characters that a path cannot have. */
function overloadName({ name, parameters }: DescribedFunction): string {
  return `${name}(${parameters.map(({ type }) => type.replaceAll(/[^\w.[\]]/g, '_')).join()})`
}

function operationOf(
  owner: DocumentedOwner,
  one: DescribedFunction,
  id: string,
  schemas: TypeSchemas,
): object {
  const [summary = '', ...rest] = one.about.split('\n')
  const description = rest.join('\n').trim()
  return {
    operationId: id,
    summary: summary || one.name,
    ...(description !== '' && { description }),
    tags: [one.schema],
    requestBody: {
      required: true,
      content: { 'application/json': { schema: requestSchema(owner, one, schemas) } },
    },
    responses: {
      200: {
        description: 'The rows',
        content: { 'application/json': { schema: answerSchema(one, schemas) } },
      },
      ...declaredErrors(one),
    },
    'x-kind': one.kind,
    'x-volatility': one.volatility,
    'x-identity': one.identity,
  }
}

function requestSchema(owner: DocumentedOwner, one: DescribedFunction, schemas: TypeSchemas) {
  const named = Object.entries(owner).filter(([, value]) => value !== undefined)
  const fixed = named.map(([name, value]) => [name, { const: value }])
  const options = ['timeout_ms', 'session', 'primary', 'numeric'].map((name) => [
    name,
    memberSchema('body', name)!,
  ])
  const isRequired = one.parameters.some((parameter) => !isOptional(parameter))
  return {
    type: 'object',
    required: [...named.map(([name]) => name), 'function', ...(isRequired ? ['params'] : [])],
    properties: {
      ...Object.fromEntries(fixed),
      // The functions of a platform's main database are those of its tenants, unless one is named.
      ...(named.length === 1 && { tenant_id: memberSchema('body', 'tenant_id') }),
      function: { const: one.name },
      params: parametersSchema(one.parameters, schemas),
      ...Object.fromEntries(options),
    },
    additionalProperties: false,
  }
}

function isOptional({ default: value, isVariadic }: Parameter): boolean {
  return value !== null || isVariadic
}

function parametersSchema(parameters: Parameter[], schemas: TypeSchemas): JsonSchema {
  const all = parameters.map((parameter) => ({
    ...parameter,
    schema: schemaOf(parameter, schemas),
  }))
  const fixed = all.filter(({ isVariadic }) => !isVariadic)
  const required = all.filter((one) => !isOptional(one))
  const byPosition = {
    type: 'array',
    ...(fixed.length > 0 && { prefixItems: fixed.map(({ schema }) => schema) }),
    items: fixed.length < all.length,
    ...(required.length > 0 && { minItems: required.length }),
  }
  if (all.some(({ name }) => name === null)) return byPosition
  const byName = {
    type: 'object',
    properties: Object.fromEntries(all.map(({ name, schema }) => [name, schema])),
    ...(required.length > 0 && { required: required.map(({ name }) => name) }),
    additionalProperties: false,
  }
  return { anyOf: [byName, byPosition] }
}

function schemaOf(parameter: Parameter, schemas: TypeSchemas): JsonSchema {
  const { type, isNotNull, about, default: value } = parameter
  const schema = describe(schemas.of(type, !isNotNull), about)
  if (value === null || typeof schema === 'boolean') return schema
  // The default is an expression of SQL, which need not have a JSON value.
  return { ...schema, 'x-default': value }
}

function answerSchema({ columns, returnsSet, kind }: DescribedFunction, schemas: TypeSchemas) {
  const row = columns
    ? { ...schemas.object(columns), required: columns.map(({ name }) => name) }
    : { type: 'object' }
  const isOne = kind === 'function' && !returnsSet
  return {
    type: 'object',
    required: ['rows', 'row_count', 'execution_time_ms'],
    properties: {
      rows: { type: 'array', items: row, ...(isOne && { minItems: 1, maxItems: 1 }) },
      row_count: { type: 'integer' },
      execution_time_ms: { type: 'integer' },
    },
  }
}

/** The responses of any call, where those with the status of a declared error name its SQLSTATE. */
function declaredErrors({ errors }: DescribedFunction): Record<string, object> {
  const responses: Record<string, object> = {}
  for (const status of Object.keys(RESPONSES)) {
    responses[status] = { $ref: `#/components/responses/${status}` }
  }
  const statuses = new Set(errors.map(({ sqlstate }) => sqlstateStatus(sqlstate)))
  for (const status of statuses) {
    const declared = errors.filter(({ sqlstate }) => sqlstateStatus(sqlstate) === status)
    const common = COMMON.filter((code) => CODES[code][0] === status)
    const lines = [
      ...declared.map(({ sqlstate, about }) => `SQLSTATE ${sqlstate}: ${about}`),
      ...common.map((code) => `\`${code}\`: ${CODES[code][1]}`),
    ]
    const raised = {
      properties: {
        error: { const: 'query_failed' },
        sqlstate: { enum: [...new Set(declared.map(({ sqlstate }) => sqlstate))] },
      },
      required: ['sqlstate'],
    }
    const error = { $ref: '#/components/schemas/Error' }
    const schema = common.length > 0 ? error : { allOf: [error, raised] }
    responses[status] = {
      description: lines.join('\n\n'),
      content: { 'application/json': { schema } },
      'x-sqlstates': declared,
    }
  }
  return responses
}
