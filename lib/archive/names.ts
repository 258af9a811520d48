import { quote, refusal } from './refuse.ts'

/**
 * Splits the name of an entry into its segments, without `.` and empty ones; the archive's own root
 * gives none. Normalises to NFC: macOS may store "é" as two characters, and both forms name the
 * same file.
 * @throws {GatewayError} schema_extraction_failed for a name that could lead outside the archive
 *   on some system: absolute, with a `..` segment, a backslash or a NUL
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

/** Returns whether an entry is metadata that macOS or a tar program added. */
export function isNoise(segments: string[]): boolean {
  const last = segments.at(-1) ?? ''
  return (
    last === '.DS_Store' ||
    last.startsWith('._') ||
    segments.some((segment) => segment === '__MACOSX' || /^PaxHeaders?(\.\d+)?$/.test(segment))
  )
}

/** Returns the hidden file or folder that contains the entry, or undefined. */
export function hiddenPart(segments: string[]): string | undefined {
  const index = segments.findIndex((segment) => segment.startsWith('.'))
  return index < 0 ? undefined : segments.slice(0, index + 1).join('/')
}
