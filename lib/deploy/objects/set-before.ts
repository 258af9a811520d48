import type { Sql } from '../../postgres/pools/connection.ts'
import { findDependants, oidKeyOf } from './dependants.ts'
import { askedOf, findObjects } from './find.ts'
import { type Kept, keepStatements, readKept } from './keep.ts'
import { keyOfFound } from './names.ts'
import { classOf, dropStatement, type FoundObject, type KnownObject } from './object.ts'
import { settingStatements } from './settings.ts'

/** An object of a file before the migrations run, and what people have put on it. */
interface Before {
  object: FoundObject
  known: KnownObject
  kept: Kept | undefined
}

/** By their keys, as statements have them: what migrations may drop and the files make again. */
export type SetBefore = Map<string, Before>

/** Reads what people have put on the objects of the files. */
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

/** The statements that put it back on what a file has made again. */
export function putBack(
  { object, known, kept }: Before,
  made: { kind: FoundObject['kind']; sets: string[] },
): string[] {
  const now = { ...object, kind: made.kind }
  const settings = settingStatements(now, known.settings, made.sets)
  return kept ? [...settings, ...keepStatements(now, kept)] : settings
}

/** What of the files a migration has met in its way. */
export interface InTheWay {
  /** They can go: the files make them again, with all that goes with them. */
  objects: FoundObject[]
  /** With one of them something goes that no file makes. */
  blocked: { object: FoundObject; by: string } | undefined
}

/** Finds the objects of files that PostgreSQL's words name. */
export async function findInTheWay(sql: Sql, before: SetBefore, words: string): Promise<InTheWay> {
  const all = [...before.values()].map(({ object }) => object)
  const ours = new Set(all.map(oidKey))
  const objects: FoundObject[] = []
  for (const object of all.filter((one) => names(words, one))) {
    const dependants = await findDependants(sql, [object])
    const other = dependants.find((one) => !ours.has(oidKeyOf(one)))
    if (other) return { objects: [], blocked: { object, by: other.description } }
    objects.push(object)
  }
  return { objects, blocked: undefined }
}

/** Drops them with what depends on them. */
export async function dropAll(sql: Sql, objects: FoundObject[]): Promise<void> {
  if (objects.length === 0) return
  await sql.unsafe(objects.map((object) => dropStatement(object, true)).join('; '))
}

/** As in `view public.sizes`, `rule _RETURN on view sizes`, `policy mine on table t`. */
function names(words: string, { kind, name }: FoundObject): boolean {
  const quoted = name.replaceAll('"', '""').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`${kind} (?:[^ ]+\\.)?"?${quoted}"?(?![\\w$])`, 'u').test(words)
}

function oidKey({ kind, oid }: FoundObject): string {
  return `${classOf(kind)} ${oid}`
}
