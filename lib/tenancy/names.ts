import { MAX_SHOWN, shown } from '../common/shown.ts'
import { GatewayError } from '../errors.ts'
import type { Json } from '../json/json.ts'
import { jsonOf, nameOf } from '../json/text.ts'

/**
 * Whose database it is: a platform's main one (`tenantId` null) or that of a tenant; with a `schema`,
 * the schema's base database (`tenantId` null) or that of its tenant.
 */
export interface Owner {
  platform: string
  tenantId: string | null
  /** Null: a database that is named by the platform and the tenant alone. */
  schema: string | null
  /** Where it is another one than these two name, such as a template. */
  database?: string
}

/** The longest identifier of PostgreSQL, in bytes (NAMEDATALEN - 1). */
const MAX_IDENTIFIER_BYTES = 63

const ID = /^[A-Za-z0-9_-]{1,63}$/
const FUNCTION_NAME = /^[a-z_][a-z0-9_]{0,62}$/

/** A name in a request: a value of its JSON, or the texts of its URL or form. */
export type Given = Json | string | string[] | null | undefined

/** What a request may name, and has named: the part of it that matters here. */
export interface Asker {
  /** Undefined where a proxy named none that is one. */
  address: string | undefined
  /** Whether its address may name a platform; undefined where all may name all. */
  mayName: ((platform: string) => boolean) | undefined
  /** For the log, as soon as it is known. */
  platform: string | undefined
}

/**
 * The platform that a request names, if one from its address may. There is no other way to a
 * platform from what a request says, so that no endpoint forgets the check; the log has it from
 * here, too.
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
 * Whose database a request names. An absent or null tenant id means the main one; in a form or a URL,
 * which have no null, so do an empty one and the text `null`. In JSON these are a client's mistake,
 * and must not have a tenant's call answered from the main database.
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

/** @throws {GatewayError} invalid_request naming the field */
export function parseTenantId(value: Given): string {
  const tenantId = parseId('tenant_id', value)
  // The main database has that name.
  if (databaseSuffix(tenantId) === 'main') {
    throw new GatewayError(
      'invalid_request',
      `tenant_id "${tenantId}" is reserved: leave tenant_id out to mean the main database`,
    )
  }
  return tenantId
}

/** Whether it can be a platform or a tenant id. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value)
}

/** Not for others: a platform that a request names is `parsePlatform`'s. */
function parseId(field: string, value: Given): string {
  const text = textOf(field, value)
  if (text === '') throw new GatewayError('invalid_request', `${field} is missing`)
  if (isId(text)) return text
  throw new GatewayError(
    'invalid_request',
    `${field} must be 1 to 63 letters, digits, "_" or "-"; got ${JSON.stringify(shown(text))}`,
  )
}

/** @throws {GatewayError} invalid_request */
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
 * The name of the owner's database: `{platform}_main` or `{platform}_{tenant_id}`, in lower case,
 * `-` as `_`; with a schema `{platform}_{schema}` or `{platform}_{schema}_{tenant}`, sanitised;
 * `database` where the owner has one. Several owners can write one name; the catalog says whose it is.
 * @throws {GatewayError} invalid_request where PostgreSQL would cut the name
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

/** What is the same for platforms that can write the same names of databases. */
export function databasePrefix(platform: string): string {
  return sanitize(platform) || databaseSuffix(platform)
}

function databaseSuffix(id: string): string {
  return id.toLowerCase().replaceAll('-', '_')
}

const SANITIZED = /^[a-z0-9](?:[a-z0-9_]*[a-z0-9])?$/

/**
 * A text as a part of a database's name: lower case, `_` for every other character than a letter, a
 * digit and `_`, none at both ends. '' where nothing is left.
 */
export function sanitize(text: string): string {
  if (SANITIZED.test(text)) return text
  const name = text.replaceAll(/[^A-Za-z0-9_]/gu, '_').toLowerCase()
  return name.startsWith('_') || name.endsWith('_') ? name.replaceAll(/^_+|_+$/g, '') : name
}

/**
 * The text of a name in a request; '' where it is absent or null.
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
