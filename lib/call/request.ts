import { GatewayError } from '../errors.ts'
import type { Fields } from '../json/fields.ts'
import { parseFlag } from '../json/flag.ts'
import { countOf, type Json, membersOf } from '../json/json.ts'
import { duplicateName } from '../json/known-names.ts'
import type { NumericFormat } from '../json/numeric-format.ts'
import { jsonOf, nameOf, stringOf } from '../json/text.ts'
import { parseFunctionName } from '../tenancy/names.ts'
import { parseParameters } from './bind/parameters.ts'

/** A request for one call: the function, its parameters and options. */
export interface CallRequest {
  name: string
  /** Array: parameters by position. Object: parameters by name. Undefined: no parameters. */
  params: Json | undefined
  /** Time limit of the call; undefined: STATEMENT_TIMEOUT_SECS alone. */
  timeoutMs: number | undefined
  /** Custom settings that the function reads with current_setting, by name; undefined: none. */
  session: SessionSettings | undefined
  /** Runs on the primary only, because the call must see the latest writes. */
  primary: boolean
  /** Format of numeric and bigint; undefined: NUMERIC_FORMAT. */
  numeric: NumericFormat | undefined
}

/** Members of a request that calls one function. */
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

/** Longest delay of a Node.js timer, in milliseconds. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/**
 * A custom setting: two parts or more. Names of one part are PostgreSQL's own settings, `plpgsql.*`
 * those of PL/pgSQL.
 */
const SETTING_NAME = /^(?!plpgsql\.)[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+$/i
/** Settings that the gateway itself sets in a session. */
const OWN_SETTING_NAME = /^_?db_gateway/i
const MAX_SETTING_NAME = 63
const MAX_SETTINGS = 64
/** Maximum length of a value as JSON. */
const MAX_SETTING_BYTES = 1024 * 1024

/**
 * Reads the fields of a call from the body.
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
 * Reads `timeout_ms`. Clamps it to the longest delay of a timer.
 * @returns milliseconds; undefined for an absent or null field
 * @throws {GatewayError} invalid_request
 */
export function parseTimeout(value: Json | undefined): number | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  const ms = value.kind === 'number' ? Math.min(Number(jsonOf(value)), MAX_TIMEOUT_MS) : Number.NaN
  if (Number.isInteger(ms) && ms > 0) return ms
  throw new GatewayError('invalid_request', 'timeout_ms must be a whole number of milliseconds')
}

/**
 * Reads `numeric`.
 * @returns undefined for an absent or null field
 * @throws {GatewayError} invalid_request
 */
export function parseNumeric(value: Json | undefined): NumericFormat | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  const text = value.kind === 'string' ? nameOf(value) : undefined
  if (text === 'number' || text === 'string') return text
  throw new GatewayError('invalid_request', 'numeric must be "number" or "string"')
}

/**
 * Reads `session`.
 * @returns settings by lower-case name; undefined for an absent, null or empty field
 * @throws {GatewayError} invalid_request naming the setting
 */
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
    // PostgreSQL compares names of settings without regard to case.
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
    throw new GatewayError(
      'invalid_request',
      `session: ${name} is reserved for the gateway: choose another name`,
    )
  }
  if (value.end - value.start > MAX_SETTING_BYTES) {
    throw new GatewayError(
      'invalid_request',
      `session: ${name} is longer than ${MAX_SETTING_BYTES} bytes`,
    )
  }
  const text = valueText(value)
  if (!text.includes('\0') && text.isWellFormed()) return text
  throw new GatewayError(
    'invalid_request',
    `session: ${name} contains a NUL character or an unpaired surrogate`,
  )
}

function valueText(value: Json): string {
  if (value.kind === 'null') return ''
  return value.kind === 'string' ? stringOf(value) : jsonOf(value)
}
