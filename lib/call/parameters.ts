import { type ErrorDetails, GatewayError } from '../errors.ts'
import { isNumber, type JsonValue, jsonText, numberText } from '../json.ts'
import { quoteIdentifier } from '../names.ts'
import type { Argument, Signature } from './signature.ts'

/** What a caller sends: by position, or by name. */
export type Parameters = JsonValue[] | { [name: string]: JsonValue }

/**
 * The `params` of a request: absent is none.
 * @throws {GatewayError} invalid_request where it is neither an array nor an object
 */
export function parseParameters(value: JsonValue | undefined): Parameters {
  if (value === undefined || value === null) return []
  if (typeof value === 'object') return value
  throw new GatewayError(
    'invalid_request',
    'params must be an array (by position) or an object (by name)',
  )
}

/** One argument of a call with its value, as it goes to PostgreSQL. */
export interface BoundParameter {
  argument: Argument
  /** How errors name it: `p_id`, or `1` for the first. */
  label: string
  /** The type it is given: the declared one, or what a polymorphic one becomes. */
  type: string
  /** `$n` stands for the value itself, or for JSON that PostgreSQL takes apart. */
  form: 'text' | 'record'
  value: string | null
  /** Whether it is written `name => …`, and whether it is the VARIADIC array. */
  named: boolean
  variadic: boolean
}

/** A function chosen for a call, and its arguments. */
export interface BoundCall {
  signature: Signature
  parameters: BoundParameter[]
}

/**
 * Chooses the overload that takes these parameters: by number and names, then by how well the JSON
 * types fit the declared ones.
 * @throws {GatewayError} function_not_found where none does; invalid_request where two fit alike,
 *   or a value cannot be any text of PostgreSQL
 */
export function bindCall(name: string, signatures: Signature[], params: Parameters): BoundCall {
  const fitting = signatures.flatMap((signature) => {
    const given = assign(signature, params)
    return given ? [{ signature, given }] : []
  })
  if (fitting.length === 0) throw noFunction(name, signatures, params)
  const chosen = fitting.length === 1 ? fitting[0] : bestFit(fitting)
  if (!chosen) {
    throw new GatewayError(
      'invalid_request',
      `Several functions take these parameters: ${fitting.map((f) => f.signature.text).join('; ')}`,
      { candidates: fitting.map((f) => f.signature.text) },
    )
  }
  return { signature: chosen.signature, parameters: chosen.given.map(bind) }
}

interface Given {
  argument: Argument
  label: string
  value: JsonValue
  named: boolean
  variadic: boolean
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
  if (values.length < args.length - defaults - (variadic && defaults === 0 ? 1 : 0))
    return undefined
  if (values.length > args.length && !variadic) return undefined

  const given = values.slice(0, fixed).map((value, i) => ({
    argument: args[i]!,
    label: args[i]?.name ?? String(i + 1),
    value,
    named: false,
    variadic: false,
  }))
  const last = args.at(-1)
  if (!variadic || !last || (values.length <= fixed && defaults > 0)) return given
  const rest = values.slice(fixed)
  const isArrayItself = rest.length === 1 && (Array.isArray(rest[0]) || rest[0] === null)
  given.push({
    argument: last,
    label: last.name ?? String(args.length),
    value: isArrayItself ? rest[0]! : rest,
    named: false,
    variadic: true,
  })
  return given
}

function assignByName(
  signature: Signature,
  values: { [name: string]: JsonValue },
): Given[] | undefined {
  const names = Object.keys(values)
  const args = signature.arguments
  const required = args.length - signature.defaults
  if (names.some((name) => !args.some((argument) => argument.name === name))) return undefined
  const given: Given[] = []
  for (const [i, argument] of args.entries()) {
    const { name } = argument
    const variadic = signature.variadic && i === args.length - 1
    if (name !== undefined && Object.hasOwn(values, name)) {
      given.push({ argument, label: name, value: values[name]!, named: true, variadic })
    } else if (i < required) {
      // As by position, a VARIADIC argument that is left out is an empty one.
      if (name === undefined || !variadic) return undefined
      given.push({ argument, label: name, value: [], named: true, variadic })
    }
  }
  return given
}

/** The one that fits better than all others; of equals, as in PostgreSQL, the one not VARIADIC. */
function bestFit<T extends { signature: Signature; given: Given[] }>(fitting: T[]): T | undefined {
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
  return category === 'C' ? 1 : 3
}

function bind({ argument, label, value, named, variadic }: Given): BoundParameter {
  const type = argument.kind === 'polymorphic' ? literalType(value) : argument.type
  const bound = { argument, label, type, named, variadic }
  if (value === null) return { ...bound, form: 'text', value: null }
  if (argument.kind === 'json' || type === 'jsonb') {
    // Only json and jsonb themselves read JSON as text; a domain over one goes through a record.
    const direct = type === 'json' || type === 'jsonb'
    const json = jsonOf(label, type, value)
    return {
      ...bound,
      form: direct ? 'text' : 'record',
      value: direct ? json : record(label, json),
    }
  }
  if (typeof value === 'object' && argument.kind !== 'scalar') {
    return { ...bound, form: 'record', value: record(label, jsonOf(label, type, value)) }
  }
  return { ...bound, form: 'text', value: scalarText(label, type, value) }
}

function scalarText(label: string, type: string, value: JsonValue): string {
  if (isNumber(value)) return numberText(value)
  if (typeof value === 'object') return jsonOf(label, type, value)
  const text = String(value)
  if (text.includes('\0'))
    throw unconvertible(label, type, 'PostgreSQL text holds no NUL character')
  if (!text.isWellFormed()) throw unconvertible(label, type, 'it holds half a surrogate pair')
  return text
}

function jsonOf(label: string, type: string, value: JsonValue): string {
  try {
    return jsonText(value)
  } catch {
    throw unconvertible(label, type, 'it is nested too deeply')
  }
}

/** What `json_to_record` reads: see `placeholder`. Its hints tell the key. */
function record(label: string, json: string): string {
  return `{${JSON.stringify(label)}:${json}}`
}

/** The type that PostgreSQL gives a literal of the value: what anyelement and anyarray become. */
function literalType(value: JsonValue): string {
  if (isNumber(value)) {
    const text = numberText(value)
    if (!/^-?\d{1,19}$/.test(text)) return 'numeric'
    const number = BigInt(text)
    if (BigInt.asIntN(32, number) === number) return 'integer'
    return BigInt.asIntN(64, number) === number ? 'bigint' : 'numeric'
  }
  if (typeof value === 'boolean') return 'boolean'
  if (Array.isArray(value)) return `${commonType(value)}[]`
  return value !== null && typeof value === 'object' ? 'jsonb' : 'text'
}

const NUMBER_TYPES = ['integer', 'bigint', 'numeric']

/** The type of the elements of an array, whatever its dimensions. */
function commonType(values: JsonValue[]): string {
  const types = new Set<string>()
  const arrays = [values]
  for (let array = arrays.pop(); array; array = arrays.pop()) {
    for (const value of array) {
      if (Array.isArray(value)) arrays.push(value)
      else if (value !== null) types.add(literalType(value))
    }
  }
  const [first = 'text'] = types
  if (types.size <= 1) return first
  const isNumeric = [...types].every((type) => NUMBER_TYPES.includes(type))
  return isNumeric ? NUMBER_TYPES.findLast((type) => types.has(type))! : 'text'
}

/** The error of a value that is not one of its argument's type. */
export function unconvertible(
  label: string,
  type: string,
  why: string,
  details: ErrorDetails = {},
): GatewayError {
  return new GatewayError(
    'invalid_request',
    `Parameter ${label} (${type}) does not convert: ${why}`,
    { parameter: label, type, cause: why, ...details },
  )
}

/**
 * The call's SQL around its values, for postgres.js as a template: `$1` stands between the first
 * two texts. PostgreSQL renders the rows: `rows` is a JSON array, `row_count` their number;
 * `is_current` is false, and nothing has run, where the function is not that of the signature.
 */
export function callText({ signature, parameters }: BoundCall): TemplateStringsArray {
  const name = `${quoteIdentifier(signature.schema)}.${quoteIdentifier(signature.name)}`
  // A void function in LANGUAGE sql gives null where one in PL/pgSQL gives ''.
  const columns = signature.returnsVoid ? `'' as ${quoteIdentifier(signature.name)}` : '*'
  // Costs nothing: PostgreSQL knows the answer when it parses the statement, which it does again
  // when the function is dropped. A function that has taken the place of this one does not run.
  const identity = signature.identity.replaceAll("'", "''")
  let isCurrent = `'${identity}'::regprocedure = ${signature.oid}::oid`
  // To be named is what makes it parse the statement again when a column is added.
  if (signature.relation) isCurrent += ` and '${signature.relation}'::regclass is not null`
  const texts = [
    // Not json_agg(r): that is a column named r, where there is one.
    `select json_agg(r.*) as rows, count(*) as row_count, ${isCurrent} as is_current
    from (select ${columns} from ${name}(`,
  ]
  parameters.forEach((parameter, i) => {
    const separator = i === 0 ? '' : ', '
    const variadic = parameter.variadic ? 'variadic ' : ''
    const named = parameter.named ? `${quoteIdentifier(parameter.label)} => ` : ''
    const [before, after] = placeholder(parameter)
    texts[i] += separator + variadic + named + before
    texts.push(after)
  })
  texts[texts.length - 1] += `) where ${isCurrent}) as r`
  return Object.assign(texts, { raw: texts })
}

/**
 * A JSON array or object for an array or composite type is taken apart by PostgreSQL itself
 * (json_to_record: nested arrays, composites, domains; numbers digit for digit).
 */
export function placeholder({ form, type, label }: BoundParameter): [string, string] {
  if (form === 'text') return ['', `::${type}`]
  const key = quoteIdentifier(label)
  return [`(select ${key} from json_to_record(`, `::json) as r (${key} ${type}))`]
}

function noFunction(name: string, signatures: Signature[], params: Parameters): GatewayError {
  if (signatures.length === 0) {
    return new GatewayError('function_not_found', `There is no function ${name}`)
  }
  const given = Array.isArray(params)
    ? `${params.length} parameter${params.length === 1 ? '' : 's'}`
    : `parameters named ${Object.keys(params).join(', ') || '(none)'}`
  const candidates = signatures.map((signature) => signature.text)
  return new GatewayError(
    'function_not_found',
    `No function ${name} takes ${given}; there is ${candidates.join('; ')}`,
    { candidates },
  )
}
