import { createHash } from 'node:crypto'
import { type ArchiveLimits, readArchive, type SchemaArchive } from './archive.ts'

/** Archives that were read lately, by the checksum of their bytes; the oldest first. */
const recent = new Map<string, Promise<SchemaArchive>>()

const MAX_RECENT = 16
/** A larger one is not kept: what is kept takes a multiple of this in memory. */
const MAX_KEPT_BYTES = 1024 * 1024

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
  if (known) return known

  const archive = readArchive(bytes, limits)
  recent.set(key, archive)
  archive.then(
    ({ files }) => {
      const texts = Object.values(files).flat()
      const size = texts.reduce((sum, { text }) => sum + text.length, 0)
      if (size > MAX_KEPT_BYTES) recent.delete(key)
    },
    () => recent.delete(key),
  )
  for (const oldest of recent.keys()) {
    if (recent.size <= MAX_RECENT) break
    recent.delete(oldest)
  }
  return archive
}
