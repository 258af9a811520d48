import { GatewayError } from '../../errors.ts'
import type { JsonValue } from '../../json.ts'
import type { Argument, ArgumentKind, Signature } from '../signature.ts'
import { openRecord } from './no-match.ts'
import { chooseOverload, type Given } from './overloads.ts'
import { polymorphicTypes } from './polymorphic.ts'
import { unconvertible } from './unconvertible.ts'
import { NoText, type ValueText, valueText } from './values.ts'

/** What a caller sends: by position, or by name. */
export type Parameters = JsonValue[] | { [name: string]: JsonValue }

/** Those of a VARIADIC function are elements of one array; no other takes so many. */
const MAX_PARAMETERS = 10_000

/**
 * The `params` of a request: absent is none.
 * @throws {GatewayError} invalid_request where it is neither an array nor an object, or too long
 */
export function parseParameters(value: JsonValue | undefined): Parameters {
  if (value === undefined || value === null) return []
  if (typeof value === 'object') {
    const count = Array.isArray(value) ? value.length : Object.keys(value).length
    if (count <= MAX_PARAMETERS) return value
    throw new GatewayError(
      'invalid_request',
      `params has ${count} parameters, more than ${MAX_PARAMETERS}`,
    )
  }
  throw new GatewayError(
    'invalid_request',
    'params must be an array (by position) or an object (by name)',
  )
}

/** One argument of a call with its value, as it goes to PostgreSQL. */
export interface BoundParameter extends ValueText {
  argument: Argument
  /** How errors name it: `p_id`, or `1` for the first. */
  label: string
  /** The type it is given: the declared one, or what a polymorphic one becomes. */
  type: string
  /** Whether it is written `name => …`, and whether it is the VARIADIC array. */
  named: boolean
  variadic: boolean
}

/** A function chosen for a call, and its arguments. */
export interface BoundCall {
  signature: Signature
  parameters: BoundParameter[]
}

/**
 * Chooses the overload that takes these parameters, and makes each value a text of PostgreSQL.
 * @throws {GatewayError} function_not_found where no overload takes them; invalid_request where two
 *   fit alike, where a value cannot be any text of PostgreSQL, or where nobody can call the function
 */
export function bindCall(name: string, signatures: Signature[], params: Parameters): BoundCall {
  const { signature, given } = chooseOverload(name, signatures, params)
  if (signature.isOpenRecord) throw openRecord(signature)
  const types = signature.isPolymorphic ? polymorphicTypes(given) : undefined
  const parameters = given.map((one) => bind(one, types?.get(one)))
  return { signature, parameters }
}

/** `resolved`: the type that a polymorphic argument has become. */
function bind(given: Given, resolved: string | undefined): BoundParameter {
  const { argument, label, named, variadic } = given
  const type = resolved ?? argument.type
  const kind = resolved === undefined ? argument.kind : resolvedKind(resolved)
  try {
    const { form, value } = valueText(kind, label, given.value)
    return { argument, label, type, form, value, named, variadic }
  } catch (error) {
    throw error instanceof NoText ? unconvertible(label, type, error.message) : error
  }
}

function resolvedKind(type: string): ArgumentKind {
  if (type === 'jsonb') return 'json'
  if (type === 'jsonb[]') return 'json[]'
  return type.endsWith('[]') ? 'structured' : 'scalar'
}
