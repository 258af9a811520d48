import { isNumber, type JsonValue, numberText } from '../../json.ts'
import type { Given } from './overloads.ts'
import { unconvertible } from './unconvertible.ts'

/** Of a value or an element that fits any type: null, or what an empty array has none of. */
const ANY = 'unknown'

/** What PostgreSQL takes for a literal of no type. */
const DEFAULT = 'text'

const NUMBER_TYPES = ['integer', 'bigint', 'numeric']

/** The types of each of these have one element type in common (PostgreSQL: "Polymorphic Types"). */
const FAMILIES = [
  { element: /^any(element|nonarray)$/, array: 'anyarray' },
  { element: /^anycompatible(nonarray)?$/, array: 'anycompatiblearray' },
]

/**
 * The type that PostgreSQL gives a literal of the value. Whatever is polymorphic becomes it, unless
 * other arguments have a say.
 */
export function literalType(value: JsonValue): string {
  return settled(typeOf(value))
}

/**
 * The types of the polymorphic arguments, by the arguments: those that PostgreSQL would find for
 * literals of the values. Numbers take the widest type among them, null that of the others; where
 * the values have none in common each keeps its own, and PostgreSQL finds no such function.
 * @throws {GatewayError} invalid_request for a type of which JSON has no values, such as anyrange
 */
export function polymorphicTypes(given: Given[]): Map<Given, string> {
  const types = new Map<Given, string>()
  for (const { element, array } of FAMILIES) {
    const members = given.filter(({ argument: { type } }) => type === array || element.test(type))
    const common = commonType(
      members.map(({ argument: { type }, value }) =>
        type === array ? elementType(value) : typeOf(value),
      ),
    )
    for (const member of members) {
      const { argument, value } = member
      const isArray = argument.type === array
      const fits = common !== undefined && (!isArray || value === null || Array.isArray(value))
      types.set(member, settled(!fits ? typeOf(value) : isArray ? `${common}[]` : common))
    }
  }
  for (const one of given) {
    const { argument, label } = one
    if (argument.kind !== 'polymorphic' || types.has(one)) continue
    const why = 'JSON does not say which type it is; call a function that declares one'
    throw unconvertible(label, argument.type, why)
  }
  return types
}

function typeOf(value: JsonValue): string {
  if (isNumber(value)) return numberType(numberText(value))
  if (typeof value === 'boolean') return 'boolean'
  if (Array.isArray(value)) return `${elementType(value)}[]`
  if (value === null) return ANY
  return typeof value === 'object' ? 'jsonb' : 'text'
}

/** PostgreSQL manual, "Numeric Constants". */
function numberType(text: string): string {
  if (!/^-?\d{1,19}$/.test(text)) return 'numeric'
  const number = BigInt(text)
  if (BigInt.asIntN(32, number) === number) return 'integer'
  return BigInt.asIntN(64, number) === number ? 'bigint' : 'numeric'
}

/** The type of the elements of an array, whatever its dimensions; text where they are mixed. */
function elementType(value: JsonValue): string {
  if (value === null) return ANY
  if (!Array.isArray(value)) return typeOf(value)
  const types = new Set<string>()
  const arrays = [value]
  for (let array = arrays.pop(); array; array = arrays.pop()) {
    for (const element of array) {
      if (Array.isArray(element)) arrays.push(element)
      else types.add(typeOf(element))
    }
  }
  return commonType([...types]) ?? DEFAULT
}

/** The one type that all of these become; undefined where there is none. */
function commonType(types: string[]): string | undefined {
  const known = new Set(types.filter((type) => type !== ANY))
  if (known.size <= 1) return [...known][0] ?? ANY
  const all = [...known]
  if (all.every((type) => type.endsWith('[]'))) {
    const element = commonType(all.map((type) => type.slice(0, -2)))
    return element === undefined ? undefined : `${element}[]`
  }
  if (!all.every((type) => NUMBER_TYPES.includes(type))) return undefined
  return NUMBER_TYPES.findLast((type) => known.has(type))
}

function settled(type: string): string {
  return type.replace(ANY, DEFAULT)
}
