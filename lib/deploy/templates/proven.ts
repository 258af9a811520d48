import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import { CODE_SECTIONS } from '../../archive/sections.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { KnownObject } from '../objects/object.ts'
import { knownFiles } from '../run/code.ts'
import { readScripts } from '../run/run-file.ts'

/**
 * Returns the first code file that makes an updated copy unreliable: a new database could differ
 * from a copy of one with the same files except code. That is a file that has changed or is gone
 * and whose objects the other files of the archive use, directly or through functions and views.
 * Triggers and policies count only if seeders name their table, because migrations run before they
 * exist. Uses are found by comparing words, so a coincidence only costs a build from nothing.
 * @param ledger ledger of the copy, before the archive is deployed to it
 */
export async function findUnproven(
  { files }: SchemaArchive,
  ledger: Ledger,
): Promise<string | undefined> {
  const known = knownFiles(ledger)
  const all = CODE_SECTIONS.flatMap((section) => files[section])
  const present = new Set(all.map(({ path }) => path))
  const items: Item[] = [...known].flatMap(([path, { objects }]) =>
    present.has(path) ? [] : [{ path, isChanged: true, makes: namesOf(path, objects), words: [] }],
  )
  for (const { file, statements } of await readScripts(all)) {
    const before = known.get(file.path)
    const made = statements.flatMap(({ made }) => made ?? [])
    const tables = made.flatMap(({ relation }) => wordsOf(relation ?? ''))
    const makes = isOfTables(file.path) ? tables : made.map(({ name }) => name)
    items.push({
      path: file.path,
      isChanged: before?.checksum !== file.checksum,
      makes: [...makes, ...namesOf(file.path, before?.objects ?? [])],
      words: wordsOf(file.text),
    })
  }
  const wordsIn = (list: SchemaFile[]) => new Set(list.flatMap(({ text }) => wordsOf(text)))
  const seeded = wordsIn(files.seeders)
  const reached = wordsIn([
    ...files.migrations,
    ...files.tables,
    ...files.types,
    ...files.seeders,
    ...files.schemas,
  ])
  const waiting = new Set(items)
  for (let size = -1; size !== waiting.size; ) {
    size = waiting.size
    for (const item of waiting) {
      const words = isOfTables(item.path) ? seeded : reached
      if (!item.makes.some((name) => words.has(name))) continue
      if (item.isChanged) return item.path
      waiting.delete(item)
      for (const word of item.words) {
        reached.add(word)
        seeded.add(word)
      }
    }
  }
  return undefined
}

interface Item {
  path: string
  isChanged: boolean
  /** Names without schema; for triggers and policies, the names of their tables. */
  makes: string[]
  words: string[]
}

function isOfTables(path: string): boolean {
  return path.startsWith('triggers/') || path.startsWith('policies/')
}

/** Returns the names in ledger entries: `schema.name(types)`, `t on public.orders`. */
function namesOf(path: string, objects: KnownObject[]): string[] {
  return objects.flatMap(({ identity, name }) => {
    if (isOfTables(path)) return wordsOf(identity.slice(identity.lastIndexOf(' on ') + 4))
    return name === undefined ? wordsOf(identity) : [name]
  })
}

/** Returns every word that may be a name, also in lower case. */
function wordsOf(text: string): string[] {
  const found = text.match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []
  return [...found, ...found.map((word) => word.toLowerCase())]
}
