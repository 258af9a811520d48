import type { SchemaArchive, Section } from '../../archive/archive.ts'
import { SECTIONS } from '../../archive/archive.ts'
import type { Ledger } from '../ledger.ts'

/** What goes back with an older archive; everything else stays as it is. */
export const CODE_SECTIONS: ReadonlySet<string> = new Set([
  'functions',
  'views',
  'triggers',
  'policies',
])

/** The archive with its code alone. */
export function codeOf(archive: SchemaArchive): SchemaArchive {
  const files = { ...archive.files }
  for (const section of SECTIONS) if (!CODE_SECTIONS.has(section)) files[section] = []
  return { ...archive, files }
}

/** An archive, and the ledger that it is compared with, without some files, which then are nobody's. */
export function without(
  archive: SchemaArchive,
  ledger: Ledger,
  paths: ReadonlySet<string>,
): { archive: SchemaArchive; ledger: Ledger } {
  const files = { ...archive.files }
  for (const section of SECTIONS) {
    files[section] = files[section].filter(({ path }) => !paths.has(path))
  }
  const left = <T>(section: Section, known: Map<string, T>) =>
    new Map([...known].filter(([name]) => !paths.has(`${section}/${name}`)))
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
  const types = files.types.filter(({ name }) => !ledger.types.has(name))
  const seeders = files.seeders.filter(({ name }) => !ledger.seeders.has(name))
  return [...migrations, ...types, ...seeders].map(({ path }) => path)
}
