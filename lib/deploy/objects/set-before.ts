import type { Sql } from '../../postgres/pools/connection.ts'
import { findDependants, oidKeyOf } from './dependants.ts'
import { askedOf, findObjects } from './find.ts'
import { type Kept, keepStatements, readKept } from './keep.ts'
import { keyOfFound } from './names.ts'
import { classOf, dropStatement, type FoundObject, type KnownObject } from './object.ts'
import { settingStatements } from './settings.ts'

/** An object of a file before the migrations run, with its properties that were set by hand. */
interface Before {
  object: FoundObject
  known: KnownObject
  kept: Kept | undefined
}

/**
 * Such objects by the key of the statement that creates them. Migrations may drop them, and the
 * files create them again.
 */
export type SetBefore = Map<string, Before>

/** Reads the properties of the files' objects that were set by hand. */
export async function readSetBefore(sql: Sql, known: KnownObject[]): Promise<SetBefore> {
  if (known.length === 0) return new Map()
  const found = await findObjects(sql, known.map(askedOf))
  const all = known.flatMap((one) => {
    const object = found.of(one)
    return object ? [{ object, known: one }] : []
  })
  const kept = await readKept(
    sql,
    all.map(({ object }) => object),
  )
  return new Map(
    all.map((one) => [keyOfFound(one.object), { ...one, kept: kept.get(oidKey(one.object)) }]),
  )
}

/**
 * Returns the statements that restore those properties after a file has created the object again.
 */
export function putBack(
  { object, known, kept }: Before,
  made: { kind: FoundObject['kind']; sets: string[] },
): string[] {
  const now = { ...object, kind: made.kind }
  const settings = settingStatements(now, known.settings, made.sets)
  return kept ? [...settings, ...keepStatements(now, kept)] : settings
}

/** The objects of files that prevent a migration. */
export interface InTheWay {
  /** Objects that can be dropped: files create them and all their dependants again. */
  objects: FoundObject[]
  /** An object that cannot be dropped, and its dependant that no file creates. */
  blocked: { object: FoundObject; by: string } | undefined
}

/** Finds the objects of files that are named in PostgreSQL's error. */
export async function findInTheWay(sql: Sql, before: SetBefore, words: string): Promise<InTheWay> {
  const all = [...before.values()].map(({ object }) => object)
  const ours = new Set(all.map(oidKey))
  const objects: FoundObject[] = []
  for (const object of namedIn(words, all)) {
    const dependants = await findDependants(sql, [object])
    const other = dependants.find((one) => !ours.has(oidKeyOf(one)))
    if (other) return { objects: [], blocked: { object, by: other.description } }
    objects.push(object)
  }
  return { objects, blocked: undefined }
}

/** Drops the objects and their dependants. */
export async function dropAll(sql: Sql, objects: FoundObject[]): Promise<void> {
  if (objects.length === 0) return
  await sql.unsafe(objects.map((object) => dropStatement(object, true)).join('; '))
}

/**
 * Returns the objects that PostgreSQL's error names, as in `view public.sizes depends on column "size"`,
 * `rule _RETURN on view sizes`, `policy mine on table t`. In another language than English the kinds are
 * not known, so names alone count.
 */
export function namedIn<T extends Pick<FoundObject, 'kind' | 'name'>>(
  words: string,
  objects: T[],
): T[] {
  const isEnglish = words.includes(' depends on ')
  return objects.filter(({ kind, name }) => {
    const quoted = name.replaceAll('"', '""').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const before = isEnglish ? `${kind} (?:[^ ]+\\.)?` : '(?<![\\w$])'
    return new RegExp(`${before}"?${quoted}"?(?![\\w$])`, 'u').test(words)
  })
}

function oidKey({ kind, oid }: FoundObject): string {
  return `${classOf(kind)} ${oid}`
}
