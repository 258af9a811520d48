import type { TypeDescription } from './description.ts'

/** How a value of a type without parts stands in JSON. See docs/values.md. */
export type ValueKind =
  | 'integer'
  /** Digits that a double does not hold: a number, or a text with `numeric=string`. */
  | 'bigint'
  | 'numeric'
  /** A number; NaN and infinities are texts. */
  | 'float'
  | 'boolean'
  /** Any JSON. */
  | 'json'
  /** An object of texts and nulls. */
  | 'hstore'
  /** Text of hexadecimal digits. */
  | 'bytea'
  | 'timestamptz'
  /** The empty text. */
  | 'void'
  /** The type is known only when the function is called: any JSON. */
  | 'open'
  | 'text'

const KINDS: Record<string, ValueKind> = {
  smallint: 'integer',
  integer: 'integer',
  bigint: 'bigint',
  numeric: 'numeric',
  real: 'float',
  'double precision': 'float',
  boolean: 'boolean',
  json: 'json',
  jsonb: 'json',
  bytea: 'bytea',
  'timestamp with time zone': 'timestamptz',
  void: 'void',
}

/** Returns how values of a type stand in JSON that is neither an enum, a domain, an array nor composite. */
export function valueKind({ name, label, kind }: TypeDescription): ValueKind {
  const known = KINDS[name]
  if (known) return known
  if (kind === 'pseudo') return 'open'
  return kind === 'base' && label === 'hstore' ? 'hstore' : 'text'
}
