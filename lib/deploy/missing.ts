import type { SchemaArchive } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Ledger } from './ledger.ts'
import { parseScripts } from './run-file.ts'

const MAX_NAMES = 20

const HINT =
  'Look for a folder that is missing or misspelt. Where it is meant, send ' +
  'allow=functions_missing (force=true allows everything)'

/**
 * Checks that the archive is not one of which a part was left out by mistake: what came from files
 * that are gone is dropped.
 * @throws {GatewayError} functions_missing where a section is gone that is in place, or, by name,
 *   more than half of the functions that files made
 */
export async function checkNothingMissing(
  database: string,
  archive: SchemaArchive,
  ledger: Ledger,
): Promise<void> {
  const sections = (['types', 'migrations', 'views', 'functions'] as const).filter(
    (section) => ledger[section].size > 0 && archive.files[section].length === 0,
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
  throw new GatewayError(
    'functions_missing',
    `The archive lacks ${missing.length} of the ${names.size} functions that its files made before`,
    { database, functions: missing.slice(0, MAX_NAMES), hint: HINT },
  )
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
