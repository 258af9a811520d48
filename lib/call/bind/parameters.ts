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

/**
 * Maximum number of parameters. Only a VARIADIC function takes so many, as elements of one array.
 */
const MAX_PARAMETERS = 10_000

/**
 * Checks the `params` of a request.
 * @returns an array or an object; undefined for an absent or null field
 * @throws {GatewayError} invalid_request for another JSON type or too many parameters
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

/** An argument of a call and its value in the form that PostgreSQL receives. */
export interface BoundParameter extends ValueText {
  argument: Argument
  /** Name in errors: `p_id`, or `1` for the first parameter without a name. */
  label: string
  /** Type in the cast: the declared type, or the resolved type of a polymorphic argument. */
  type: string
  /** True: the SQL has `name => …`. */
  named: boolean
  /** True: the value is the array of the VARIADIC argument. */
  variadic: boolean
}

/** The chosen overload and the bound parameters of a call. */
export interface BoundCall {
  signature: Signature
  parameters: BoundParameter[]
  /** True: numeric and bigint in the rows become JSON strings. Default: false. */
  numbersAsText?: boolean
}

/**
 * Chooses the overload that accepts these parameters and converts each value to the form that
 * PostgreSQL reads. Short parameters are converted synchronously, long ones in slices between which
 * the event loop runs.
 * @throws {GatewayError} function_not_found if no overload accepts them; invalid_request if several
 *   fit equally well, a name is given twice, a value cannot be PostgreSQL text, or the function's
 *   result columns are not declared
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
