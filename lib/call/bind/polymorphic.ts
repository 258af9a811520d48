import { Children, type Json } from '../../json/json.ts'
import { isSliceOver, STEP_BYTES, type Steps } from '../../json/slices.ts'
import { jsonOf } from '../../json/text.ts'
import type { Given } from './given.ts'
import { unconvertible } from './unconvertible.ts'

/** Type of null and of the elements of an empty array: fits any type. */
const ANY = 'unknown'

/** Type that PostgreSQL resolves a literal of unknown type to. */
const DEFAULT = 'text'

const NUMBER_TYPES = ['integer', 'bigint', 'numeric']

/** Number of digits of the largest bigint. */
const MAX_DIGITS = 19

/**
 * Families of polymorphic types. All arguments of one family share one element type (PostgreSQL
 * manual, "Polymorphic Types").
 */
const FAMILIES = [
  { element: /^any(element|nonarray)$/, array: 'anyarray' },
  { element: /^anycompatible(nonarray)?$/, array: 'anycompatiblearray' },
]

/**
 * Returns the type that PostgreSQL gives a literal of the value. A polymorphic argument resolves to
 * it, unless other arguments of its family do not match.
 */
export function* literalType(value: Json): Steps<string> {
  return settled(yield* typeOf(value))
}

/**
 * Resolves the polymorphic arguments to the types that PostgreSQL would find for literals of the
 * values. Numbers take the widest type among them; null takes the type of the others. Without a
 * common type each value keeps its own type, and PostgreSQL reports that no such function exists.
 * @throws {GatewayError} invalid_request for a type without JSON values, such as anyrange
 */
export function* polymorphicTypes(given: Given[]): Steps<Map<Given, string>> {
  const types = new Map<Given, string>()
  for (const { element, array } of FAMILIES) {
    const members = given.filter(({ argument: { type } }) => type === array || element.test(type))
    const own: string[] = []
    for (const { value } of members) own.push(yield* typeOf(value))
    const common = commonType(
      members.map(({ argument: { type } }, i) =>
        type === array ? own[i]!.replace(/\[\]$/, '') : own[i]!,
      ),
    )
    for (const [i, member] of members.entries()) {
      const { argument, value } = member
      const isArray = argument.type === array
      const fits =
        common !== undefined && (!isArray || value.kind === 'null' || value.kind === 'array')
      types.set(member, settled(!fits ? own[i]! : isArray ? `${common}[]` : common))
    }
  }
  for (const one of given) {
    const { argument, label } = one
    if (argument.kind !== 'polymorphic' || types.has(one)) continue
    const why = 'JSON does not determine its type; call a function that declares one'
    throw unconvertible(label, argument.type, why)
  }
  return types
}

function* typeOf(value: Json): Steps<string> {
  return value.kind === 'array' ? `${yield* elementType(value)}[]` : plainType(value)
}

/** Returns the type of a value other than an array. */
function plainType(value: Json): string {
  switch (value.kind) {
    case 'number':
      return numberType(value)
    case 'boolean':
      return 'boolean'
    case 'null':
      return ANY
    default:
      return value.kind === 'object' ? 'jsonb' : 'text'
  }
}

/** Returns the type of a number (PostgreSQL manual, "Numeric Constants"). */
function numberType(value: Json): string {
  if (value.end - value.start > MAX_DIGITS + 1) return 'numeric'
  const text = jsonOf(value)
  if (!/^-?\d{1,19}$/.test(text)) return 'numeric'
  const number = BigInt(text)
  if (BigInt.asIntN(32, number) === number) return 'integer'
  return BigInt.asIntN(64, number) === number ? 'bigint' : 'numeric'
}

/** Returns the element type of an array, regardless of its dimensions; text for mixed elements. */
function* elementType(array: Json): Steps<string> {
  const types = new Set<string>()
  const walks = [new Children(array)]
  for (let walk = walks.at(-1); walk; walk = walks.at(-1)) {
    if (!walk.next()) {
      walks.pop()
      continue
    }
    if (isSliceOver(STEP_BYTES + walk.end - walk.start)) yield
    const element = walk.value
    if (element.kind === 'array') walks.push(new Children(element))
    else types.add(plainType(element))
  }
  return commonType([...types]) ?? DEFAULT
}

/** Returns the type that all of these convert to; undefined if there is none. */
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
