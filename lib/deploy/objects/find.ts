import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { foundSql } from './found-sql.ts'
import { keyOfFound } from './names.ts'
import { classOf, type FoundObject, type KnownObject, type ObjectClass } from './object.ts'

/** Class and name of objects to find, in any schema and with any parameter types. */
export interface SoughtObject {
  class: ObjectClass
  name: string
  /** For routines: also read digest and body, which take most of PostgreSQL's time. */
  whole?: boolean
}

/** Objects of a database, with several indexes. */
export interface FoundObjects {
  byKey: Map<string, FoundObject>
  byOid: Map<string, FoundObject>
  /** Returns the object that a ledger records, if it still exists. */
  of(known: KnownObject): FoundObject | undefined
}

interface Row {
  objects: (Omit<FoundObject, 'identity' | 'oldIdentity'> & { label: string })[]
  types: [oid: string, name: string, oldName: string][]
}

/** Finds all objects with these names, in one query. */
export async function findObjects(sql: Sql, asked: SoughtObject[]): Promise<FoundObjects> {
  const distinct = new Map<string, SoughtObject>()
  for (const one of asked) {
    const key = `${one.class} ${one.name}`
    if (one.whole || !distinct.has(key)) distinct.set(key, one)
  }
  const classes = new Set(asked.map((one) => one.class))
  const text = foundSql(quoteLiteral(JSON.stringify([...distinct.values()])), classes)
  const [row] = await send(sql.unsafe<[Row]>(text))
  return indexed(row)
}

/** Returns class and name of an object that a ledger records. */
export function askedOf({ kind, identity, name }: KnownObject): SoughtObject {
  return { class: classOf(kind), name: name ?? nameIn(identity) }
}

const PART = '"(?:[^"]|"")*"|[^".(]+'
const NAME = new RegExp(`^(?:(?:${PART})\\.)?(${PART})(?:\\(|$)`)

/** Returns the name in `schema.name(types)` or `"view"`. */
function nameIn(identity: string): string {
  const name = NAME.exec(identity)?.[1] ?? identity
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}

function indexed({ objects, types }: Row): FoundObjects {
  const names = new Map(types.map(([oid, name]) => [oid, name]))
  const oldNames = new Map(types.map(([oid, , name]) => [oid, name]))
  const all = objects.map(({ label, ...object }): FoundObject => {
    const identity = (of: Map<string, string>) => identityOf(object.kind, label, object.types, of)
    return { ...object, identity: identity(names), oldIdentity: identity(oldNames) }
  })
  const byIdentity = new Map<string, FoundObject>()
  for (const object of all) {
    byIdentity.set(`${classOf(object.kind)} ${object.oldIdentity}`, object)
    // The first version of the ledger has a view's name as the file writes it.
    if (classOf(object.kind) === 'relation') {
      const quote = (part: string) => `"${part.replaceAll('"', '""')}"`
      if (object.schema === 'public') byIdentity.set(`relation ${quote(object.name)}`, object)
      byIdentity.set(`relation ${quote(object.schema)}.${quote(object.name)}`, object)
    }
  }
  for (const object of all) byIdentity.set(`${classOf(object.kind)} ${object.identity}`, object)
  return {
    byKey: new Map(all.map((object) => [keyOfFound(object), object])),
    byOid: new Map(all.map((object) => [`${classOf(object.kind)} ${object.oid}`, object])),
    of: ({ kind, identity }) => byIdentity.get(`${classOf(kind)} ${identity}`),
  }
}

function identityOf(
  kind: FoundObject['kind'],
  label: string,
  types: string,
  names: Map<string, string>,
): string {
  const list = types === '' ? [] : types.split(' ').map((oid) => names.get(oid) ?? 'none')
  if (kind === 'cast') return `(${list.join(' as ')})`
  const hasTypes = classOf(kind) === 'routine' || kind === 'operator'
  return hasTypes ? `${label}(${list.join(', ')})` : label
}
