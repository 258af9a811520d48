import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/connection.ts'
import type { Ledger } from '../ledger.ts'
import type { Statement } from '../parser/statement.ts'
import { readScripts } from '../run-file.ts'
import { askedOf, type Found, findObjects } from './find.ts'
import { classOf, type FoundObject, type KnownObject } from './object.ts'
import type { KnownFile } from './state.ts'

/** By class and oid; undefined: nothing ran. */
export type Versions = ReadonlyMap<string, string> | undefined

/** What tells that something which a file of code made belongs to another section by now. */
export interface TakenOver {
  /** How what such files made was before the deploy ran anything. */
  versions: Versions | Promise<Versions>
  /** Statements of other sections that may make it. */
  statements: Statement[]
}

const keyOf = ({ kind, oid }: FoundObject) => `${classOf(kind)} ${oid}`

/**
 * Reads how what files of code have made is, before anything runs: of those that are gone or changed,
 * since no other may leave something behind. One query, or none.
 */
export async function readVersions(
  sql: Sql,
  files: SchemaFile[],
  known: ReadonlyMap<string, KnownFile>,
): Promise<Map<string, string>> {
  const checksums = new Map(files.map(({ path, checksum }) => [path, checksum]))
  const objects = [...known].flatMap(([path, file]) =>
    checksums.get(path) === file.checksum ? [] : file.objects,
  )
  if (objects.length === 0) return new Map()
  const found = await findObjects(sql, objects.map(askedOf))
  return new Map([...found.byOid.values()].map((object) => [keyOf(object), object.version]))
}

/** The statements of types/, tables/ and of migrations that a deploy before this one committed and did not end. */
export async function otherStatements(
  { files }: SchemaArchive,
  { committedSince }: Ledger,
): Promise<Statement[]> {
  const migrations = files.migrations.filter(({ path }) => committedSince.has(path))
  const scripts = await readScripts([...files.types, ...files.tables, ...migrations])
  return scripts.flatMap(({ statements }) => statements)
}

/**
 * What the ledger has, without what no file of code makes any more and another section does, or a
 * step of this deploy has made or changed: that is nobody's to drop.
 * @param mayLeave whether the file is gone or has changed
 * @param kept what files of code make
 * @param others what other sections make
 * @returns the rest, and warnings of what stays
 */
export function withoutTakenOver(
  known: ReadonlyMap<string, KnownFile>,
  found: Found,
  mayLeave: (path: string) => boolean,
  versions: Versions,
  kept: ReadonlySet<string>,
  others: ReadonlySet<string>,
): { known: Map<string, KnownFile>; warnings: string[] } {
  const objectsOf = (keys: ReadonlySet<string>) =>
    new Set([...keys].flatMap((key) => found.byKey.get(key) ?? []))
  const keptObjects = objectsOf(kept)
  const otherObjects = objectsOf(others)
  const warnings: string[] = []
  const isTaken = (path: string, one: KnownObject) => {
    const object = mayLeave(path) ? found.of(one) : undefined
    if (!object || keptObjects.has(object)) return false
    const isTouched = versions !== undefined && versions.get(keyOf(object)) !== object.version
    if (!isTouched && !otherObjects.has(object)) return false
    warnings.push(
      `${path} does not make ${one.kind} ${one.identity} any more; it stays, since a migration, types/ or tables/ has made or changed it`,
    )
    return true
  }
  const rest = new Map(
    [...known].map(([path, file]) => [
      path,
      { ...file, objects: file.objects.filter((one) => !isTaken(path, one)) },
    ]),
  )
  return { known: rest, warnings }
}
