import type { Pace } from './pace.ts'
import type { Afterwards } from './session-state.ts'

/** How a JSON value becomes an argument; a domain is as the type below it. */
export type ArgumentKind =
  /** As text, which the type's input function reads. */
  | 'scalar'
  /** json or jsonb: the JSON itself. */
  | 'json'
  /** As text, or as an array of integers from 0 to 255. */
  | 'bytea'
  /** As text, or as a number whatever the decimal point is in the database's country. */
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
  /** Undefined where the function declares none. */
  name: string | undefined
  /** The type as SQL writes it in a cast. */
  type: string
  /** pg_type.typcategory: N number, S string, B boolean, A array, C composite, … */
  category: string
  /** pg_type.typispreferred: of the types of its category, one without a type becomes this one. */
  preferred: boolean
  kind: ArgumentKind
  /** The type of the elements of an array, or of those of the array that a domain is over. */
  element: string | undefined
  /** Its default, as SQL writes it; undefined where it has none, or its function is not VARIADIC. */
  default: string | undefined
}

/**
 * What is below the types of arguments, where they are not one value: by the type as SQL writes it
 * in a cast, all that lead to a composite type or an hstore.
 */
export type TypeShapes = { [type: string]: TypeShape }

export type TypeShape =
  | { kind: 'composite'; attributes: { [name: string]: string } }
  | { kind: 'hstore' }
  /** `of`: the type of the elements, or the one below. */
  | { kind: 'array' | 'domain'; of: string }

/** One column of the row that a procedure answers: an INOUT or an OUT parameter. */
export interface Output {
  /** The type below all domains, as SQL writes it; undefined for a polymorphic one. */
  type: string | undefined
  /** Of pg_type. */
  oid: number
  /** How many arguments stand before one that is OUT alone: a CALL has to put something there. */
  place: number | undefined
}

/** One function or procedure of a database as a caller sees it; overloads are one each. */
export interface Signature {
  kind: 'function' | 'procedure'
  schema: string
  name: string
  /** The arguments that go in, in order. */
  arguments: Argument[]
  /** How many of the last ones may be left out. */
  defaults: number
  /** The last argument takes any number of values. */
  variadic: boolean
  types: TypeShapes
  /** Some argument is polymorphic. */
  isPolymorphic: boolean
  returnsVoid: boolean
  /** It returns records, and does not say of which columns: nobody can call it without a list. */
  isOpenRecord: boolean
  /** The columns that a procedure answers; empty where it answers nothing, and of a function. */
  outputs: Output[]
  /** STABLE or IMMUTABLE: it says of itself that it changes nothing. */
  isReadOnly: boolean
  /** What has to become of the connection of a call. */
  afterwards: Afterwards
  /** Of pg_proc: a function that is dropped and made anew has another. */
  oid: number
  /** Of pg_class: the table or composite type whose columns it returns. */
  relation: number | null
  /** Schema, name and types, as `regprocedure` reads them. */
  identity: string
  /** As PostgreSQL writes it: `get_patient_by_id(p_patient_id integer)`. */
  text: string
  /** The SQL of its calls, by the form of their parameters. */
  statements: Map<string, string>
  /** How quick its calls are. */
  pace: Pace
}

/**
 * How many milliseconds a call is expected to take that may share its connection with others;
 * undefined for one that is not known to be quick, or may leave something in its session.
 */
export function sharedMs({ pace, afterwards }: Signature): number | undefined {
  return afterwards === 'keep' ? pace.expectedMs : undefined
}
