/** What a database offers its callers. Contains no oid, and is in the same order in all databases. */
export interface Description {
  /** SHA-256 in hex; equal in all databases that offer the same. */
  digest: string
  /** Functions and procedures that /call offers, by name, then by argument types. */
  functions: DescribedFunction[]
  /** The types that these and the tables lead to, by `TypeDescription.name`. */
  types: Map<string, TypeDescription>
  /** Tables and views of the platform: their row types, in the order of their names. */
  tables: TypeDescription[]
}

/** A function as a caller sees it. Overloads are functions of their own. */
export interface DescribedFunction {
  schema: string
  name: string
  /** Name and argument types: `public.f(integer, text)`. */
  identity: string
  kind: 'function' | 'procedure'
  volatility: 'immutable' | 'stable' | 'volatile'
  /** Its comment without tags; '' without one. */
  about: string
  /** Errors that its comment declares. */
  errors: DeclaredError[]
  parameters: Parameter[]
  /** Columns of its rows; undefined if they depend on the call (`record`, `anyelement`). */
  columns: Column[] | undefined
  /** Whether it returns any number of rows; otherwise one, or none from a procedure. */
  returnsSet: boolean
}

/** An argument that a caller can give. */
export interface Parameter {
  /** Null if the function does not name it: it can be given by position alone. */
  name: string | null
  /** `TypeDescription.name`. */
  type: string
  /** Default as SQL writes it; null without one. */
  default: string | null
  /** Whether it takes the place of any number of arguments. It is given as an array. */
  isVariadic: boolean
  /** Whether null is known to be refused. */
  isNotNull: boolean
  /** What the comment on the function says of it. */
  about: string
}

/** A column of a result, or an attribute of a composite type. */
export interface Column {
  name: string
  /** `TypeDescription.name`. */
  type: string
  /** Whether it is known never to be null. */
  isNotNull: boolean
  about: string
}

/** An error that a comment declares: `@error P0001 The balance is too low`. */
export interface DeclaredError {
  sqlstate: string
  about: string
}

export interface TypeDescription {
  /** As SQL writes it: `integer`, `text[]`, `public.postal_address`. */
  name: string
  schema: string
  /** Without its schema. */
  label: string
  kind:
    | 'base'
    | 'enum'
    | 'composite'
    | 'domain'
    | 'array'
    | 'range'
    /** anyelement, record, void, … */
    | 'pseudo'
  about: string
  /** Base type of a domain, or element type of an array; null for other kinds. */
  of: string | null
  /** Whether the domain refuses null. */
  isNotNull: boolean
  /** Values of an enum, in order; null for other kinds. */
  labels: string[] | null
  /** Attributes of a composite type; null for other kinds. */
  attributes: Column[] | null
  /** The relation whose rows have this type; null for other types. */
  relation: 'table' | 'view' | null
}

/** Returns the type below all domains. */
export function baseOf(types: Description['types'], name: string): TypeDescription | undefined {
  let type = types.get(name)
  while (type?.kind === 'domain' && type.of !== null) type = types.get(type.of)
  return type
}

/** Whether documents give the type a name: it is an enum, a domain or a composite type. */
export function isNamed({ kind }: TypeDescription): boolean {
  return kind === 'enum' || kind === 'domain' || kind === 'composite'
}

/** Returns the name of a type in documents: with its schema, unless that is `public`. */
export function typeKey({ schema, label }: TypeDescription): string {
  return schema === 'public' ? label : `${schema}.${label}`
}

/** Returns the overloads of each name, in the order of the names. */
export function overloadsByName(functions: DescribedFunction[]): Map<string, DescribedFunction[]> {
  const byName = new Map<string, DescribedFunction[]>()
  for (const one of functions) {
    const overloads = byName.get(one.name)
    if (overloads) overloads.push(one)
    else byName.set(one.name, [one])
  }
  return byName
}

/** Whether no overload writes, by their volatility: a client may send such a call again. */
export function readsOnly(overloads: DescribedFunction[]): boolean {
  return overloads.every(({ volatility }) => volatility !== 'volatile')
}
