import { GatewayError } from '../../errors.ts'
import { countOf, type Json } from '../../json/json.ts'
import { runInSlices, runNow, SLICE_BYTES, type Steps } from '../../json/slices.ts'
import type { Argument, ArgumentKind, Signature } from '../signatures/signature.ts'
import { openRecord } from './no-match.ts'
import { chooseOverload } from './overloads.ts'
import { polymorphicTypes } from './polymorphic.ts'
import { NoText } from './text.ts'
import { unconvertible } from './unconvertible.ts'
import { plainValue, structuredValue, type ValueText } from './values.ts'

/** Those of a VARIADIC function are elements of one array; no other takes so many. */
const MAX_PARAMETERS = 10_000

/**
 * The `params` of a request, an array or an object; absent and null are none.
 * @throws {GatewayError} invalid_request where it is neither, or too long
 */
export function parseParameters(value: Json | undefined): Json | undefined {
  if (value === undefined || value.kind === 'null') return undefined
  if (value.kind !== 'array' && value.kind !== 'object') {
    throw new GatewayError(
      'invalid_request',
      'params must be an array (by position) or an object (by name)',
    )
  }
  const count = countOf(value)
  if (count <= MAX_PARAMETERS) return value
  throw new GatewayError(
    'invalid_request',
    `params has ${count} parameters, more than ${MAX_PARAMETERS}`,
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
  /** Whether numeric and bigint of its rows are written as JSON strings; no unless given. */
  numbersAsText?: boolean
}

/**
 * Chooses the overload that takes these parameters, and makes each value what PostgreSQL reads: at
 * once where they are short, else in slices, with turns of the event loop between them.
 * @throws {GatewayError} function_not_found where no overload takes them; invalid_request where two
 *   fit alike, where a name is given twice, where a value cannot be any text of PostgreSQL, or where
 *   nobody can call the function
 */
export function bindCall(
  name: string,
  signatures: Signature[],
  params: Json | undefined,
): BoundCall | Promise<BoundCall> {
  const steps = bind(name, signatures, params)
  const isShort = params === undefined || params.end - params.start <= SLICE_BYTES
  return isShort ? runNow(steps) : runInSlices(steps)
}

function* bind(name: string, signatures: Signature[], params: Json | undefined): Steps<BoundCall> {
  const { signature, given } = yield* chooseOverload(name, signatures, params)
  if (signature.isOpenRecord) throw openRecord(signature)
  const types = signature.isPolymorphic ? yield* polymorphicTypes(given) : undefined
  const parameters: BoundParameter[] = []
  for (const one of given) {
    const { argument, label, named, variadic, value } = one
    const resolved = types?.get(one)
    const type = resolved ?? argument.type
    const kind = resolved === undefined ? argument.kind : resolvedKind(resolved)
    try {
      const text = plainValue(kind, value) ?? (yield* structuredValue(kind, signature.types, one))
      const { form, value: bound } = text
      parameters.push({ argument, label, type, form, value: bound, named, variadic })
    } catch (error) {
      throw error instanceof NoText ? unconvertible(label, type, error.message) : error
    }
  }
  return { signature, parameters }
}

function resolvedKind(type: string): ArgumentKind {
  if (type === 'jsonb') return 'json'
  if (type === 'jsonb[]') return 'json[]'
  return type.endsWith('[]') ? 'structured' : 'scalar'
}
