import { createHash } from 'node:crypto'
import { Recent } from '../../common/recent.ts'
import type { Statement } from '../parser/statement.ts'
import type { Script } from '../run/run-file.ts'
import type { FoundObjects } from './find.ts'

/** What there is once all has run, and what was said of the bodies. */
export interface Seen {
  found: FoundObjects
  /** What statements make: by now all types have their oids. */
  keys: Map<Statement, string>
  /** Of bodies that would fail when they run. */
  warnings: string[]
}

/** In characters: texts of bodies, for the most part. */
const MAX_KEPT = 8 * 1024 * 1024
const PER_OBJECT = 500

/**
 * What looking at some files' objects came to, by the files and the print of the database. In another
 * database that has the same print, the same files have made the same, of which every body is in order:
 * nothing of it is read or checked again. Its oids are those of the first one, as its keys are.
 */
const seen = new Recent<Seen>(MAX_KEPT)
/** The files of which anything is kept, or was until lately. */
const asked = new Recent<true>(100)

/** Stands for the files that are looked at. */
export function keyOf(scripts: Script[]): string {
  const lines = scripts.map(({ file: { path, checksum } }) => `${path} ${checksum}\n`)
  return createHash('sha256').update(lines.join('')).digest('hex')
}

/** Whether some database has been looked at for these files, so that it is worth asking for the print alone. */
export function mayBeKnown(files: string): boolean {
  return asked.get(files) ?? false
}

/** What is known of a database with this print; undefined where it was not seen, or its texts were taken apart anew. */
export function findSeen(files: string, print: string, scripts: Script[]): Seen | undefined {
  const found = seen.get(`${files} ${print}`)
  const isOfThese = scripts.every(({ statements }) =>
    statements.every((statement) => !statement.made || found?.keys.has(statement)),
  )
  return isOfThese ? found : undefined
}

/** To be called where all bodies are in order. */
export function keepSeen(files: string, print: string, value: Seen): void {
  let size = 0
  for (const { body } of value.found.byKey.values()) size += PER_OBJECT + (body?.length ?? 0)
  seen.set(`${files} ${print}`, value, size)
  asked.set(files, true, 1)
}
