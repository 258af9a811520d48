import { isNumber, type JsonValue } from '../../json.ts'
import type { Argument, Signature } from '../signature.ts'
import { ambiguous, noOverload, unknownFunction } from './no-match.ts'
import type { Parameters } from './parameters.ts'
import { literalType } from './polymorphic.ts'

/** The value of one argument. */
export interface Given {
  argument: Argument
  /** How errors name it: `p_id`, or `1` for the first. */
  label: string
  value: JsonValue
  /** Whether it is written `name => …`, and whether it is the VARIADIC array. */
  named: boolean
  variadic: boolean
}

/** A function and the values of its arguments. */
export interface Choice {
  signature: Signature
  given: Given[]
}

/**
 * Chooses the overload that takes these parameters: by number and names, then by how well the JSON
 * types fit the declared ones.
 * @throws {GatewayError} function_not_found where none does; invalid_request where two fit alike
 */
export function chooseOverload(name: string, signatures: Signature[], params: Parameters): Choice {
  const fitting: Choice[] = []
  for (const signature of signatures) {
    const given = assign(signature, params)
    if (given) fitting.push({ signature, given })
  }
  if (fitting.length === 1) return fitting[0]!
  if (signatures.length === 0) throw unknownFunction(name)
  if (fitting.length === 0) throw noOverload(signatures, params)
  const best = bestFit(fitting)
  if (best) return best
  throw ambiguous(fitting.map(({ signature }) => signature))
}

/** Which value each argument gets; undefined where the function cannot be called like this. */
function assign(signature: Signature, params: Parameters): Given[] | undefined {
  return Array.isArray(params)
    ? assignByPosition(signature, params)
    : assignByName(signature, params)
}

function assignByPosition(signature: Signature, values: JsonValue[]): Given[] | undefined {
  const { arguments: args, defaults, variadic } = signature
  const fixed = variadic ? args.length - 1 : args.length
  const required = args.length - defaults
  // A VARIADIC argument without a default may be left out, too: it is empty then.
  if (values.length < (variadic && defaults === 0 ? required - 1 : required)) return undefined
  if (values.length > args.length && !variadic) return undefined

  const given: Given[] = []
  for (let i = 0; i < fixed && i < values.length; i++) {
    given.push(positional(args, i, values[i]!, false))
  }
  if (!variadic || (values.length <= fixed && defaults > 0)) return given
  const rest = values.slice(fixed)
  const isArrayItself = rest.length === 1 && (Array.isArray(rest[0]) || rest[0] === null)
  given.push(positional(args, fixed, isArrayItself ? rest[0]! : rest, true))
  return given
}

function positional(args: Argument[], i: number, value: JsonValue, variadic: boolean): Given {
  const argument = args[i]!
  return { argument, label: argument.name ?? String(i + 1), value, named: false, variadic }
}

function assignByName(
  signature: Signature,
  values: { [name: string]: JsonValue },
): Given[] | undefined {
  const args = signature.arguments
  const required = args.length - signature.defaults
  const given: Given[] = []
  let taken = 0
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!
    const { name } = argument
    const variadic = signature.variadic && i === args.length - 1
    if (name !== undefined && Object.hasOwn(values, name)) {
      taken++
      given.push({ argument, label: name, value: values[name]!, named: true, variadic })
    } else if (i < required) {
      // As by position, a VARIADIC argument that is left out is an empty one.
      if (name === undefined || !variadic) return undefined
      given.push({ argument, label: name, value: [], named: true, variadic })
    }
  }
  return taken === Object.keys(values).length ? given : undefined
}

/** The one that fits better than all others; of equals, as in PostgreSQL, the one not VARIADIC. */
function bestFit(fitting: Choice[]): Choice | undefined {
  const misfits = fitting.map(({ given }) => given.reduce((sum, one) => sum + misfit(one), 0))
  const best = fitting.filter((_, i) => misfits[i] === Math.min(...misfits))
  const plain = best.filter(({ signature }) => !signature.variadic)
  const [first, second] = plain.length > 0 ? plain : best
  return second ? undefined : first
}

/** 0: the very type of the value; 1: its kind of type; 2: it may convert; 3: it hardly does. */
function misfit({ argument: { kind, type, category }, value }: Given): 0 | 1 | 2 | 3 {
  if (value === null || kind === 'polymorphic') return 2
  if (type === literalType(value)) return 0
  if (kind === 'json') return typeof value === 'object' ? 1 : 2
  if (isNumber(value)) return category === 'N' ? 1 : category === 'S' ? 2 : 3
  if (typeof value === 'boolean') return category === 'B' ? 1 : category === 'S' ? 2 : 3
  if (typeof value === 'string') return category === 'S' ? 1 : 2
  if (Array.isArray(value)) return category === 'A' ? 1 : 3
  return category === 'C' || kind === 'hstore' ? 1 : 3
}
