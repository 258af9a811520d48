import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import type { Made, NamedType } from '../parser/makes.ts'
import { nameOf, sqlName } from '../parser/names.ts'
import { classOf, type FoundObject, isOnTable } from './object.ts'

/** Schemas, types and relations of a database that the names in files refer to. */
export interface Names {
  /** The schema in which objects without a schema are created. */
  current: string | null
  schemas: Set<string>
  /** Oids by the name that was looked up. */
  types: Map<string, string>
  relations: Map<string, string>
}

interface Row {
  current: string | null
  schemas: string[]
  types: Record<string, string | null> | null
  relations: Record<string, string | null> | null
  columns: Record<string, string | null> | null
}

/** Looks up all names in the statements that create objects, in one query. */
export async function readNames(sql: Sql, all: Made[]): Promise<Names> {
  const types = new Set<string>()
  const columns = new Map<string, { relation: string; column: string }>()
  const relations = new Set<string>()
  for (const made of all) {
    for (const type of made.types) {
      if (type === null) continue
      if (typeof type === 'string') for (const one of withPath(type, made)) types.add(one)
      else columns.set(textOf(type), type)
    }
    if (made.relation !== null) for (const one of withPath(made.relation, made)) relations.add(one)
  }
  const list = (values: Iterable<unknown>) => quoteLiteral(JSON.stringify([...values]))
  const [row] = await send(
    sql.unsafe<[Row]>(`
      select
        current_schema()::text as current,
        (select json_agg(nspname) from pg_namespace) as schemas,
        (
          select json_object_agg(name, to_regtype(name)::oid::text)
          from json_array_elements_text(${list(types)}::json) as name
        ) as types,
        (
          select json_object_agg(name, to_regclass(name)::oid::text)
          from json_array_elements_text(${list(relations)}::json) as name
        ) as relations,
        (
          select json_object_agg(c.key, a.atttypid::text)
          from json_to_recordset(${list(
            [...columns].map(([key, column]) => ({ key, ...column })),
          )}::json) as c (key text, relation text, "column" text)
          join pg_attribute a
            on a.attrelid = to_regclass(c.relation) and a.attname = c."column"
        ) as columns
    `),
  )
  return {
    current: row.current,
    schemas: new Set(row.schemas),
    types: new Map(known({ ...row.types, ...row.columns })),
    relations: new Map(known(row.relations ?? {})),
  }
}

function known(values: Record<string, string | null>): [string, string][] {
  return Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null)
}

/**
 * Returns a key that is unique to an object within the database: two statements with the same key
 * create the same object. The key has the name of a type that does not exist yet in place of its
 * oid.
 */
export function keyOfMade(made: Made, names: Names): string {
  const { kind, name } = made
  const types = made.types.map((type) => typeKey(type, made, names)).join(' ')
  if (isOnTable(kind)) {
    const table = made.relation!
    const found = withPath(table, made).flatMap((one) => names.relations.get(one) ?? [])[0]
    return `${kind} ${found ?? table} ${name}`
  }
  const home = kind === 'cast' ? '' : (made.schema ?? homeOf(made, names))
  return `${classOf(kind)} ${JSON.stringify([home, name])} ${types}`
}

/** Returns the key of an existing object. */
export function keyOfFound({ kind, schema, name, types, relation }: FoundObject): string {
  if (isOnTable(kind)) return `${kind} ${relation} ${name}`
  return `${classOf(kind)} ${JSON.stringify([kind === 'cast' ? '' : schema, name])} ${types}`
}

function homeOf({ path }: Made, { current, schemas }: Names): string {
  return path?.find((schema) => schemas.has(schema)) ?? current ?? ''
}

function typeKey(type: NamedType | null, made: Made, { types }: Names): string {
  if (type === null) return '0'
  if (typeof type !== 'string') return types.get(textOf(type)) ?? textOf(type)
  return withPath(type, made).flatMap((one) => types.get(one) ?? [])[0] ?? type
}

function textOf({ relation, column }: { relation: string; column: string }): string {
  return `${relation}.${column}%type`
}

/** Returns a quoted name with each schema of the file's search_path, and as it is. */
function withPath(name: string, { path }: Made): string[] {
  if (path === null || /^"(?:[^"]|"")*"\./.test(name)) return [name]
  return [...path.map((schema) => `${sqlName(nameOf(null, schema))}.${name}`), name]
}
