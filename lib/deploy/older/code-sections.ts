import type { SchemaArchive, Section } from '../../archive/archive.ts'
import { SECTIONS } from '../../archive/archive.ts'
import type { Ledger } from '../ledger/ledger.ts'

/**
 * Sections that are deployed from an older archive; all others stay as they are. Policies are not
 * among them, because they guard rows.
 */
const REVERTED_SECTIONS: ReadonlySet<string> = new Set(['functions', 'views', 'triggers'])

/**
 * Returns the code of an archive, and the ledger to compare it with, both without the files in
 * `paths` and without policies. A deploy with them neither changes nor drops the objects of those.
 */
export function codeOf(
  archive: SchemaArchive,
  ledger: Ledger,
  paths: ReadonlySet<string> = new Set(),
): { archive: SchemaArchive; ledger: Ledger } {
  const files = { ...archive.files }
  for (const section of SECTIONS) {
    const isCode = REVERTED_SECTIONS.has(section)
    files[section] = isCode ? files[section].filter(({ path }) => !paths.has(path)) : []
  }
  const left = <T>(section: Section, known: Map<string, T>) =>
    new Map(
      [...known].filter(([name]) => section !== 'policies' && !paths.has(`${section}/${name}`)),
    )
  return {
    archive: { ...archive, files },
    ledger: {
      ...ledger,
      functions: left('functions', ledger.functions),
      views: left('views', ledger.views),
      filesOf: (section) => left(section, ledger.filesOf(section)),
    },
  }
}

/**
 * Returns the migrations, schemas, types and seeders of the archive that the database never had.
 * The archive's code may depend on them.
 */
export function lackingFiles({ files }: SchemaArchive, ledger: Ledger): string[] {
  const checksums = new Set([...ledger.migrations.values()].map(({ checksum }) => checksum))
  const migrations = files.migrations.filter(
    ({ name, checksum, rawChecksum }) =>
      !ledger.migrations.has(name) && !checksums.has(checksum) && !checksums.has(rawChecksum),
  )
  const others = (['schemas', 'types', 'seeders'] as const).flatMap((section) =>
    files[section].filter(({ name }) => !ledger.filesOf(section).has(name)),
  )
  return [...migrations, ...others].map(({ path }) => path)
}
