import type { Verdict } from './verdict/verdict.ts'

/** How a JSON value converts to an argument. A domain has the kind of its base type. */
export type ArgumentKind =
  /** Text that the type's input function reads. */
  | 'scalar'
  /** json or jsonb: the JSON text itself. */
  | 'json'
  /** Text, or an array of integers from 0 to 255. */
  | 'bytea'
  /** Text, or a number, regardless of the decimal separator of the database's locale. */
  | 'money'
  | 'money[]'
  /** A JSON object of keys and values. */
  | 'hstore'
  /** An array of that type: a nested JSON array is one element. */
  | 'json[]'
  | 'hstore[]'
  /** An array of a domain over arrays: each nested JSON array is one element. */
  | 'array[]'
  /** Any other array, or a composite type: json_to_record takes JSON arrays and objects apart. */
  | 'structured'
  /** anyelement and similar types: the type follows from the values. */
  | 'polymorphic'

/** An argument that a caller can give. */
export interface Argument {
  /** Null if the function does not name it. */
  name: string | null
  /** Type as SQL writes it in a cast, qualified unless it is built in. */
  type: string
  /** Value of pg_type.typcategory: N number, S string, B boolean, A array, C composite, … */
  category: string
  /**
   * Value of pg_type.typispreferred: PostgreSQL prefers the type within its category for an untyped
   * literal.
   */
  preferred: boolean
  kind: ArgumentKind
  /** Element type of an array, or of the array that a domain is over. */
  element: string | null
  /** Default as SQL writes it; null without a default, or if the function is not VARIADIC. */
  default: string | null
}

/**
 * Types below those of arguments, by their names in a cast: all that lead to a composite type, an
 * hstore or bytea.
 */
export type TypeShapes = { [type: string]: TypeShape }

export type TypeShape =
  | { kind: 'composite'; attributes: { [name: string]: string } }
  | { kind: 'hstore' }
  | { kind: 'bytea' }
  /** `of`: the element type of the array, or the base type of the domain. */
  | { kind: 'array' | 'domain'; of: string }

/** A column of a procedure's result row: an INOUT or OUT parameter. */
export interface Output {
  /** Base type below all domains, as SQL writes it; null for a polymorphic type. */
  type: string | null
  /**
   * For an OUT parameter: number of arguments before it. CALL needs a placeholder there. Null for
   * INOUT.
   */
  place: number | null
}

/**
 * A function or procedure as a caller sees it; each overload has a signature. It belongs to all
 * databases whose schema has it, so it holds no oid and never changes.
 */
export interface Signature {
  /** Index in its schema, below `Schema.size`: the index of its duration in CallDurations. */
  index: number
  kind: 'function' | 'procedure'
  schema: string
  name: string
  language: string
  /**
   * Declared volatility. The default is VOLATILE, so most functions that only read have that too.
   */
  volatility: 'immutable' | 'stable' | 'volatile'
  /** SET clauses as in pg_proc.proconfig: `name=value`. */
  settings: string[] | null
  /** Input arguments, in order. */
  arguments: Argument[]
  /** Number of trailing arguments that have defaults. */
  defaults: number
  /** True: the last argument is VARIADIC. */
  variadic: boolean
  types: TypeShapes
  isPolymorphic: boolean
  returnsVoid: boolean
  /**
   * True: it returns records without declaring their columns, so it cannot be called without a
   * column definition list.
   */
  isOpenRecord: boolean
  /** Columns of a procedure's result row; empty without a result, and for a function. */
  outputs: Output[]
  /** Table or composite type that it returns, qualified and quoted; null for other types. */
  relation: string | null
  /** Schema, name and argument types, as `regprocedure` reads them. */
  identity: string
  /** Signature as PostgreSQL writes it: `get_patient_by_id(p_patient_id integer)`. */
  text: string
  verdict: Verdict
}
