import { createHash } from 'node:crypto'
import { type ArchiveLimits, readArchive, type SchemaArchive } from './archive.ts'

/** An archive that was read lately, or is being read. */
interface Recent {
  archive: Promise<SchemaArchive>
  /** Of its texts; 0 until they are read. */
  size: number
}

/** By the checksum of their bytes; the oldest first. */
const recent = new Map<string, Recent>()

const MAX_RECENT = 16
/** A larger one is not kept: what is known of a text takes up to 50 times as much memory. */
const MAX_KEPT_BYTES = 1024 * 1024
/** Of all that are kept. */
const MAX_ALL_BYTES = 2 * MAX_KEPT_BYTES

/**
 * As `readArchive`, once for the same bytes: many containers and tenants send the same archive, and
 * what is known of its files (their statements) is then known for all of them.
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

/** Characters in all files of an archive. */
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
