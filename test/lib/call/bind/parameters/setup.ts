import {
  type BoundCall,
  bindCall,
  parseParameters,
} from '../../../../../lib/call/bind/parameters.ts'
import { callStatement } from '../../../../../lib/call/run/statement.ts'
import type {
  Argument,
  ArgumentKind,
  Signature,
  TypeShapes,
} from '../../../../../lib/call/signatures/signature.ts'
import { GatewayError } from '../../../../../lib/errors.ts'
import type { Json } from '../../../../../lib/json/json.ts'
import { boundNow, jsonOfValue } from '../../../../helpers/json.ts'
import { signatureOf } from '../../../../helpers/signatures.ts'

export const NUMBERS = ['smallint', 'integer', 'bigint', 'numeric', 'double precision']

export const STRINGS = ['text', 'character varying', 'bpchar']

export const POLYMORPHIC = [
  'anyelement',
  'anyarray',
  'anycompatible',
  'anycompatiblearray',
  'anyrange',
]

/** Types that are of a kind of their own. */
export const KINDS: ArgumentKind[] = [
  'json',
  'json[]',
  'hstore',
  'hstore[]',
  'money',
  'money[]',
  'bytea',
]

/** What is below the types that are not one value. */
export const SHAPES: TypeShapes = {
  hstore: { kind: 'hstore' },
  'hstore[]': { kind: 'array', of: 'hstore' },
  address: {
    kind: 'composite',
    attributes: { city: 'text', tags: 'hstore', old: 'old_address[]' },
  },
  'address[]': { kind: 'array', of: 'address' },
  old_address: { kind: 'domain', of: 'plain_address' },
  'old_address[]': { kind: 'array', of: 'old_address' },
  plain_address: { kind: 'composite', attributes: { city: 'text' } },
  'bytea[]': { kind: 'array', of: 'bytea' },
  bytea: { kind: 'bytea' },
}

/** An argument as its function declares it: `p_id integer`, or `integer` without a name. */
export function argument(declaration: string): Argument {
  const [, name, type] = /^(?:(p_\w+) )?(.+)$/.exec(declaration) as unknown as [
    string,
    string,
    string,
  ]
  const isArray = type.endsWith('[]')
  const category = isArray
    ? 'A'
    : NUMBERS.includes(type)
      ? 'N'
      : STRINGS.includes(type)
        ? 'S'
        : ({ boolean: 'B', address: 'C', date: 'D', timestamp: 'D', timestamptz: 'D', mood: 'E' }[
            type
          ] ?? 'U')
  const kind: ArgumentKind = POLYMORPHIC.includes(type)
    ? 'polymorphic'
    : type === 'json_domain'
      ? 'json'
      : type === 'ids[]'
        ? 'array[]'
        : KINDS.includes(type as ArgumentKind)
          ? (type as ArgumentKind)
          : isArray || category === 'C'
            ? 'structured'
            : 'scalar'
  const preferred = ['text', 'boolean', 'double precision', 'timestamptz'].includes(type)
  const element = isArray ? type.slice(0, -2) : null
  return { name: name ?? null, type, category, preferred, kind, element, default: null }
}

/** A function `f` with these arguments, such as `f('p_id integer', 'p_name text')`. */
export function f(...declarations: string[]): Signature {
  const args = declarations.map(argument)
  return { ...signatureOf(args, SHAPES), text: `f(${declarations.join(', ')})` }
}

export const sqlOf = (call: BoundCall) => callStatement(call, 1000).text

export const withDefaults = (defaults: number, signature: Signature) => ({ ...signature, defaults })

export const variadic = (signature: Signature) => ({ ...signature, variadic: true })

/** What a request's `params` are: JSON, or a value whose JSON they are. */
export type Sent = unknown

export const isJson = (value: Sent): value is Json =>
  typeof value === 'object' && value !== null && 'bytes' in value

export const jsonOf = (params: Sent) => (isJson(params) ? params : jsonOfValue(params))

export function bind(signatures: Signature[], params: Sent): BoundCall {
  return boundNow(bindCall('f', signatures, parseParameters(jsonOf(params))))
}

/** The function that is chosen for a request's `params`. */
export function chosen(signatures: Signature[], params: Sent): string {
  return bind(signatures, params).signature.text
}

/** The type, the form and the text of each argument of the call. */
export function bound(signature: Signature, params: Sent) {
  const { parameters } = bind([signature], params)
  return parameters.map(({ label, type, form, value }) => [label, type, form, value])
}

export function refusal(signatures: Signature[], params: Sent): GatewayError {
  try {
    bind(signatures, params)
  } catch (error) {
    if (error instanceof GatewayError) return error
    throw error
  }
  throw new Error('The call was not refused')
}
