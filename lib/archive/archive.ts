import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { gunzip } from './gunzip.ts'
import { type PlacedFile, placeFiles } from './layout.ts'
import { compareMigrations, compareText } from './order.ts'
import { SECTIONS, type Section } from './sections.ts'
import { readTar } from './tar.ts'
import { readText } from './text.ts'

export { SECTIONS, type Section } from './sections.ts'

/** A SQL file of an archive. */
export interface SchemaFile {
  path: string // relative to postgresql/, e.g. 'functions/auth/login.pssql'
  name: string // relative to its section, e.g. 'auth/login.pssql' or '001_init.pssql'
  text: string // decoded from UTF-8, without a byte order mark, lines end in \n
  checksum: string // SHA-256 of `text`, in hex
  rawChecksum: string // SHA-256 of the file's bytes in the archive, in hex
}

/**
 * The schema that an archive holds; each section's files are in the order in which a deploy runs
 * them.
 */
export interface SchemaArchive {
  checksum: string // SHA-256 over all files, in hex; independent of how they are packed
  files: Record<Section, SchemaFile[]>
  warnings: string[] // files that were ignored and the reasons, as sentences
}

/** Limits for reading an archive. */
export interface ArchiveLimits {
  maxUnpackedBytes: number // largest size of the tar inside the gzip file; the setting MAX_UNPACKED_BYTES
  maxEntries: number // most headers of the tar, metadata included; the setting MAX_ARCHIVE_ENTRIES
}

const MAX_WARNINGS = 20
const PAUSE_BYTES = 2 * 1024 * 1024

/**
 * Reads the schema in a tar.gz in memory; writes nothing to disk. Memory use is bounded by a small
 * multiple of `maxUnpackedBytes`, time by that and `maxEntries`.
 * @throws {GatewayError} schema_extraction_failed (400), with the fault and its place: not a gzip
 *   file, not a tar, damaged, over a limit, a link or device, a name outside the archive, no
 *   `postgresql/` folder, a file that is not UTF-8
 */
export async function readArchive(
  bytes: Uint8Array,
  limits: ArchiveLimits,
): Promise<SchemaArchive> {
  const tar = await gunzip(bytes, limits.maxUnpackedBytes)
  const { files: placed, warnings } = placeFiles(readTar(tar, limits.maxEntries))
  const files = await sortIntoSections(placed)
  return {
    checksum: checksumOf(SECTIONS.flatMap((section) => files[section])),
    files,
    warnings: capped(warnings),
  }
}

async function sortIntoSections(placed: PlacedFile[]): Promise<Record<Section, SchemaFile[]>> {
  const files = Object.fromEntries(SECTIONS.map((section) => [section, []])) as unknown as Record<
    Section,
    SchemaFile[]
  >
  let bytes = 0
  for (const { section, path, data } of placed) {
    // Decoding takes a few milliseconds a mebibyte: yield, so that other requests are not held up.
    bytes += data.length
    if (bytes > PAUSE_BYTES) {
      await setImmediate()
      bytes = 0
    }
    files[section].push(schemaFile(section, path.slice(section.length + 1), data))
  }
  for (const section of SECTIONS) {
    const compare = section === 'migrations' ? compareMigrations : compareText
    files[section].sort((a, b) => compare(a.name, b.name))
  }
  return files
}

/**
 * Reads a SQL file.
 * @param folder its section, or another folder of SQL files
 * @param name path in the folder
 * @throws {GatewayError} as `readText`
 */
export function schemaFile(folder: string, name: string, data: Uint8Array): SchemaFile {
  const path = `${folder}/${name}`
  const text = readText(data, path)
  return { path, name, text, checksum: sha256(text), rawChecksum: sha256(data) }
}

function checksumOf(files: SchemaFile[]): string {
  const byPath = files.toSorted((a, b) => compareText(a.path, b.path))
  return sha256(JSON.stringify(byPath.map(({ path, checksum }) => [path, checksum])))
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

function capped(warnings: string[]): string[] {
  const rest = warnings.length - MAX_WARNINGS
  return rest > 0 ? [...warnings.slice(0, MAX_WARNINGS), `and ${rest} more`] : warnings
}
