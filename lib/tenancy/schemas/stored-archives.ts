import type { ArchiveLimits, SchemaArchive } from '../../archive/archive.ts'
import { readRecentArchive, textSize } from '../../archive/recent.ts'
import { Recent } from '../../common/recent.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { checkPlatform } from '../platforms.ts'
import { readStored, readStoredChecksum } from './stored-schemas.ts'

/** A stored schema that has been read. */
export interface LoadedSchema {
  archive: SchemaArchive
  /** The tar.gz that the archive was read from. */
  packed: Uint8Array
}

/**
 * Size limit of the cache in bytes, counting each tar.gz and its unpacked texts, which may be a
 * thousand times larger. A larger archive is shared only by the callers that ask while it is read.
 */
const MAX_KEPT_BYTES = 4 * 1024 * 1024

const loaded = new Recent<Promise<LoadedSchema>>(MAX_KEPT_BYTES)

/** Runs work in the administrative database. */
export interface CatalogAccess {
  use<T>(work: (sql: Sql) => Promise<T>): Promise<T>
}

/**
 * Returns the archive stored for a platform under a name. The cache lets many tenants that are
 * created together share one read.
 * @throws {GatewayError} invalid_request if the platform or the schema does not exist;
 *   schema_extraction_failed
 */
export async function loadStored(
  catalog: CatalogAccess,
  platform: string,
  name: string,
  limits: ArchiveLimits,
): Promise<LoadedSchema> {
  const checksum = await catalog.use(async (sql) => {
    await checkPlatform(sql, platform, 'invalid_request')
    return readStoredChecksum(sql, platform, name)
  })
  const key = JSON.stringify([platform, name, checksum, limits])
  const known = loaded.get(key)
  if (known) return known
  const loading = load(catalog, platform, name, limits)
  loaded.set(key, loading, 0)
  loading.then(
    ({ archive, packed }) => {
      // The stored archive may have been replaced between the two queries.
      const size = packed.length + textSize(archive)
      if (archive.checksum === checksum) loaded.set(key, loading, size)
      else loaded.delete(key)
    },
    () => loaded.delete(key),
  )
  return loading
}

async function load(
  catalog: CatalogAccess,
  platform: string,
  name: string,
  limits: ArchiveLimits,
): Promise<LoadedSchema> {
  const packed = await catalog.use((sql) => readStored(sql, platform, name))
  return { archive: await readRecentArchive(packed, limits), packed }
}
