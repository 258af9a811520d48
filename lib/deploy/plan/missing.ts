import type { SchemaArchive } from '../../archive/archive.ts'
import { SECTIONS as ALL_SECTIONS, type Section } from '../../archive/sections.ts'
import { GatewayError } from '../../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { checksumOf } from '../run/compared.ts'
import { parseScripts } from '../run/run-file.ts'

const MAX_NAMES = 20

const HINT =
  'Look for a folder that is missing or misspelt. Where it is meant, send ' +
  'allow=functions_missing (force=true allows everything)'

/** What comes from the others stays where their files are gone. */
const SECTIONS = ALL_SECTIONS.filter(
  (section): section is Exclude<Section, 'schemas' | 'extensions'> =>
    section !== 'schemas' && section !== 'extensions',
)

/** Renaming as few as these is no sign of a mistake, however large a part of all they are. */
const MAX_RENAMED = 2

/**
 * Checks that the archive is not one of which a part was left out by mistake: what came from files
 * that are gone is dropped, and new databases would lack it.
 * @throws {GatewayError} functions_missing where a section is gone that is in place, or, by name,
 *   more than half of the functions that files made; but for at most two for which as many new ones
 *   come
 */
export async function checkNothingMissing(
  database: string,
  archive: SchemaArchive,
  ledger: Ledger,
): Promise<void> {
  const isInPlace = (section: (typeof SECTIONS)[number]) => {
    if (section === 'tables') return hadTables(ledger)
    return (section === 'migrations' ? ledger.migrations : ledger.filesOf(section)).size > 0
  }
  const sections = SECTIONS.filter(
    (section) => archive.files[section].length === 0 && isInPlace(section),
  )
  if (sections.length > 0) {
    const folders = sections.map((section) => `${section}/`).join(', ')
    throw new GatewayError(
      'functions_missing',
      `The archive has no file in ${folders}, from which the database has something in place`,
      { database, sections, hint: HINT },
    )
  }
  const made = new Set([...ledger.functions.values()].flatMap(({ functions }) => functions))
  const names = new Set([...made].map(bareName))
  const kept = await namesMade(archive, ledger)
  const missing = [...names].filter((name) => !kept.has(name)).sort()
  if (missing.length * 2 <= names.size) return
  const added = [...kept].filter((name) => !names.has(name)).length
  if (missing.length <= Math.min(added, MAX_RENAMED)) return
  throw new GatewayError(
    'functions_missing',
    `The archive lacks ${missing.length} of the ${names.size} functions that its files made before`,
    { database, functions: missing.slice(0, MAX_NAMES), hint: HINT },
  )
}

/** What the checksum of no files is. */
const NO_FILES = checksumOf([])

function hadTables({ tablesChecksum }: Ledger): boolean {
  return tablesChecksum !== null && tablesChecksum !== NO_FILES
}

/** The names of the functions that there will be, whatever their schemas and arguments. */
async function namesMade({ files }: SchemaArchive, ledger: Ledger): Promise<Set<string>> {
  const scripts = await parseScripts('function_deploy_failed', 'Function file', files.functions)
  const names = scripts.flatMap(({ file, statements }) => {
    const known = ledger.functions.get(file.name)
    // Of an unchanged file the ledger knows; and what DO makes stands in no syntax tree.
    const isUntold = known?.checksum === file.checksum || statements.some(({ isCode }) => !isCode)
    const before = isUntold ? (known?.functions ?? []).map(bareName) : []
    return [...before, ...statements.flatMap(({ routine }) => routine ?? [])]
  })
  return new Set(names)
}

/** The name in `schema.name(types)`, each part quoted where it has to be. */
function bareName(identity: string): string {
  const part = '"(?:[^"]|"")*"|[^".(]+'
  const name = new RegExp(`^(?:${part})\\.(${part})\\(`).exec(identity)?.[1] ?? identity
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}
