import { added } from '../../common/added.ts'
import { GatewayError } from '../../errors.ts'
import { countOf, type Json } from '../../json/json.ts'
import { runInSlices, runNow, SLICE_BYTES, type Steps } from '../../json/slices.ts'
import type { Argument, ArgumentKind, Signature } from '../signatures/signature.ts'
import type { Given } from './given.ts'
import { openRecord } from './no-match.ts'
import { bestOverload, type Choice, fittingOverloads } from './overloads.ts'
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
  const fitting = fittingOverloads(name, signatures, params)
  const [first] = fitting
  const bound = fitting.length === 1 ? bindPlain(first!) : undefined
  if (bound) return bound
  const steps = bind(fitting)
  const isShort = params === undefined || params.end - params.start <= SLICE_BYTES
  return isShort ? runNow(steps) : runInSlices(steps)
}

/** Binds values that are single texts, as most are; returns undefined if there are others. */
function bindPlain({ signature, given }: Choice): BoundCall | undefined {
  if (signature.isOpenRecord || signature.isPolymorphic) return undefined
  let parameters: BoundParameter[] = []
  for (const one of given) {
    const { kind, type } = one.argument
    try {
      const text = plainValue(kind, one.value)
      if (!text) return undefined
      parameters = added(parameters, boundParameter(one, type, text))
    } catch (error) {
      throw toldUnconvertible(error, one.label, type)
    }
  }
  return { signature, parameters }
}

function* bind(fitting: Choice[]): Steps<BoundCall> {
  const { signature, given } = yield* bestOverload(fitting)
  if (signature.isOpenRecord) throw openRecord(signature)
  const types = signature.isPolymorphic ? yield* polymorphicTypes(given) : undefined
  const parameters: BoundParameter[] = []
  for (const one of given) {
    const { argument, label, value } = one
    const resolved = types?.get(one)
    const type = resolved ?? argument.type
    const kind = resolved === undefined ? argument.kind : resolvedKind(resolved)
    try {
      const text = plainValue(kind, value) ?? (yield* structuredValue(kind, signature.types, one))
      parameters.push(boundParameter(one, type, text))
    } catch (error) {
      throw toldUnconvertible(error, label, type)
    }
  }
  return { signature, parameters }
}

function boundParameter(
  { argument, label, named, variadic }: Given,
  type: string,
  { form, value }: ValueText,
): BoundParameter {
  return { argument, label, type, form, value, named, variadic }
}

function toldUnconvertible(error: unknown, label: string, type: string): unknown {
  return error instanceof NoText ? unconvertible(label, type, error.message) : error
}

function resolvedKind(type: string): ArgumentKind {
  if (type === 'jsonb') return 'json'
  if (type === 'jsonb[]') return 'json[]'
  return type.endsWith('[]') ? 'structured' : 'scalar'
}
