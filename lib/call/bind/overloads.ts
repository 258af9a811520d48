import { added } from '../../common/added.ts'
import { elementsOf, type Json, membersOf, runOf } from '../../json/json.ts'
import { duplicateName } from '../../json/known-names.ts'
import { scanNow } from '../../json/scan.ts'
import type { Steps } from '../../json/slices.ts'
import { nameOf } from '../../json/text.ts'
import type { Argument, Signature } from '../signatures/signature.ts'
import type { Given, Values } from './given.ts'
import { ambiguous, noOverload, unknownFunction } from './no-match.ts'
import { literalType } from './polymorphic.ts'

/** A function and the values of its arguments. */
export interface Choice {
  signature: Signature
  given: Given[]
}

const STRING = 'S'

const EMPTY_ARRAY = scanNow(Buffer.from('[]'))

/**
 * Returns the overloads that accept these parameters by their number and names, one at least.
 * @throws {GatewayError} function_not_found if none does; invalid_request if a name is given twice
 */
export function fittingOverloads(
  name: string,
  signatures: Signature[],
  params: Json | undefined,
): Choice[] {
  const values = readValues(params)
  let fitting: Choice[] = []
  for (const signature of signatures) {
    const given = assign(signature, values)
    if (given) fitting = added(fitting, { signature, given })
  }
  if (fitting.length > 0) return fitting
  throw signatures.length === 0 ? unknownFunction(name) : noOverload(signatures, values)
}

/**
 * Returns the overload whose declared types fit the JSON types best.
 * @throws {GatewayError} invalid_request if several fit equally well
 */
export function* bestOverload(fitting: Choice[]): Steps<Choice> {
  if (fitting.length === 1) return fitting[0]!
  const best = yield* bestFit(fitting)
  if (best) return best
  throw ambiguous(fitting.map(({ signature }) => signature))
}

function readValues(params: Json | undefined): Values {
  if (params === undefined) return []
  if (params.kind === 'array') return elementsOf(params)
  const values = new Map<string, Json>()
  for (const { key, value } of membersOf(params)) {
    const name = nameOf(key)
    if (values.has(name)) throw duplicateName('parameter', name)
    values.set(name, value)
  }
  return values
}

/**
 * Assigns the values to arguments. Returns undefined if the function cannot be called with them.
 */
function assign(signature: Signature, values: Values): Given[] | undefined {
  return Array.isArray(values)
    ? assignByPosition(signature, values)
    : assignByName(signature, values)
}

function assignByPosition(signature: Signature, values: Json[]): Given[] | undefined {
  const { arguments: args, defaults, variadic } = signature
  const fixed = variadic ? args.length - 1 : args.length
  const required = args.length - defaults
  // A VARIADIC argument without a default may be omitted; it is an empty array then.
  if (values.length < (variadic && defaults === 0 ? required - 1 : required)) return undefined
  if (values.length > args.length && !variadic) return undefined

  let given: Given[] = []
  for (let i = 0; i < fixed && i < values.length; i++) {
    given = added(given, positional(args, i, values[i]!, false))
  }
  if (!variadic || (values.length <= fixed && defaults > 0)) return given
  given.push(positional(args, fixed, variadicValue(values, fixed), true))
  return given
}

/**
 * Returns the values from index `fixed` on as one array. A single array or null is the VARIADIC
 * array itself.
 */
function variadicValue(values: Json[], fixed: number): Json {
  const first = values[fixed]
  const last = values.at(-1)
  if (!first || !last) return EMPTY_ARRAY
  const isArrayItself = first === last && (first.kind === 'array' || first.kind === 'null')
  return isArrayItself ? first : runOf(first, last)
}

function positional(args: Argument[], i: number, value: Json, variadic: boolean): Given {
  const argument = args[i]!
  return { argument, label: argument.name ?? String(i + 1), value, named: false, variadic }
}

function assignByName(signature: Signature, values: Map<string, Json>): Given[] | undefined {
  const args = signature.arguments
  const required = args.length - signature.defaults
  const given: Given[] = []
  let taken = 0
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!
    const { name } = argument
    const variadic = signature.variadic && i === args.length - 1
    const value = name === null ? undefined : values.get(name)
    if (name !== null && value) {
      taken++
      given.push({ argument, label: name, value, named: true, variadic })
    } else if (i < required) {
      // As by position: an omitted VARIADIC argument is an empty array.
      if (name === null || !variadic) return undefined
      given.push({ argument, label: name, value: EMPTY_ARRAY, named: true, variadic })
    }
  }
  return taken === values.size ? given : undefined
}

/**
 * Returns the choice that fits better than all others, by PostgreSQL's rules (manual, "Function
 * Type Resolution"). Of equal choices it prefers the one that is not VARIADIC. Undefined:
 * ambiguous.
 */
function* bestFit(fitting: Choice[]): Steps<Choice | undefined> {
  const misfits: number[] = []
  const preferences: number[] = []
  for (const { given } of fitting) {
    let misfit = 0
    let preferred = 0
    for (const one of given) {
      if (isUnknown(one.value)) continue
      const own = misfitOf(one, yield* literalType(one.value))
      misfit += own
      if (own === 1 && one.argument.preferred) preferred++
    }
    misfits.push(misfit)
    preferences.push(preferred)
  }
  const least = Math.min(...misfits)
  const alike = fitting.map((_, i) => i).filter((i) => misfits[i] === least)
  const most = Math.max(...alike.map((i) => preferences[i]!))
  const best = alike.filter((i) => preferences[i] === most).map((i) => fitting[i]!)
  const chosen = byUnknowns(best)
  const plain = chosen.filter(({ signature }) => !signature.variadic)
  const [first, second] = plain.length > 0 ? plain : chosen
  return second ? undefined : first
}

/**
 * Returns whether PostgreSQL would treat the value as a literal of unknown type, which may become
 * any type.
 */
function isUnknown({ kind }: Json): boolean {
  return kind === 'string' || kind === 'null'
}

/**
 * Returns 0 for the exact type, 1 for the same kind of type, 2 for a likely conversion, 3 for an
 * unlikely one.
 */
function misfitOf(
  { argument: { kind, type, category }, value }: Given,
  own: string,
): 0 | 1 | 2 | 3 {
  if (kind === 'polymorphic') return 2
  if (type === own) return 0
  const isContainer = value.kind === 'array' || value.kind === 'object'
  if (kind === 'json') return isContainer ? 1 : 2
  if (value.kind === 'number') return category === 'N' ? 1 : category === STRING ? 2 : 3
  if (value.kind === 'boolean') return category === 'B' ? 1 : category === STRING ? 2 : 3
  if (value.kind === 'array') return category === 'A' || kind === 'bytea' ? 1 : 3
  return category === 'C' || kind === 'hstore' ? 1 : 3
}

/**
 * Resolves strings and nulls by PostgreSQL's rules for unknown literals: prefers choices whose
 * arguments are of the string category; otherwise, if all choices share one category, those with
 * its preferred type. Returns all choices if the categories differ or no choice fits every value.
 */
function byUnknowns(choices: Choice[]): Choice[] {
  const values = choices[0]!.given.map(({ value }) => value).filter(isUnknown)
  let left = choices
  for (const value of values) {
    const takers = choices.map(({ given }) => given.find((one) => one.value === value)?.argument)
    const categories = new Set(takers.map((taker) => taker?.category))
    const category = categories.has(STRING)
      ? STRING
      : categories.size === 1
        ? [...categories][0]
        : undefined
    if (category === undefined) return choices
    const hasPreferred = takers.some((taker) => taker?.category === category && taker?.preferred)
    left = left.filter((choice) => {
      const taker = takers[choices.indexOf(choice)]
      return taker?.category === category && (!hasPreferred || taker?.preferred)
    })
  }
  return left.length > 0 ? left : choices
}
