import { createHash } from 'node:crypto'
import { type ArchiveLimits, readArchive, type SchemaArchive } from './archive.ts'

/** A cached archive, read or being read. */
interface Recent {
  archive: Promise<SchemaArchive>
  /** Size of its texts in characters; 0 until they are read. */
  size: number
}

/** Cached archives by the checksum of their bytes and the limits, the oldest first. */
const recent = new Map<string, Recent>()

const MAX_RECENT = 16
/**
 * Size up to which an archive is cached, in bytes packed or characters unpacked: the parsed
 * statements of a text take up to 50 times its size.
 */
const MAX_KEPT_BYTES = 1024 * 1024
/** Total size of the cached archives' texts, in characters. */
const MAX_ALL_BYTES = 2 * MAX_KEPT_BYTES

/**
 * Reads an archive as `readArchive` does, or returns the cached one for the same bytes. Many
 * containers and tenants send the same archive; the parsed statements of its files are then shared.
 * @throws {GatewayError} schema_extraction_failed
 */
export function readRecentArchive(
  bytes: Uint8Array,
  limits: ArchiveLimits,
): Promise<SchemaArchive> {
  if (bytes.length > MAX_KEPT_BYTES) return readArchive(bytes, limits)
  const checksum = createHash('sha256').update(bytes).digest('hex')
  const key = `${checksum} ${limits.maxUnpackedBytes} ${limits.maxEntries}`
  const known = recent.get(key)
  if (known) return known.archive

  const entry: Recent = { archive: readArchive(bytes, limits), size: 0 }
  recent.set(key, entry)
  entry.archive.then(
    (archive) => {
      entry.size = textSize(archive)
      if (entry.size > MAX_KEPT_BYTES) recent.delete(key)
      forgetOldest()
    },
    () => recent.delete(key),
  )
  forgetOldest()
  return entry.archive
}

/** Returns the number of characters in all files of an archive. */
export function textSize({ files }: SchemaArchive): number {
  return Object.values(files)
    .flat()
    .reduce((sum, { text }) => sum + text.length, 0)
}

function forgetOldest(): void {
  let size = [...recent.values()].reduce((sum, one) => sum + one.size, 0)
  for (const [key, oldest] of recent) {
    if (recent.size <= MAX_RECENT && size <= MAX_ALL_BYTES) break
    recent.delete(key)
    size -= oldest.size
  }
}
