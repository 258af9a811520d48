import { createHash } from 'node:crypto'
import { Recent } from '../../common/recent.ts'
import type { Statement } from '../parser/statement.ts'
import type { Script } from '../run/run-file.ts'
import type { FoundObjects } from './find.ts'

/** Objects after all files have run, and the warnings about their bodies. */
export interface Seen {
  found: FoundObjects
  /** Key of the object that each statement creates, with the oids of all types. */
  keys: Map<Statement, string>
  /** Warnings about bodies that would fail at run time. */
  warnings: string[]
}

/** Cache limit in characters; most of it is texts of bodies. */
const MAX_KEPT = 8 * 1024 * 1024
const PER_OBJECT = 500

/**
 * Cache of results by hash of the files and print of the database (see `Look`: databases with the
 * same objects have the same print). In another database with the same print, the same files have
 * created the same objects and every body is valid, so nothing is read or checked again. The oids
 * and keys in a cached result are those of the first database.
 */
const seen = new Recent<Seen>(MAX_KEPT)
/** Hashes of files with cached results, now or until recently. */
const asked = new Recent<true>(100)

/** Returns the hash of the files. */
export function keyOf(scripts: Script[]): string {
  const lines = scripts.map(({ file: { path, checksum } }) => `${path} ${checksum}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}

/** Returns whether a result for these files may be cached, so that the print is worth a query. */
export function mayBeKnown(files: string): boolean {
  return asked.get(files) ?? false
}

/**
 * Returns the cached result for a print. Returns undefined if there is none, or if the files have
 * been parsed again since, because its keys refer to the statements of that earlier parse.
 */
export function findSeen(files: string, print: string, scripts: Script[]): Seen | undefined {
  const found = seen.get(`${files} ${print}`)
  const isOfThese = scripts.every(({ statements }) =>
    statements.every((statement) => !statement.made || found?.keys.has(statement)),
  )
  return isOfThese ? found : undefined
}

/** Caches a result; call it only if all bodies are valid. */
export function keepSeen(files: string, print: string, value: Seen): void {
  let size = 0
  for (const { body } of value.found.byKey.values()) size += PER_OBJECT + (body?.length ?? 0)
  seen.set(`${files} ${print}`, value, size)
  asked.set(files, true, 1)
}
