import type { Verdict } from './verdict/verdict.ts'

/** How a JSON value becomes an argument; a domain is as the type below it. */
export type ArgumentKind =
  /** As text, which the type's input function reads. */
  | 'scalar'
  /** json or jsonb: the JSON itself. */
  | 'json'
  /** As text, or as an array of integers from 0 to 255. */
  | 'bytea'
  /** As text, or as a number whatever the decimal point is in the database's locale. */
  | 'money'
  | 'money[]'
  /** A JSON object is its keys and values. */
  | 'hstore'
  /** An array whose elements are of such a type: a JSON array within it is one of them. */
  | 'json[]'
  | 'hstore[]'
  /** An array of a domain over arrays, which are its elements. */
  | 'array[]'
  /** Any other array, or a composite type: JSON arrays and objects are taken apart. */
  | 'structured'
  /** anyelement and its like: the type follows from the values. */
  | 'polymorphic'

/** One argument that a caller gives. */
export interface Argument {
  /** Null where the function declares none. */
  name: string | null
  /** The type as SQL writes it in a cast, qualified unless it is PostgreSQL's own. */
  type: string
  /** pg_type.typcategory: N number, S string, B boolean, A array, C composite, … */
  category: string
  /** pg_type.typispreferred: PostgreSQL resolves an untyped value to it within its category. */
  preferred: boolean
  kind: ArgumentKind
  /** The type of the elements of an array, or of those of the array that a domain is over. */
  element: string | null
  /** Its default, as SQL writes it; null where it has none, or its function is not VARIADIC. */
  default: string | null
}

/**
 * What is below the types of arguments, where they are not one value: by the type as SQL writes it
 * in a cast, all that lead to a composite type, an hstore or bytes.
 */
export type TypeShapes = { [type: string]: TypeShape }

export type TypeShape =
  | { kind: 'composite'; attributes: { [name: string]: string } }
  | { kind: 'hstore' }
  | { kind: 'bytea' }
  /** `of`: the type of the elements, or the one below. */
  | { kind: 'array' | 'domain'; of: string }

/** One column of the row that a procedure answers: an INOUT or an OUT parameter. */
export interface Output {
  /** The type below all domains, as SQL writes it; null for a polymorphic one. */
  type: string | null
  /** How many arguments stand before one that is OUT alone: a CALL has to put something there. */
  place: number | null
}

/**
 * One function or procedure as a caller sees it; overloads are one each. It belongs to all databases
 * whose schema has it: it holds no oid, and is never changed.
 */
export interface Signature {
  /** Its place among those of its Schema, below `Schema.size`: for typed arrays of a database. */
  index: number
  kind: 'function' | 'procedure'
  schema: string
  name: string
  language: string
  /** As it is declared. The default is VOLATILE, so most functions that only read have that too. */
  volatility: 'immutable' | 'stable' | 'volatile'
  /** Its SET clauses, as pg_proc.proconfig has them: `name=value`. */
  settings: string[] | null
  /** The arguments that go in, in order. */
  arguments: Argument[]
  /** How many of the last ones may be left out. */
  defaults: number
  /** The last argument takes any number of values. */
  variadic: boolean
  types: TypeShapes
  isPolymorphic: boolean
  returnsVoid: boolean
  /** It returns records without saying of which columns: it cannot be called without a list. */
  isOpenRecord: boolean
  /** The columns that a procedure answers; empty where it answers nothing, and of a function. */
  outputs: Output[]
  /** The table or composite type whose columns it returns, qualified and quoted. */
  relation: string | null
  /** Schema, name and types, as `regprocedure` reads them. */
  identity: string
  /** As PostgreSQL writes it: `get_patient_by_id(p_patient_id integer)`. */
  text: string
  verdict: Verdict
}
