import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Statement } from '../parser/statement.ts'
import { parseScripts } from '../run/run-file.ts'

/**
 * Whether a deploy without pending migrations runs nothing but statements that create functions,
 * views and triggers, none of which can change a table. Policies do not count as code here: they
 * are rules of a table, and their loss is reported.
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

/** Statements of an unchanged file run too if their object is dropped and created again. */
function makesAgain({ made, unnamedIndexOn, isDescription }: Statement): boolean {
  return made !== undefined || unnamedIndexOn !== undefined || isDescription
}
