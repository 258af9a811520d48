import { setTimeout as sleep } from 'node:timers/promises'
import type { SchemaFile } from '../../lib/archive/archive.ts'
import { type Packed, packFolder } from '../schema/pack.ts'

/**
 * By then an editor that empties a file before it writes it, or a program that writes many files, has
 * written them; in milliseconds.
 */
const WRITTEN_MS = 100

/**
 * Packs a folder, once more if a file may be half written whose deploy could not be taken back: one
 * that has just become empty, or a migration that is new.
 * @param before what was deployed last
 */
export async function packWritten(folder: string, before: Packed | undefined): Promise<Packed> {
  const packed = await packFolder(folder)
  if (!before || !(hasEmptied(before, packed) || hasNewMigration(before, packed))) return packed
  await sleep(WRITTEN_MS)
  return packFolder(folder)
}

/** Returns the names of migrations without a statement, as `new migration` makes them. */
export function unwrittenMigrations({ archive }: Packed): string[] {
  return archive.files.migrations.filter(({ text }) => isBlank(text)).map(({ name }) => name)
}

/** Returns whether a text has comments alone, which PostgreSQL takes within each other. */
function isBlank(text: string): boolean {
  let depth = 0
  for (const [token] of text.matchAll(/\/\*|\*\/|--|\n|[\s\S]/g)) {
    if (token === '/*' && depth >= 0) depth++
    else if (token === '*/' && depth > 0) depth--
    else if (token === '--' && depth === 0) depth = IN_LINE
    else if (token === '\n' && depth === IN_LINE) depth = 0
    else if (depth === 0 && !/[\s;\ufeff]/.test(token)) return false
  }
  return true
}

/** The depth within a comment that ends with its line. */
const IN_LINE = -1

function filesOf({ archive }: Packed): SchemaFile[] {
  return Object.values(archive.files).flat()
}

/** Returns whether a file that had a text has none. */
function hasEmptied(before: Packed, after: Packed): boolean {
  const had = new Set(filesOf(before).flatMap(({ path, text }) => (text.trim() ? [path] : [])))
  return filesOf(after).some(({ path, text }) => text.trim() === '' && had.has(path))
}

function hasNewMigration(before: Packed, after: Packed): boolean {
  const had = new Set(before.archive.files.migrations.map(({ path }) => path))
  return after.archive.files.migrations.some(({ path }) => !had.has(path))
}
