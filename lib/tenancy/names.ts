import { MAX_SHOWN, shown } from '../common/shown.ts'
import { GatewayError } from '../errors.ts'
import type { Json } from '../json/json.ts'
import { jsonOf, nameOf } from '../json/text.ts'

/**
 * Identifies a database. Without a `schema` it is a platform's main database (`tenantId` null) or
 * the database of a tenant. With a `schema` it is the schema's base database (`tenantId` null) or
 * the database of the schema's tenant.
 */
export interface Owner {
  platform: string
  tenantId: string | null
  /** Null if the platform and the tenant alone name the database. */
  schema: string | null
  /**
   * Name of the database if it differs from the one that the other fields give, such as a template.
   */
  database?: string
}

/** Longest PostgreSQL identifier, in bytes (NAMEDATALEN - 1). */
const MAX_IDENTIFIER_BYTES = 63

const ID = /^[A-Za-z0-9_-]{1,63}$/
const FUNCTION_NAME = /^[a-z_][a-z0-9_]{0,62}$/

/** A name in a request: a JSON value, or the text or texts of a URL or form field. */
export type Given = Json | string | string[] | null | undefined

/** The part of a request that decides which platforms it may name. */
export interface Asker {
  /** Client address; undefined if a proxy sent no valid one. */
  address: string | undefined
  /**
   * Tells whether the client address may name a platform; undefined if every address may name all
   * of them.
   */
  mayName: ((platform: string) => boolean) | undefined
  /** Platform of the request, for the log; set as soon as it is known. */
  platform: string | undefined
}

/**
 * Returns the platform that a request names, if its address may name it. Every endpoint gets the
 * platform through this function, so that none omits the check. Also records it for the log.
 * @throws {GatewayError} invalid_request, platform_isolation_violation
 */
export function parsePlatform(request: Asker, value: Given): string {
  const platform = parseId('platform', value)
  request.platform = platform
  if (!request.mayName || request.mayName(platform)) return platform
  throw new GatewayError(
    'platform_isolation_violation',
    `PLATFORM_NETWORKS does not let the address ${request.address ?? '(unknown)'} name the platform "${platform}"`,
  )
}

/**
 * Returns the owner that a request names. An absent or null tenant id means the main database. In a
 * form or a URL, which have no null, an empty text and the text `null` mean it too. In JSON these
 * two are a client's mistake and are refused, so that a tenant's call never reaches the main
 * database.
 * @throws {GatewayError} invalid_request naming the field, platform_isolation_violation
 */
export function parseOwner(request: Asker, platform: Given, tenantId: Given): Owner {
  const tenant = textOf('tenant_id', tenantId)
  const isNone = tenant === '' || tenant === 'null'
  if (isNone && isJsonString(tenantId)) {
    throw new GatewayError(
      'invalid_request',
      `tenant_id is ${JSON.stringify(tenant)}: leave it out, or send null, to mean the main database`,
    )
  }
  return {
    platform: parsePlatform(request, platform),
    tenantId: isNone ? null : parseTenantId(tenant),
    schema: null,
  }
}

function isJsonString(value: Given): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'string'
}

/**
 * Returns the tenant id.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseTenantId(value: Given, field = 'tenant_id'): string {
  const tenantId = parseId(field, value)
  // The main database of the platform has this name.
  if (databaseSuffix(tenantId) === 'main') {
    throw new GatewayError(
      'invalid_request',
      `${field} "${tenantId}" is reserved: leave tenant_id out to mean the main database`,
    )
  }
  return tenantId
}

/** Returns whether a value is valid as a platform or a tenant id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value)
}

/** Not exported: a platform that a request names must pass through `parsePlatform`. */
function parseId(field: string, value: Given): string {
  const text = textOf(field, value)
  if (text === '') throw new GatewayError('invalid_request', `${field} is missing`)
  if (isId(text)) return text
  throw new GatewayError(
    'invalid_request',
    `${field} must be 1 to 63 letters, digits, "_" or "-"; got ${JSON.stringify(shown(text))}`,
  )
}

/**
 * Returns the name of the function.
 * @throws {GatewayError} invalid_request
 */
export function parseFunctionName(value: Given): string {
  const text = textOf('function', value)
  if (FUNCTION_NAME.test(text)) return text
  throw new GatewayError(
    'invalid_request',
    text === ''
      ? 'function is missing'
      : `function must match ${FUNCTION_NAME.source}; got ${JSON.stringify(shown(text))}`,
  )
}

/**
 * Returns the name of the owner's database. Without a schema it is `{platform}_main` or
 * `{platform}_{tenant_id}`, in lower case with `_` for `-`. With a schema it is
 * `{platform}_{schema}` or `{platform}_{schema}_{tenant}`, passed through `sanitize`. An owner's
 * `database` overrides both. Several owners can give the same name; the catalog decides who holds
 * it.
 * @throws {GatewayError} invalid_request if PostgreSQL would truncate the name
 */
export function databaseName({ platform, tenantId, schema, database }: Owner): string {
  if (database !== undefined) return database
  const name =
    schema === null
      ? databaseSuffix(`${platform}_${tenantId ?? 'main'}`)
      : sanitize(`${platform}_${schema}${tenantId === null ? '' : `_${tenantId}`}`)
  if (name.length <= MAX_IDENTIFIER_BYTES) return name
  throw new GatewayError(
    'invalid_request',
    `platform and ${schema === null ? 'tenant_id' : 'schema_name and uuid'} give the database name "${name}", which has ${name.length} bytes; ` +
      `PostgreSQL allows ${MAX_IDENTIFIER_BYTES}`,
  )
}

/**
 * Returns the prefix of a platform's database names. Platforms with the same prefix can give the
 * same names.
 */
export function databasePrefix(platform: string): string {
  return sanitize(platform) || databaseSuffix(platform)
}

function databaseSuffix(id: string): string {
  return id.toLowerCase().replaceAll('-', '_')
}

const SANITIZED = /^[a-z0-9](?:[a-z0-9_]*[a-z0-9])?$/

/**
 * Turns a text into a part of a database name: lower case, `_` for every character but letters,
 * digits and `_`, no `_` at either end. Returns '' if nothing is left.
 */
export function sanitize(text: string): string {
  if (SANITIZED.test(text)) return text
  const name = text.replaceAll(/[^A-Za-z0-9_]/gu, '_').toLowerCase()
  return name.startsWith('_') || name.endsWith('_') ? name.replaceAll(/^_+|_+$/g, '') : name
}

/**
 * Returns the text of a name in a request, or '' if it is absent or null.
 * @throws {GatewayError} invalid_request naming the field
 */
export function textOf(field: string, value: Given): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string') return value
  if (Array.isArray(value)) {
    throw new GatewayError('invalid_request', `${field} is given ${value.length} times`)
  }
  if (value.kind === 'string') return nameOf(value)
  if (value.kind === 'null') return ''
  const { start, end } = value
  const beginning = jsonOf({ ...value, kind: 'number', end: Math.min(end, start + 4 * MAX_SHOWN) })
  throw new GatewayError('invalid_request', `${field} must be a string; got ${shown(beginning)}`)
}
