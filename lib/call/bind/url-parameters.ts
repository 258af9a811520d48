import { GatewayError } from '../../errors.ts'
import type { Json } from '../../json/json.ts'
import { scanNow } from '../../json/scan.ts'
import { runNow } from '../../json/slices.ts'
import type { Argument, Signature } from '../signatures/signature.ts'
import { hasObjects } from './composites.ts'
import { noOverload } from './no-match.ts'
import { chooseOverload } from './overloads.ts'
import { type BoundCall, bindCall } from './parameters.ts'
import { unconvertible } from './unconvertible.ts'

/**
 * The parameters of a call in a URL: by name, each with all the texts it was given; null is SQL
 * NULL.
 */
export type UrlParameters = Map<string, (string | null)[]>

const NULL = scanNow(Buffer.from('null'))

const ANY_ARRAYS = ['anyarray', 'anycompatiblearray']

/**
 * Chooses the overload that takes parameters of these names. What they look like says nothing: in a
 * URL all is text, as a literal without a type is.
 * @throws {GatewayError} function_not_found where none does; invalid_request where several do
 */
export function chooseByNames(
  name: string,
  signatures: Signature[],
  params: UrlParameters,
): Signature {
  // Whether it takes them, `bindTexts` says.
  if (signatures.length === 1) return signatures[0]!
  const values = [...params.keys()].map((key): [string, string] => [key, 'null'])
  try {
    return runNow(chooseOverload(name, signatures, objectOf(values))).signature
  } catch (error) {
    throw error instanceof GatewayError ? withHint(error, signatures, params) : error
  }
}

/**
 * Binds the texts to the arguments of a function that takes them. A text is what PostgreSQL reads
 * as the declared type. Arrays and composites may be JSON, too; and an array may be its elements,
 * one by one.
 * @throws {GatewayError} function_not_found naming what it does not take; invalid_request naming the
 *   parameter
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

/** In the path, a tenant is whose database is meant; in the query it is an argument as any other. */
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

/** What is known of a function is known of its own signature and arguments. */
function ofSignature({ parameters }: BoundCall, signature: Signature): BoundCall {
  const byName = new Map(signature.arguments.map((argument) => [argument.name, argument]))
  return {
    signature,
    parameters: parameters.map((one) => ({ ...one, argument: byName.get(one.label)! })),
  }
}

/** An object of these members, whose values are JSON texts. */
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
    throw unconvertible(name, type, `it is given ${texts.length} times, and is no array`)
  }
  const mayBeObject = kind === 'structured' || kind === 'hstore'
  const isObject = mayBeObject && text?.startsWith('{')
  return isObject ? checkedJson(argument, text!) : JSON.stringify(text)
}

/** What a literal of an array cannot begin with: a quoted element ends at a comma or at the brace. */
const OBJECT = /^\{\s*"(?:[^"\\]|\\.)*"\s*:/s

/** Whether a text is a JSON object, as an element of an array that is given in so many texts. */
function isElement(text: string | null, count: number): boolean {
  if (text === null) return false
  return count > 1 ? text.startsWith('{') : OBJECT.test(text)
}

/** One element of an array of composites or hstores, as a parameter of that type would be read. */
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

/** PostgreSQL manual, "Array Input and Output Syntax". */
function arrayText(elements: (string | null)[]): string {
  const texts = elements.map((text) =>
    text === null ? 'NULL' : `"${text.replace(/["\\]/g, '\\$&')}"`,
  )
  return `{${texts.join(',')}}`
}
