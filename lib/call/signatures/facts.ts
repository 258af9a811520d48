import type { Signature } from './signature.ts'

/** A signature as PostgreSQL returns it; the other fields are computed. */
export type SignatureFacts = Omit<Signature, 'index' | 'text' | 'verdict'>

/**
 * A function of the database or of an extension, or a built-in one of a schema in CALLABLE_SCHEMAS.
 */
export interface FunctionFacts {
  name: string
  /** Schema. With `types` it identifies the function among those of the same name. */
  schema: string
  types: string
  kind: 'function' | 'procedure' | 'aggregate' | 'window'
  language: string
  volatility: 'i' | 's' | 'v'
  /** True: a built-in function. Only those in a schema that CALLABLE_SCHEMAS names are read. */
  isBuiltin: boolean
  /**
   * The CREATE FUNCTION statement; null for an aggregate and for languages other than SQL and
   * PL/pgSQL.
   */
  definition: string | null
  settings: string[] | null
  /** Names of the functions that an aggregate runs; null for other functions. */
  parts: string[] | null
  /** True: `x.name` may call it, since one argument is enough. */
  isAttribute: boolean
  /** Null if /call does not offer the function. */
  signature: SignatureFacts | null
}

/** A table, view, materialized view or foreign table, and what runs when it is read or written. */
export interface RelationFacts {
  name: string
  schema: string
  /** Value of pg_class.relkind. */
  kind: 'r' | 'v' | 'm' | 'p' | 'f'
  /** Query of a view or materialized view. */
  query: string | null
  /** Expressions that a read or write may evaluate: policies, checks, indexes, partition keys, … */
  expressions: string[]
  /** Expressions of defaults and stored generated columns. */
  defaults: string[]
  /** CREATE TRIGGER statements. */
  triggers: string[]
  /** CREATE RULE statements, without those of views for SELECT. */
  rules: string[]
  /** Relations written along with it: partitions, children, tables with cascading foreign keys. */
  dependents: string[]
  /**
   * Relations that TRUNCATE … CASCADE empties along with it: tables whose foreign keys refer to it.
   */
  references: string[]
}

/** Everything in a database that determines what its functions do. Contains no oid and no xid. */
export interface SchemaFacts {
  functions: FunctionFacts[]
  relations: RelationFacts[]
  /**
   * Names of functions that run without being named in a statement: those of operators, casts,
   * ranges, …
   */
  hiddenFunctions: string[]
  /** Expressions of domain constraints and type defaults. */
  hiddenExpressions: string[]
  /** Names of the functions of event triggers. */
  eventTriggers: string[]
  /** Names of built-in functions that are VOLATILE. */
  volatileBuiltins: string[]
  /** True: standard_conforming_strings is off, so the parser misreads backslashes in strings. */
  hasOddStrings: boolean
}

/** A schema that was read, with its identifiers. */
export interface ReadSchema {
  /** SHA-256 in hex; equal in all databases that have the same objects. */
  digest: string
  /** Result of SCHEMA_VERSION, taken before the rest was read. */
  version: string
  /** The facts; undefined if the digest was known already. */
  facts: SchemaFacts | undefined
  /** Signatures as PostgreSQL writes them, by `functionKey`. */
  texts: Map<string, string>
  /** CHANGE_MARK, read before the version; undefined within a transaction. */
  mark?: string | undefined
}

/** Returns a key that is unique among the functions of a database. */
export function functionKey(key: { schema: string; name: string; types: string }): string {
  return JSON.stringify([key.schema, key.name, key.types])
}
