import type { SchemaArchive, Section } from '../../archive/archive.ts'
import { SECTIONS } from '../../archive/archive.ts'
import type { Ledger } from '../ledger/ledger.ts'

/**
 * What goes back with an older archive; everything else stays as it is. Policies do: they guard the
 * rows of tables.
 */
const CODE_SECTIONS: ReadonlySet<string> = new Set(['functions', 'views', 'triggers'])

/**
 * The code of an archive, and the ledger that it is compared with, without some files: these, and
 * policies, are nobody's then, and stay.
 */
export function codeOf(
  archive: SchemaArchive,
  ledger: Ledger,
  paths: ReadonlySet<string> = new Set(),
): { archive: SchemaArchive; ledger: Ledger } {
  const files = { ...archive.files }
  for (const section of SECTIONS) {
    const isCode = CODE_SECTIONS.has(section)
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

/** Files of the archive that the database has not had: what its code needs may not be there. */
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
