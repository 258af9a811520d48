import type { Signature } from './signature.ts'

/** A signature as PostgreSQL gives it; the rest is worked out. */
export type SignatureFacts = Omit<Signature, 'index' | 'text' | 'verdict'>

/** A function of the database's own or of an extension. */
export interface FunctionFacts {
  name: string
  /** Its schema and the types of its arguments: what tells it from others of its name. */
  schema: string
  types: string
  kind: 'function' | 'procedure' | 'aggregate' | 'window'
  language: string
  volatility: 'i' | 's' | 'v'
  /** PostgreSQL's own: only where CALLABLE_SCHEMAS names its schema. */
  isBuiltin: boolean
  /** `create function …`; null of an aggregate, and of other languages than SQL and PL/pgSQL. */
  definition: string | null
  settings: string[] | null
  /** Of an aggregate: the names of the functions that it runs. */
  parts: string[] | null
  /** `x.name` may call it: one argument is enough. */
  isAttribute: boolean
  /** Null where /call does not offer it. */
  signature: SignatureFacts | null
}

/** A table, view, materialized view or foreign table, with what runs when it is read or written. */
export interface RelationFacts {
  name: string
  schema: string
  /** pg_class.relkind */
  kind: 'r' | 'v' | 'm' | 'p' | 'f'
  /** The query of a view. */
  query: string | null
  /** Expressions that reading may evaluate: policies, checks, indexes, partition keys, … */
  expressions: string[]
  /** Defaults and stored generated columns. */
  defaults: string[]
  /** `CREATE TRIGGER …` */
  triggers: string[]
  /** `CREATE RULE …`, but for those of views for SELECT. */
  rules: string[]
  /** What is written along with it: partitions, children, tables with cascading foreign keys. */
  dependents: string[]
  /** What TRUNCATE … CASCADE empties along with it: tables whose foreign keys refer to it. */
  references: string[]
}

/** Everything of a database that decides what its functions do. It has no oid and no xid in it. */
export interface SchemaFacts {
  functions: FunctionFacts[]
  relations: RelationFacts[]
  /** The names of functions that no statement names: of operators, casts, ranges, … */
  hiddenFunctions: string[]
  /** Of domains' constraints and types' defaults. */
  hiddenExpressions: string[]
  /** The names of the functions of event triggers. */
  eventTriggers: string[]
  /** The names of PostgreSQL's own functions that are VOLATILE. */
  volatileBuiltins: string[]
  /** `standard_conforming_strings` is off: a backslash in a text is not what the parser takes it for. */
  hasOddStrings: boolean
}

/** A schema as it was read, with what stands for it. */
export interface ReadSchema {
  /** SHA-256 in hex: the same in every database that has the same objects. */
  digest: string
  /** As SCHEMA_VERSION gives it, from before the rest was read. */
  version: string
  /** Undefined where the digest was known. */
  facts: SchemaFacts | undefined
  /** How PostgreSQL writes the signatures, by `functionKey`. */
  texts: Map<string, string>
}

/** What tells a function of a database from all others. */
export function functionKey(key: { schema: string; name: string; types: string }): string {
  return JSON.stringify([key.schema, key.name, key.types])
}
