import type { SchemaArchive } from '../../archive/archive.ts'
import { SECTIONS as ALL_SECTIONS, type Section } from '../../archive/sections.ts'
import { GatewayError } from '../../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { checksumOf } from '../run/compared.ts'
import { parseScripts } from '../run/run-file.ts'

const MAX_NAMES = 20

const HINT =
  'Look for a folder that is missing or misspelt. If the files were removed on purpose, send ' +
  'allow=functions_missing (force=true allows everything)'

/**
 * Sections whose absence may be a mistake. Objects of schemas/ and extensions/ stay when their
 * files are gone.
 */
const SECTIONS = ALL_SECTIONS.filter(
  (section): section is Exclude<Section, 'schemas' | 'extensions'> =>
    section !== 'schemas' && section !== 'extensions',
)

/**
 * Renaming up to this many functions is no sign of a mistake, even if it is a large share of all
 * functions.
 */
const MAX_RENAMED = 2

/**
 * Checks that no part of the archive was left out by mistake: the deploy would drop its objects,
 * and new databases would lack them.
 * @throws {GatewayError} functions_missing if the archive has no file in a section that the
 *   database has something from, or lacks more than half of the function names that its files
 *   created before. Up to two missing names are accepted if as many new ones are added.
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
      `The archive has no file in ${folders}, but files from there are deployed to the database`,
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
    `The archive lacks ${missing.length} of the ${names.size} functions that its files created before`,
    { database, functions: missing.slice(0, MAX_NAMES), hint: HINT },
  )
}

/** Checksum of an empty section. */
const NO_FILES = checksumOf([])

function hadTables({ tablesChecksum }: Ledger): boolean {
  return tablesChecksum !== null && tablesChecksum !== NO_FILES
}

/**
 * Returns the bare names of the functions that the archive creates, without schemas and argument
 * types.
 */
async function namesMade({ files }: SchemaArchive, ledger: Ledger): Promise<Set<string>> {
  const scripts = await parseScripts('function_deploy_failed', 'Function file', files.functions)
  const names = scripts.flatMap(({ file, statements }) => {
    const known = ledger.functions.get(file.name)
    // The ledger has the functions of an unchanged file. It is also the only source for functions
    // that DO creates, which no syntax tree shows.
    const isUntold = known?.checksum === file.checksum || statements.some(({ isCode }) => !isCode)
    const before = isUntold ? (known?.functions ?? []).map(bareName) : []
    return [...before, ...statements.flatMap(({ routine }) => routine ?? [])]
  })
  return new Set(names)
}

/** Returns the unquoted name from `schema.name(types)`. */
function bareName(identity: string): string {
  const part = '"(?:[^"]|"")*"|[^".(]+'
  const name = new RegExp(`^(?:${part})\\.(${part})\\(`).exec(identity)?.[1] ?? identity
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
}
