import { GatewayError } from '../../errors.ts'
import { type JsonValue, parseJson } from '../../json.ts'
import type { Argument, Signature } from '../signature.ts'
import { chooseOverload } from './overloads.ts'
import { type BoundCall, bindCall } from './parameters.ts'
import { unconvertible } from './unconvertible.ts'

/** The parameters of a call in a URL: by name, each with all the texts it was given. */
export type UrlParameters = Map<string, string[]>

const ANY_ARRAYS = ['anyarray', 'anycompatiblearray']

/**
 * Chooses the overload that takes parameters of these names. What they look like says nothing: in a
 * URL all is text.
 * @throws {GatewayError} function_not_found where none does; invalid_request where several do
 */
export function chooseByNames(
  name: string,
  signatures: Signature[],
  params: UrlParameters,
): Signature {
  const values = Object.fromEntries([...params.keys()].map((key) => [key, null]))
  return chooseOverload(name, signatures, values).signature
}

/**
 * Binds the texts to the arguments of a function that takes them. A text is what PostgreSQL reads
 * as the declared type. Arrays and composites may be JSON, too; and an array may be its elements,
 * one by one.
 * @throws {GatewayError} invalid_request naming the parameter
 */
export function bindTexts(signature: Signature, params: UrlParameters): BoundCall {
  const values: [name: string, value: JsonValue][] = []
  const args = signature.arguments.map((argument) => {
    const { name = '', kind } = argument
    const texts = params.get(name)
    if (!texts) return argument
    const value = valueOfTexts(argument, texts)
    values.push([name, value])
    const isText = typeof value === 'string' && kind !== 'polymorphic'
    return isText ? { ...argument, kind: 'scalar' as const } : argument
  })
  const named = Object.fromEntries(values)
  return bindCall(signature.name, [{ ...signature, arguments: args }], named)
}

function valueOfTexts(argument: Argument, texts: string[]): JsonValue {
  const { name = '', type, kind, category } = argument
  const [text = ''] = texts
  if (category === 'A' || ANY_ARRAYS.includes(type)) {
    if (texts.length === 1 && text.startsWith('[')) return json(argument, text)
    if (kind === 'polymorphic') return texts
    return texts.length === 1 && text.startsWith('{') ? text : arrayText(texts)
  }
  if (texts.length > 1) {
    throw unconvertible(name, type, `it is given ${texts.length} times, and is no array`)
  }
  const mayBeObject = kind === 'structured' || kind === 'hstore'
  return mayBeObject && text.startsWith('{') ? json(argument, text) : text
}

function json({ name = '', type }: Argument, text: string): JsonValue {
  try {
    return parseJson(text)
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    throw unconvertible(name, type, error.message.replace('The body', 'it'))
  }
}

/** PostgreSQL manual, "Array Input and Output Syntax". */
function arrayText(elements: string[]): string {
  return `{${elements.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}
