import type { JsonObject } from '../body.ts'
import { GatewayError } from '../errors.ts'
import { isNumber, type JsonValue, jsonText, numberText } from '../json.ts'
import { parseFunctionName } from '../names.ts'
import { type Parameters, parseParameters } from './bind/parameters.ts'

/** What a caller asks for: a function, its parameters, and how it is to be run. */
export interface CallRequest {
  name: string
  params: Parameters
  /** How long the function may run; undefined: STATEMENT_TIMEOUT_SECS alone. */
  timeoutMs: number | undefined
  /** Settings that the function finds with current_setting, by name; undefined: none. */
  session: Session | undefined
  /** It has to see what was written just now: no replica will do. */
  primary: boolean
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
] as const

export type Session = [name: string, value: string][]

/** Two parts or more: those of one part are PostgreSQL's own, and so are those of PL/pgSQL. */
const SETTING_NAME = /^(?!plpgsql\.)[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)+$/i
const MAX_SETTING_NAME = 63
const MAX_SETTINGS = 64

/**
 * The fields of a call in a request's body.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseCall(body: JsonObject): CallRequest {
  return {
    name: parseFunctionName(body.function),
    params: parseParameters(body.params),
    timeoutMs: body.timeout_ms === undefined ? undefined : parseTimeout(body.timeout_ms),
    session: body.session === undefined ? undefined : parseSession(body.session),
    primary: body.primary === undefined ? false : parseFlag('primary', body.primary),
  }
}

/** @throws {GatewayError} invalid_request */
export function parseTimeout(value: JsonValue | undefined): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value > 0) return value
  throw new GatewayError('invalid_request', 'timeout_ms must be a whole number of milliseconds')
}

/**
 * Absent and null are false.
 * @throws {GatewayError} invalid_request naming the field
 */
export function parseFlag(field: string, value: JsonValue | undefined): boolean {
  if (value === undefined || value === null) return false
  if (typeof value === 'boolean') return value
  throw new GatewayError('invalid_request', `${field} must be true or false`)
}

/** @throws {GatewayError} invalid_request naming the setting */
export function parseSession(value: JsonValue | undefined): Session | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new GatewayError('invalid_request', 'session must be an object of settings')
  }
  const names = Object.keys(value)
  if (names.length > MAX_SETTINGS) {
    throw new GatewayError('invalid_request', `session has more than ${MAX_SETTINGS} settings`)
  }
  const session = names.map((name): [string, string] => [name, settingText(name, value[name]!)])
  return session.length > 0 ? session : undefined
}

function settingText(name: string, value: JsonValue): string {
  if (!SETTING_NAME.test(name) || name.length > MAX_SETTING_NAME) {
    throw new GatewayError(
      'invalid_request',
      `session: "${name.slice(0, 80)}" is not the name of a custom setting, such as app.user_id`,
    )
  }
  const text = valueText(value)
  if (!text.includes('\0') && text.isWellFormed()) return text
  throw new GatewayError('invalid_request', `session: ${name} is no text that PostgreSQL can hold`)
}

function valueText(value: JsonValue): string {
  if (value === null) return ''
  if (isNumber(value)) return numberText(value)
  return typeof value === 'object' ? jsonText(value) : String(value)
}
