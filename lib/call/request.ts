import { GatewayError } from '../errors.ts'
import type { Fields } from '../json/fields.ts'
import { parseFlag } from '../json/flag.ts'
import { countOf, type Json, membersOf } from '../json/json.ts'
import { duplicateName } from '../json/known-names.ts'
import type { NumericFormat } from '../json/numeric-format.ts'
import { jsonOf, nameOf, stringOf } from '../json/text.ts'
import { parseFunctionName } from '../tenancy/names.ts'
import { parseParameters } from './bind/parameters.ts'

/** What a caller asks for: a function, its parameters, and how it is to be run. */
export interface CallRequest {
  name: string
  /** An array, by position; an object, by name; undefined: none. */
  params: Json | undefined
  /** How long the function may run; undefined: STATEMENT_TIMEOUT_SECS alone. */
  timeoutMs: number | undefined
  /** Settings that the function finds with current_setting, by name; undefined: none. */
  session: SessionSettings | undefined
  /** It has to see what was written just now: no replica will do. */
  primary: boolean
  /** How numeric and bigint are written; undefined: as NUMERIC_FORMAT says. */
  numeric: NumericFormat | undefined
}

/** The members of a request that calls one function. */
export const CALL_MEMBERS = [
  'platform',
  'tenant_id',
  'function',
  'params',
  'timeout_ms',
  'session',
  'primary',
  'schema_name',
  'uuid',
  'numeric',
] as const

export type SessionSettings = [name: string, value: string][]

/** The longest time of a timer of Node, in milliseconds. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/** Two parts or more: those of one part are PostgreSQL's own, and so are those of PL/pgSQL. */
const SETTING_NAME = /^(?!plpgsql\.)[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+$/i
/** What the gateway itself sets in a session. */
const OWN_SETTING_NAME = /^_?db_gateway/i
const MAX_SETTING_NAME = 63
const MAX_SETTINGS = 64
/** As JSON. */
const MAX_SETTING_BYTES = 1024 * 1024

/**
 * The fields of a call in a request's body.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseCall(body: Fields<(typeof CALL_MEMBERS)[number]>): CallRequest {
  return {
    name: parseFunctionName(body.function),
    params: parseParameters(body.params),
    timeoutMs: parseTimeout(body.timeout_ms),
    session: parseSession(body.session),
    primary: parseFlag('primary', body.primary),
    numeric: parseNumeric(body.numeric),
  }
}

/**
 * Absent and null are none; more than a timer can wait is as long as it can.
 * @throws {GatewayError} invalid_request
 */
export function parseTimeout(value: Json | undefined): number | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  const ms = value.kind === 'number' ? Math.min(Number(jsonOf(value)), MAX_TIMEOUT_MS) : Number.NaN
  if (Number.isInteger(ms) && ms > 0) return ms
  throw new GatewayError('invalid_request', 'timeout_ms must be a whole number of milliseconds')
}

/**
 * Absent and null are undefined.
 * @throws {GatewayError} invalid_request
 */
export function parseNumeric(value: Json | undefined): NumericFormat | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  const text = value.kind === 'string' ? nameOf(value) : undefined
  if (text === 'number' || text === 'string') return text
  throw new GatewayError('invalid_request', 'numeric must be "number" or "string"')
}

/** @throws {GatewayError} invalid_request naming the setting */
export function parseSession(value: Json | undefined): SessionSettings | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  if (value.kind !== 'object') {
    throw new GatewayError('invalid_request', 'session must be an object of settings')
  }
  if (countOf(value) > MAX_SETTINGS) {
    throw new GatewayError('invalid_request', `session has more than ${MAX_SETTINGS} settings`)
  }
  const session = new Map<string, string>()
  for (const { key, value: setting } of membersOf(value)) {
    // To PostgreSQL, names of settings are the same in upper and lower case.
    const given = nameOf(key)
    const name = given.toLowerCase()
    if (session.has(name)) throw duplicateName('setting', name, ' in session')
    session.set(name, settingText(given, setting))
  }
  return session.size > 0 ? [...session] : undefined
}

function settingText(name: string, value: Json): string {
  if (!SETTING_NAME.test(name) || name.length > MAX_SETTING_NAME) {
    throw new GatewayError(
      'invalid_request',
      `session: "${name.slice(0, 80)}" is not the name of a custom setting, such as app.user_id`,
    )
  }
  if (OWN_SETTING_NAME.test(name)) {
    throw new GatewayError('invalid_request', `session: ${name} is the gateway's own`)
  }
  if (value.end - value.start > MAX_SETTING_BYTES) {
    throw new GatewayError(
      'invalid_request',
      `session: ${name} is longer than ${MAX_SETTING_BYTES} bytes`,
    )
  }
  const text = valueText(value)
  if (!text.includes('\0') && text.isWellFormed()) return text
  throw new GatewayError('invalid_request', `session: ${name} is no text that PostgreSQL can hold`)
}

function valueText(value: Json): string {
  if (value.kind === 'null') return ''
  return value.kind === 'string' ? stringOf(value) : jsonOf(value)
}
