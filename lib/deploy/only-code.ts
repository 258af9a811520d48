import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import type { Ledger } from './ledger.ts'
import { parseScripts } from './run-file.ts'

/**
 * Whether all that a deploy without pending migrations has to run makes functions and views alone:
 * no statement of it can change a table.
 */
export async function runsOnlyCode({ files }: SchemaArchive, ledger: Ledger): Promise<boolean> {
  const isOther = (known: Map<string, string>) => (file: SchemaFile) =>
    known.get(file.name) !== file.checksum
  const isNew = ({ name }: SchemaFile) => !ledger.seeders.has(name)
  if (files.types.some(isOther(ledger.types)) || files.seeders.some(isNew)) return false
  const changed = [
    ...files.functions.filter(
      ({ name, checksum }) => ledger.functions.get(name)?.checksum !== checksum,
    ),
    ...files.views.filter(({ name, checksum }) => ledger.views.get(name)?.checksum !== checksum),
  ]
  const scripts = await parseScripts('function_deploy_failed', 'File', changed)
  return scripts.every(({ statements }) => statements.every(({ isCode }) => isCode))
}
