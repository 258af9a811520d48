import { GatewayError } from '../errors.ts'
import {
  type Asker,
  type Given,
  isId,
  type Owner,
  parseOwner,
  parsePlatform,
  parseTenantId,
  sanitize,
  textOf,
} from './names.ts'
import { isSameOwner } from './owner-identity.ts'

/**
 * Members and form fields that name an owner in requests where a tenant id has one spelling only.
 */
export const OWNER_MEMBERS = ['platform', 'tenant_id', 'schema_name', 'uuid'] as const

/** Members that name an owner in requests that deploy a stored schema. */
export const STORED_OWNER_MEMBERS = ['platform', 'schema_name', 'uuid', 'database_id'] as const

/** Members of a request that name an owner. */
export type GivenOwner = {
  [name in (typeof OWNER_MEMBERS)[number] | 'database_id']?: Given
}

/** Maximum number of characters of an invalid name that an error repeats. */
const MAX_SHOWN = 80

/** Longest name of a stored schema, in characters. */
const MAX_SCHEMA_NAME = 128

/** Text that means the base database in place of a uuid or a database_id. */
const BASE = 'main'

/**
 * Returns the owner that a request names, by `tenant_id` or by `schema_name` and `uuid`. Pass the
 * result to `Catalog.resolve`, which finds databases named without a schema too.
 * @throws {GatewayError} invalid_request naming the field, or if both kinds of name are given;
 *   platform_isolation_violation
 */
export function parseNamedOwner(request: Asker, given: GivenOwner): Owner {
  const { platform, tenant_id: tenantId, schema_name: schemaName, uuid } = given
  if (isNone(uuid) && isAbsent(schemaName)) return parseOwner(request, platform, tenantId)
  if (!isNone(tenantId)) {
    throw new GatewayError(
      'invalid_request',
      `tenant_id and ${isNone(uuid) ? 'schema_name' : 'uuid'} are both given: a database is named by tenant_id, or by schema_name and uuid`,
    )
  }
  return parseSchemaOwner(request, given)
}

/**
 * Returns whether a request is about one database, not about all of a platform: it has a member that
 * names a database. An empty or null one names the main database, as elsewhere.
 */
export function namesOne(given: GivenOwner): boolean {
  return OWNER_MEMBERS.some((name) => name !== 'platform' && given[name] !== undefined)
}

/** What a list is narrowed to: nothing, a platform, or one of its databases. */
export interface Narrowed {
  platform: string | undefined
  owner: Owner | undefined
}

/**
 * Returns what the query of a list narrows it to, where the platform may be left out.
 * @throws {GatewayError} the errors of `parseNamedOwner`
 */
export function parseNarrowed(request: Asker, given: GivenOwner): Narrowed {
  const owner = namesOne(given) ? parseNamedOwner(request, given) : undefined
  const platform =
    given.platform === undefined ? owner?.platform : parsePlatform(request, given.platform)
  return { platform, owner }
}

/**
 * Returns the owner that a request about a tenant names. A missing id does not mean the main
 * database.
 * @throws {GatewayError} the errors of `parseNamedOwner`
 */
export function parseNamedTenant(request: Asker, given: GivenOwner): Owner {
  const owner = parseNamedOwner(request, given)
  if (owner.tenantId !== null) return owner
  const field = owner.schema === null ? 'tenant_id' : 'uuid'
  throw new GatewayError('invalid_request', `${field} is missing: this is about a tenant`)
}

/**
 * Returns the owner for a request that addresses one database or all. With `tenantId` null it
 * addresses all databases of the schema, or without a schema all databases of the platform that
 * have none.
 * @throws {GatewayError} the errors of `parseNamedOwner`
 */
export function parseScope(request: Asker, given: GivenOwner): Owner {
  const owner = parseNamedOwner(request, given)
  if (owner.tenantId !== null || isAbsent(given.schema_name)) return owner
  return { ...owner, schema: sanitize(parseSchemaName(given.schema_name)) }
}

/**
 * Returns the owner that a tenant becomes, or that a copy of it has: of the same platform and schema,
 * with the id that `to` gives.
 * @throws {GatewayError} invalid_request
 */
export function parseNewName(tenant: Owner, to: Given): Owner {
  const { platform, schema } = tenant
  const id = schema === null ? parseTenantId(to, 'to') : parseTenant('to', to)?.sanitized
  if (id === undefined) {
    throw new GatewayError('invalid_request', 'to is missing: the uuid that names the tenant')
  }
  const owner = { platform, tenantId: id, schema }
  if (!isSameOwner(owner, tenant)) return owner
  throw new GatewayError('invalid_request', `to is the name that the tenant has: ${id}`)
}

/** A database, and the stored schema to deploy to it. */
export interface StoredOwner {
  owner: Owner
  /** Name of the stored schema, as the request writes it. */
  schemaName: string
}

/**
 * Returns the owner and the stored schema that a request names. `schema_name` and `uuid` name the
 * database together; beside `database_id`, `schema_name` names the stored schema only.
 * @throws {GatewayError} the errors of `parseNamedOwner`
 */
export function parseStoredOwner(request: Asker, given: GivenOwner): StoredOwner {
  const { platform, database_id: databaseId, uuid } = given
  const schemaName = parseSchemaName(given.schema_name)
  if (databaseId === undefined || (isNone(databaseId) && uuid !== undefined)) {
    return { owner: parseSchemaOwner(request, given), schemaName }
  }
  if (!isNone(uuid)) {
    throw new GatewayError(
      'invalid_request',
      'uuid and database_id are both given: send one of them',
    )
  }
  const owner = {
    platform: parsePlatform(request, platform),
    tenantId: parseDatabaseId(databaseId),
    schema: null,
  }
  return { owner, schemaName }
}

/**
 * Returns the name of a stored schema, unchanged.
 * @throws {GatewayError} invalid_request
 */
export function parseSchemaName(value: Given, field = 'schema_name'): string {
  const text = textOf(field, value)
  if (text === '') throw new GatewayError('invalid_request', `${field} is missing`)
  const isShort = text.length <= MAX_SCHEMA_NAME
  const sanitized = isShort ? sanitize(text) : ''
  // Fast path: a name that `sanitize` keeps contains no character to refuse.
  if (sanitized === text) return text
  if (sanitized !== '' && !/[\p{Cc}\p{Cs}/\\]/u.test(text)) return text
  throw new GatewayError(
    'invalid_request',
    `${field} must be 1 to ${MAX_SCHEMA_NAME} characters, with a letter or a digit, without slashes and control characters; got ${JSON.stringify(text.slice(0, MAX_SHOWN))}`,
  )
}

/**
 * Returns the owner that `schema_name` and `uuid` name. The schema `main` without a uuid is the
 * platform's main database.
 */
function parseSchemaOwner(request: Asker, given: GivenOwner): Owner {
  const platform = parsePlatform(request, given.platform)
  partOf('platform', platform)
  const schema = sanitize(parseSchemaName(given.schema_name))
  const tenantId = parseTenant('uuid', given.uuid)?.sanitized ?? null
  return { platform, tenantId, schema: schema === BASE && tenantId === null ? null : schema }
}

/**
 * Returns the tenant id as written if it gives the same database name, since look-ups by tenant_id
 * need that spelling; otherwise its sanitised form.
 */
function parseDatabaseId(value: Given): string | null {
  const tenant = parseTenant('database_id', value)
  if (tenant === null) return null
  const { text, sanitized } = tenant
  const isSame = isId(text) && text.toLowerCase().replaceAll('-', '_') === sanitized
  return isSame ? text : sanitized
}

/**
 * Returns the tenant id, or null for the base database: if the value is absent, null, '' or "main".
 * In a form or a URL, which have no null, the text `null` means the base database too; in JSON it
 * is refused as a client's mistake.
 */
function parseTenant(field: string, value: Given): { text: string; sanitized: string } | null {
  const text = textOf(field, value)
  if (text === '') return null
  const sanitized = partOf(field, text)
  if (sanitized === BASE) return null
  if (text !== 'null') return { text, sanitized }
  if (typeof value === 'string') return null
  throw new GatewayError(
    'invalid_request',
    `${field} is "null": leave it out, or send null, to mean the base database`,
  )
}

/** Returns whether the value is absent, null, or ''. */
function isNone(value: Given): boolean {
  return value === undefined || value === null || isNull(value) || isEmpty(value)
}

/**
 * Returns whether the value is absent or null. An empty text counts in a form or a URL; in JSON it
 * does not, since there it is a client's mistake.
 */
function isAbsent(value: Given): boolean {
  return isNone(value) && (typeof value !== 'object' || value === null || isNull(value))
}

function isNull(value: NonNullable<Given>): boolean {
  return typeof value === 'object' && 'kind' in value && value.kind === 'null'
}

function isEmpty(value: NonNullable<Given>): boolean {
  if (typeof value !== 'object' || !('kind' in value)) return value === ''
  // The range of a JSON string includes its quotation marks.
  return value.kind === 'string' && value.end - value.start === 2
}

function partOf(field: string, text: string): string {
  const part = sanitize(text)
  if (part !== '') return part
  throw new GatewayError(
    'invalid_request',
    `${field} must have a letter or a digit; got ${JSON.stringify(text.slice(0, MAX_SHOWN))}`,
  )
}
