import { GatewayError } from '../../errors.ts'
import type { Json } from '../../json/json.ts'
import { scanNow } from '../../json/scan.ts'
import { runNow } from '../../json/slices.ts'
import type { Argument, Signature } from '../signatures/signature.ts'
import { hasObjects } from './composites.ts'
import { noOverload } from './no-match.ts'
import { bestOverload, fittingOverloads } from './overloads.ts'
import { type BoundCall, bindCall } from './parameters.ts'
import { unconvertible } from './unconvertible.ts'

/** Parameters of a call in a URL: each name with all its texts; null is SQL NULL. */
export type UrlParameters = Map<string, (string | null)[]>

const NULL = scanNow(Buffer.from('null'))

const ANY_ARRAYS = ['anyarray', 'anycompatiblearray']

/**
 * Chooses the overload that accepts parameters of these names. The texts do not matter: PostgreSQL
 * treats each as a literal of unknown type.
 * @throws {GatewayError} function_not_found if none does; invalid_request if several do
 */
export function chooseByNames(
  name: string,
  signatures: Signature[],
  params: UrlParameters,
): Signature {
  // `bindTexts` checks the names.
  if (signatures.length === 1) return signatures[0]!
  const values = [...params.keys()].map((key): [string, string] => [key, 'null'])
  try {
    return runNow(bestOverload(fittingOverloads(name, signatures, objectOf(values)))).signature
  } catch (error) {
    throw error instanceof GatewayError ? withHint(error, signatures, params) : error
  }
}

/**
 * Binds texts to the arguments of a function. A text is input of the declared type. An array or
 * composite may be JSON too, and an array may be given as its elements, one text each.
 * @throws {GatewayError} function_not_found naming the parameters that the function does not
 *   accept; invalid_request naming the parameter
 */
export function bindTexts(
  signature: Signature,
  params: UrlParameters,
): BoundCall | Promise<BoundCall> {
  const values: [name: string, json: string][] = []
  const args = signature.arguments.map((argument) => {
    const { name, kind } = argument
    const texts = name === null ? undefined : params.get(name)
    if (name === null || !texts) return argument
    const json = jsonOfTexts(signature, argument, texts)
    values.push([name, json])
    const isText = json.startsWith('"') && kind !== 'polymorphic' && kind !== 'scalar'
    return isText ? { ...argument, kind: 'scalar' as const } : argument
  })
  if (values.length < params.size) throw notTaken(signature, params)
  const isSame = args.every((argument, i) => argument === signature.arguments[i])
  if (isSame) return bindCall(signature.name, [signature], objectOf(values))
  const bound = bindCall(signature.name, [{ ...signature, arguments: args }], objectOf(values))
  const restored = (call: BoundCall) => ofSignature(call, signature)
  return bound instanceof Promise ? bound.then(restored) : restored(bound)
}

/**
 * The gateway reads the tenant from the path. In the query, `tenant_id` is an ordinary argument.
 */
const TENANT = 'tenant_id'

function notTaken(signature: Signature, params: UrlParameters): GatewayError {
  const names = new Map([...params.keys()].map((name) => [name, NULL]))
  return withHint(noOverload([signature], names), [signature], params)
}

function withHint(
  error: GatewayError,
  signatures: Signature[],
  params: UrlParameters,
): GatewayError {
  const args = signatures.flatMap((signature) => signature.arguments)
  if (!params.has(TENANT) || args.some(({ name }) => name === TENANT)) return error
  const hint = 'The tenant stands in the path: GET /call/{platform}/{tenant}/{function}'
  return new GatewayError(error.code, error.message, { ...error.details, hint })
}

/**
 * Restores the signature and arguments that the cache holds: other code identifies them by
 * reference.
 */
function ofSignature({ parameters }: BoundCall, signature: Signature): BoundCall {
  const byName = new Map(signature.arguments.map((argument) => [argument.name, argument]))
  return {
    signature,
    parameters: parameters.map((one) => ({ ...one, argument: byName.get(one.label)! })),
  }
}

/** Builds an object of these members, whose values are JSON texts. */
function objectOf(members: [name: string, json: string][]): Json {
  const texts = members.map(([name, json]) => `${JSON.stringify(name)}:${json}`)
  return scanNow(Buffer.from(`{${texts.join(',')}}`))
}

function jsonOfTexts({ types }: Signature, argument: Argument, texts: (string | null)[]): string {
  const { type, kind, category } = argument
  const name = argument.name ?? ''
  const [text = ''] = texts
  if (texts.length === 1 && text === null) return 'null'
  if (category === 'A' || ANY_ARRAYS.includes(type)) {
    if (texts.length === 1 && text?.startsWith('[')) return checkedJson(argument, text)
    if (kind === 'polymorphic') return JSON.stringify(texts)
    if (hasObjects(types, type) && texts.some((text) => isElement(text, texts.length))) {
      return `[${texts.map((text) => elementJson(argument, text)).join(',')}]`
    }
    return JSON.stringify(texts.length === 1 && text?.startsWith('{') ? text : arrayText(texts))
  }
  if (texts.length > 1) {
    throw unconvertible(name, type, `it is given ${texts.length} times but is not an array`)
  }
  const mayBeObject = kind === 'structured' || kind === 'hstore'
  const isObject = mayBeObject && text?.startsWith('{')
  return isObject ? checkedJson(argument, text!) : JSON.stringify(text)
}

/**
 * The beginning of a JSON object, which no array literal has: there a comma or the closing brace
 * follows a quoted element.
 */
const OBJECT = /^\{\s*"(?:[^"\\]|\\.)*"\s*:/s

/**
 * Returns whether a text is a JSON object that is one element of an array.
 * @param count number of texts that the array parameter was given
 */
function isElement(text: string | null, count: number): boolean {
  if (text === null) return false
  return count > 1 ? text.startsWith('{') : OBJECT.test(text)
}

/** Returns the JSON of one element of an array of composites or hstores. */
function elementJson(argument: Argument, text: string | null): string {
  return text?.startsWith('{') ? checkedJson(argument, text) : JSON.stringify(text)
}

function checkedJson({ name, type }: Argument, text: string): string {
  try {
    scanNow(Buffer.from(text))
    return text
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    throw unconvertible(name ?? '', type, error.message.replace('The body', 'it'))
  }
}

/** Builds an array literal (PostgreSQL manual, "Array Input and Output Syntax"). */
function arrayText(elements: (string | null)[]): string {
  const texts = elements.map((text) =>
    text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`,
  )
  return `{${texts.join(',')}}`
}
