import { quote, refusal } from './refuse.ts'

/**
 * The segments of an entry's name, without `.` and empty ones; none for the archive's own root.
 * Composed to NFC: macOS may store "é" as two characters, and the file is still the same one.
 *
 * Throws `schema_extraction_failed` for a name that points outside the archive, or that would on
 * some system: absolute, with a `..` segment, a backslash or a NUL.
 */
export function splitName(name: string): string[] {
  const fault = findFault(name)
  if (fault) throw refusal(`The name ${quote(name)} ${fault}`, { file: name })
  return name
    .normalize('NFC')
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
}

function findFault(name: string): string | undefined {
  if (name.includes('\0')) return 'contains a NUL'
  if (name.includes('\\')) return 'contains a backslash'
  if (name.startsWith('/')) return 'is absolute'
  if (name.split('/').includes('..')) return 'leads outside the archive: it contains ".."'
}

/** What macOS and other tars leave behind, which nobody put there on purpose. */
export function isNoise(segments: string[]): boolean {
  const last = segments.at(-1) ?? ''
  return (
    last === '.DS_Store' ||
    last.startsWith('._') ||
    segments.some((segment) => segment === '__MACOSX' || /^PaxHeaders?(\.\d+)?$/.test(segment))
  )
}

/** The hidden file or folder that the name lies in, or undefined. */
export function hiddenPart(segments: string[]): string | undefined {
  const index = segments.findIndex((segment) => segment.startsWith('.'))
  return index < 0 ? undefined : segments.slice(0, index + 1).join('/')
}
