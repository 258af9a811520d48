import { concurrently } from '../../common/concurrently.ts'
import type { Log } from '../../log.ts'
import { isPostgresError } from '../../postgres/errors.ts'
import type { Pools } from '../../postgres/pools/pools.ts'
import { UNDEFINED_TABLE } from '../../postgres/sqlstates.ts'
import type { Catalog } from '../../tenancy/catalog/catalog.ts'
import { readEntries } from '../../tenancy/catalog/catalog-table.ts'
import { noteArchive } from '../../tenancy/schemas/platform-archives.ts'
import type { CatalogAccess } from '../../tenancy/schemas/stored-archives.ts'
import { type NewSchema, writeSchema } from '../../tenancy/schemas/write-schemas.ts'
import { readInPlace } from './ledger.ts'

/** A database with the catalog's copy of its ledger. */
export interface Copied {
  database: string
  platform: string
  role: string | null
  /** Checksum of the archive in place, by the catalog. */
  schemaChecksum: string | null
  /** The copy belongs to another database of this name: the database has been restored. */
  isStale: boolean
}

/** Databases that are read at the same time. */
const CONCURRENCY = 8

/**
 * Reads from the databases' own ledgers which archive is in place, and corrects the catalog where
 * it differs.
 * @returns the databases that could not be read
 */
export async function lookAt(
  {
    pools,
    catalog,
    platformCatalog,
    log,
  }: {
    pools: Pick<Pools, 'use'>
    catalog: Pick<Catalog, 'use' | 'note'>
    platformCatalog: CatalogAccess
    log: Log
  },
  databases: Copied[],
): Promise<Set<string>> {
  const silent = new Set<string>()
  await concurrently(databases, CONCURRENCY, async (one) => {
    const { database, platform } = one
    catalog.note(one)
    try {
      const found = await pools.use(database, readInPlace).catch((error: unknown) => {
        // Without a ledger, nothing was ever deployed to the database.
        if (isPostgresError(error) && error.code === UNDEFINED_TABLE) return undefined
        throw error
      })
      const checksum = found?.checksum ?? null
      if (checksum === one.schemaChecksum && !one.isStale) return
      const schema: NewSchema = {
        database,
        platform,
        checksum,
        how: { seen: true, instead: one.schemaChecksum },
        deployedAt: found?.deployedAt,
      }
      await catalog.use((sql) => writeSchema(sql, schema))
      if (platformCatalog !== catalog && checksum !== null) {
        const [own] = await catalog.use((sql) => readEntries(sql, [database]))
        const seen = { platform, checksum, schema: own?.schema ?? null, how: 'seen' as const }
        await platformCatalog.use((sql) =>
          noteArchive(sql, { ...seen, deployedAt: found?.deployedAt }),
        )
      }
    } catch (error) {
      silent.add(database)
      log.warn('The archive in place could not be read from the ledger of a database', {
        database,
        cause: (error as Error).message,
      })
    }
  })
  return silent
}
