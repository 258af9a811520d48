import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Statement } from '../parser/statement.ts'
import { parseScripts } from '../run/run-file.ts'

/**
 * Whether all that a deploy without pending migrations has to run makes functions, views and
 * triggers alone: no statement of it can change a table. Policies count among the rules of a table,
 * whose loss is told.
 */
export async function runsOnlyCode({ files }: SchemaArchive, ledger: Ledger): Promise<boolean> {
  const changedIn = (
    section: 'schemas' | 'types' | 'functions' | 'views' | 'triggers' | 'policies',
  ) =>
    files[section].filter(
      ({ name, checksum }) => ledger.filesOf(section).get(name)?.checksum !== checksum,
    )
  const isNew = ({ name }: SchemaFile) => !ledger.seeders.has(name)
  if (changedIn('schemas').length > 0 || changedIn('types').length > 0) return false
  if (changedIn('policies').length > 0 || files.seeders.some(isNew)) return false
  if (ledger.filesOf('policies').size > files.policies.length) return false
  const changed = new Set([
    ...changedIn('functions'),
    ...changedIn('views'),
    ...changedIn('triggers'),
  ])
  const all = [...files.functions, ...files.views, ...files.triggers]
  const scripts = await parseScripts('function_deploy_failed', 'File', all)
  return scripts.every(({ file, statements }) =>
    statements.every((one) => one.isCode || (!changed.has(file) && makesAgain(one))),
  )
}

/** What an unchanged file has may run too, where what it made is dropped and made again. */
function makesAgain({ made, unnamedIndexOn, isDescription }: Statement): boolean {
  return made !== undefined || unnamedIndexOn !== undefined || isDescription
}
