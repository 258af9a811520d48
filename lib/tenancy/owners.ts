import { GatewayError } from '../errors.ts'
import {
  type Asker,
  type Given,
  isId,
  type Owner,
  parseOwner,
  parsePlatform,
  sanitize,
  textOf,
} from './names.ts'

/** The members and form fields that say whose database is meant, where a tenant has one spelling. */
export const OWNER_MEMBERS = ['platform', 'tenant_id', 'schema_name', 'uuid'] as const

/** Those where a stored schema is deployed. */
export const STORED_OWNER_MEMBERS = ['platform', 'schema_name', 'uuid', 'database_id'] as const

/** What a request says of whose database it means. */
export type GivenOwner = {
  [name in (typeof OWNER_MEMBERS)[number] | 'database_id']?: Given
}

/** More of a name is not repeated. */
const MAX_SHOWN = 80

/** In characters. */
const MAX_SCHEMA_NAME = 128

/** What the base database is called where a uuid or a database_id stands. */
const BASE = 'main'

/**
 * Whose database a request means, by `tenant_id`, or by `schema_name` and `uuid`. `Catalog.resolve`
 * says who has it, where it may be a database of before.
 * @throws {GatewayError} invalid_request naming the field, and where both kinds are given;
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
 * Which databases a request to one or to all means: those of one owner, or with `tenantId` null all of
 * the platform that have no schema, or all of the schema.
 * @throws {GatewayError} as of `parseNamedOwner`
 */
export function parseScope(request: Asker, given: GivenOwner): Owner {
  const owner = parseNamedOwner(request, given)
  if (owner.tenantId !== null || isAbsent(given.schema_name)) return owner
  return { ...owner, schema: sanitize(parseSchemaName(given.schema_name)) }
}

/** A database, and the archive that is stored for the platform under a name. */
export interface StoredOwner {
  owner: Owner
  /** As the request writes it. */
  schemaName: string
}

/**
 * Whose database a request means, and which stored schema: by `schema_name` and `uuid`, or by
 * `database_id`, beside which `schema_name` says the stored schema alone.
 * @throws {GatewayError} as of `parseNamedOwner`
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
      'uuid and database_id are both given: a database has one of them',
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
 * The name of a stored schema, as it is written.
 * @throws {GatewayError} invalid_request
 */
export function parseSchemaName(value: Given, field = 'schema_name'): string {
  const text = textOf(field, value)
  if (text === '') throw new GatewayError('invalid_request', `${field} is missing`)
  const isShort = text.length <= MAX_SCHEMA_NAME
  const sanitized = isShort ? sanitize(text) : ''
  // Most are: then there is nothing else in it.
  if (sanitized === text) return text
  if (sanitized !== '' && !/[\p{Cc}\p{Cs}/\\]/u.test(text)) return text
  throw new GatewayError(
    'invalid_request',
    `${field} must be 1 to ${MAX_SCHEMA_NAME} characters, with a letter or a digit, without slashes and control characters; got ${JSON.stringify(text.slice(0, MAX_SHOWN))}`,
  )
}

/** `main` without a uuid is the platform's main database. */
function parseSchemaOwner(request: Asker, given: GivenOwner): Owner {
  const platform = parsePlatform(request, given.platform)
  partOf('platform', platform)
  const schema = sanitize(parseSchemaName(given.schema_name))
  const tenantId = parseTenant('uuid', given.uuid)?.sanitized ?? null
  return { platform, tenantId, schema: schema === BASE && tenantId === null ? null : schema }
}

/** As it is spelled where that gives the same name: a tenant_id has to be spelled so. */
function parseDatabaseId(value: Given): string | null {
  const tenant = parseTenant('database_id', value)
  if (tenant === null) return null
  const { text, sanitized } = tenant
  const isSame = isId(text) && text.toLowerCase().replaceAll('-', '_') === sanitized
  return isSame ? text : sanitized
}

/**
 * The id of a tenant; null, the base database, where it is absent, null, '' or "main"; in a form or a
 * URL, which have no null, the text `null` too. In JSON that is a client's mistake.
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

/** Absent, null, or ''. */
function isNone(value: Given): boolean {
  return value === undefined || value === null || isNull(value) || isEmpty(value)
}

/** Absent or null; an empty text in a form or a URL, but not in JSON, where it is a client's mistake. */
function isAbsent(value: Given): boolean {
  return isNone(value) && (typeof value !== 'object' || value === null || isNull(value))
}

function isNull(value: NonNullable<Given>): boolean {
  return typeof value === 'object' && 'kind' in value && value.kind === 'null'
}

function isEmpty(value: NonNullable<Given>): boolean {
  if (typeof value !== 'object' || !('kind' in value)) return value === ''
  // Of JSON, with its quotation marks.
  return value.kind === 'string' && value.end - value.start === 2
}

function partOf(field: string, text: string): string {
  const part = sanitize(text)
  if (part !== '') return part
  throw new GatewayError(
    'invalid_request',
    `${field} has no letter and no digit; got ${JSON.stringify(text.slice(0, MAX_SHOWN))}`,
  )
}
